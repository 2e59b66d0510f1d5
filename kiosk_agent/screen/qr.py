"""A QR code as lines of half blocks, as large as the terminal allows.

Pure. Two modules stand one above the other in one character, so that they are square. Light modules
are drawn and dark ones left out: the screen sets both colours, so a terminal with a light ground
shows the same.
"""

from typing import Any, Final

from qrcode.constants import ERROR_CORRECT_L, ERROR_CORRECT_M
from qrcode.main import QRCode

_FORMS: Final = ((ERROR_CORRECT_M, 4), (ERROR_CORRECT_L, 4), (ERROR_CORRECT_L, 3), (ERROR_CORRECT_L, 2))
"""Error correction and light modules around the code (ISO/IEC 18004 asks for 4, readers need 2), best first.

A screen has no scratches, so a code that fits matters more than correction.
"""

_CHARACTERS: Final = {(False, False): " ", (True, False): "\u2580", (False, True): "\u2584", (True, True): "\u2588"}
"""By whether the upper and the lower module are light."""

INK: Final = "".join(_CHARACTERS.values())
"""All characters of a code; where a terminal's encoding lacks one, no code can be shown."""


def qr_lines(text: str, columns: int, rows: int) -> tuple[str, ...] | None:
    """Return the code of a text within so many columns and rows, or None where it does not fit."""
    for correction, quiet in _FORMS:
        light = _light(text, correction, quiet)
        if len(light) <= columns and (len(light) + 1) // 2 <= rows:
            return _half_blocks(light)
    return None


def smallest(text: str) -> tuple[int, int]:
    """Return the columns and rows that the smallest form of a text's code takes."""
    side = len(_light(text, *_FORMS[-1]))
    return side, (side + 1) // 2


def modules(text: str) -> list[list[bool]]:
    """Return the rows of a text's code with its quiet zone, true where it is dark."""
    return [[not is_light for is_light in row] for row in _light(text, *_FORMS[0])]


def _light(text: str, correction: int, quiet: int) -> list[list[bool]]:
    code: Any = QRCode(error_correction=correction, border=quiet)
    code.add_data(text)
    code.make(fit=True)
    return [[not is_dark for is_dark in row] for row in code.get_matrix()]


def _half_blocks(light: list[list[bool]]) -> tuple[str, ...]:
    if len(light) % 2:
        light = [*light, [True] * len(light[0])]
    pairs = zip(light[::2], light[1::2], strict=True)
    return tuple("".join(_CHARACTERS[pair] for pair in zip(upper, lower, strict=True)) for upper, lower in pairs)
