"""The version of a device's program, as heartbeats report it."""

from importlib.metadata import PackageNotFoundError, version


def program_version() -> str:
    """The installed release, or `0+source` when run from a source tree that is not installed."""
    try:
        return version("fourauth")[:32]
    except PackageNotFoundError:
        return "0+source"
