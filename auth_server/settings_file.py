"""Reading the settings file. Apart from `bootstrap`, so that it loads no face library."""

import tomllib
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from auth_server.errors import SettingsRefused
from auth_server.settings import ServerSettings

Settings = TypeVar("Settings", bound=BaseModel)


def load_settings(path: Path) -> ServerSettings:
    """Read the server's settings file. Raises SettingsRefused as `read_settings` does."""
    return read_settings(path, ServerSettings)


def read_settings(path: Path, model: type[Settings]) -> Settings:
    """Read a program's settings file.

    Raises SettingsRefused naming each field, its value and the rule it breaks.
    """
    try:
        members = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsRefused(f"{path}: cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsRefused(f"{path}: not TOML: {error}") from error
    try:
        return model.model_validate(members)
    except ValidationError as error:
        raise SettingsRefused("\n".join(_broken_rules(path, error))) from error


def _broken_rules(path: Path, error: ValidationError) -> list[str]:
    return [
        f"{path}: {'.'.join(map(str, broken['loc'])) or 'settings'}{_shown(broken['input'])}: "
        f"{broken['msg'].removeprefix('Value error, ')}"
        for broken in error.errors(include_url=False)
    ]


def _shown(value: object) -> str:
    """The value at fault; a whole section, of which something is missing, is not repeated."""
    return "" if isinstance(value, dict | BaseModel) else f" = {value!r:.80}"
