"""The durable steps of a long act, told by name as each is done, so that a test can end the process there."""

from collections.abc import Callable

Step = Callable[[str], None]
"""Told the name of a step when it is on the disk."""


def no_step(_name: str) -> None:
    """What is told of steps when nobody asks."""
