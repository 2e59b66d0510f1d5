"""JSON as RFC 8259 says it, without the readings on which two parsers may differ."""

import json
import math
from typing import Any

from auth_contract.limits import JSON_MAX_DEPTH, JSON_MAX_VALUES


class StrictJsonError(ValueError):
    """The text is not one unambiguous JSON object; the message says which rule it breaks, never its content."""


def parse_object(text: bytes) -> dict[str, Any]:
    """Return the members of one JSON object.

    Raises StrictJsonError for anything but UTF-8, a single object, unique keys, finite numbers,
    whole characters, at most `JSON_MAX_DEPTH` levels and some `JSON_MAX_VALUES` values.
    """
    # Counted first: four megabytes of empty lists take a parser a second and a hundred megabytes.
    if sum(map(text.count, (b"{", b"[", b","))) > JSON_MAX_VALUES:
        raise StrictJsonError(f"more than {JSON_MAX_VALUES} brackets and commas")
    value, fault = _load(text)
    if fault is not None:
        # Raised here and not where it was caught, because the decoder's errors hold the whole text.
        raise StrictJsonError(fault)
    if not isinstance(value, dict):
        raise StrictJsonError("the body is not a JSON object")
    _check(value, JSON_MAX_DEPTH)
    return value


def _load(text: bytes) -> tuple[object, str | None]:
    try:
        value = json.loads(
            text.decode("utf-8"), object_pairs_hook=_unique, parse_constant=_no_constant, parse_float=_finite
        )
    except StrictJsonError as error:
        return None, str(error)
    except UnicodeDecodeError:
        return None, "the body is not UTF-8"
    except RecursionError:
        return None, f"nested deeper than {JSON_MAX_DEPTH} levels"
    except json.JSONDecodeError as error:
        return None, f"not JSON: {error.msg} at character {error.pos}"
    except ValueError:
        return None, "a number has too many digits"
    return value, None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise StrictJsonError("a key stands twice in one object")
    return members


def _no_constant(_name: str) -> float:
    raise StrictJsonError("NaN and Infinity are not JSON")


def _finite(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise StrictJsonError("a number is too large")
    return number


def _check(value: object, levels: int) -> None:
    """Refuse what is nested too deep, and halves of characters: RFC 8259 section 8.2 allows both readings."""
    if isinstance(value, str) and not value.isascii() and any("\ud800" <= c <= "\udfff" for c in value):
        raise StrictJsonError("a lone surrogate is no character")
    if isinstance(value, dict | list):
        if levels == 0:
            raise StrictJsonError(f"nested deeper than {JSON_MAX_DEPTH} levels")
        members = [*value.keys(), *value.values()] if isinstance(value, dict) else value
        for member in members:
            _check(member, levels - 1)
