"""Values on the command line, checked by the same rules as on the wire."""

import base64
import binascii
import ipaddress
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import click
from click.shell_completion import CompletionItem
from pydantic import TypeAdapter, ValidationError

from auth_contract.fields import KioskId, canonical_mac, canonical_username

_SPAN_MAX = timedelta(days=3650)

Known = Literal["users", "kiosks", "admins"]
"""What a site knows by name, so that a shell can complete it."""


class Checked(click.ParamType[Any]):
    """A command-line value that one function parses; its ValueError is a usage error."""

    def __init__(self, name: str, parse: Callable[[str], Any], known: Known | None = None) -> None:
        self.name = name
        self._parse = parse
        self._known = known

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the parsed value, or fail with the rule that it breaks."""
        if not isinstance(value, str):
            return value
        try:
            return self._parse(value)
        except ValidationError as error:
            self.fail(f"{value!r}: {error.errors()[0]['msg']}", param, ctx)
        except ValueError as error:
            self.fail(f"{value!r}: {error}", param, ctx)

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """Return the names that begin so, where the value is one that the site knows and the site opens."""
        if self._known is None:
            return []
        from provisioning.names import names_of  # it opens sites, and those who open sites need this module

        return [CompletionItem(name) for name in names_of(ctx, param, self._known) if name.startswith(incomplete)]


def parse_public_key(text: str) -> bytes:
    """Return the 32 bytes of an Ed25519 public key in base64url, as a kiosk prints it.

    Raises ValueError for another alphabet or length.
    """
    try:
        key = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("a public key is base64url without padding, as the kiosk prints it") from None
    if len(key) != 32:
        raise ValueError(f"an Ed25519 public key has 32 bytes, this one has {len(key)}")
    return key


def encode_public_key(key: bytes) -> str:
    """Return a public key as `parse_public_key` reads it."""
    return base64.urlsafe_b64encode(key).decode().rstrip("=")


def parse_time(text: str) -> datetime:
    """Return an aware time in UTC from ISO 8601; without an offset it is UTC.

    Raises ValueError when it is no date and no time.
    """
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError("a time is ISO 8601, as 2026-11-22 or 2026-11-22T09:30:00Z") from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)


def parse_span(text: str) -> timedelta:
    """Return a span of whole seconds, minutes, hours or days, as 90s, 10m, 24h or 7d.

    Raises ValueError for anything else, and above 3650 days.
    """
    found = re.fullmatch(r"([1-9][0-9]{0,8})([smhd])", text)
    if found is None:
        raise ValueError("a span is a number and its unit, as 90s, 10m, 24h or 7d")
    span = timedelta(seconds=int(found[1]) * {"s": 1, "m": 60, "h": 3600, "d": 86_400}[found[2]])
    if span > _SPAN_MAX:
        raise ValueError(f"a span has at most {_SPAN_MAX.days} days")
    return span


def _parse_site(text: str) -> str:
    if not re.fullmatch(r"[a-z0-9][a-z0-9-]{0,31}", text):
        raise ValueError("a site has 1 to 32 lower-case letters, digits and -, and does not begin with -")
    return text


USERNAME = Checked("name", canonical_username, "users")
ADMIN_NAME = Checked("name", canonical_username, "admins")
KIOSK_ID = Checked("kiosk", TypeAdapter[str](KioskId).validate_python, "kiosks")
MAC = Checked("mac", canonical_mac)
PUBLIC_KEY = Checked("key", parse_public_key)
TIME = Checked("time", parse_time)
SPAN = Checked("span", parse_span)
ADDRESS = Checked("address", lambda text: str(ipaddress.ip_address(text)))
SITE = Checked("site", _parse_site)
