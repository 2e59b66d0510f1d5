"""A QR code of a text, as a PNG and to be drawn."""

import io
from typing import Any

from qrcode.constants import ERROR_CORRECT_M
from qrcode.main import QRCode

_QUIET_ZONE = 4
"""Light modules around the code (ISO/IEC 18004, 6.3.8)."""


def code_of(text: str) -> Any:
    """Return the library's code of a text, made to fit."""
    code: Any = QRCode(error_correction=ERROR_CORRECT_M, border=_QUIET_ZONE)
    code.add_data(text)
    code.make(fit=True)
    return code


def png_of(text: str) -> bytes:
    """Return the code of a text as a PNG."""
    out = io.BytesIO()
    code_of(text).make_image().save(out)
    return out.getvalue()
