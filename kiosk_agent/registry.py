"""Loads a backend by its kind: a literal table `kind -> "module:Class"`, imported on use.

So a kiosk without a webcam never imports OpenCV's capture, and a machine without a driver can
still run another backend.
"""

from collections.abc import Mapping
from importlib import import_module
from typing import Any

from kiosk_agent.errors import BackendRefused


def load_backend(what: str, kind: str, backends: Mapping[str, str]) -> Any:
    """Return the class of a backend.

    Raises BackendRefused when the kind is unknown or what it needs is not installed.
    """
    if kind not in backends:
        raise BackendRefused(f"{what}.kind = {kind!r}: there is {', '.join(sorted(backends))}")
    module, _, name = backends[kind].partition(":")
    try:
        return getattr(import_module(module), name)
    except ImportError as error:
        raise BackendRefused(f"{what}.kind = {kind!r} needs a package that is not installed: {error}") from error
