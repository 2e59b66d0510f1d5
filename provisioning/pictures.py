"""Picture files for enrolment, brought to the form that a kiosk's pictures have."""

import io
import warnings
from pathlib import Path

from PIL import Image, ImageOps, UnidentifiedImageError

from auth_contract.limits import FRAME_MAX_BYTES
from provisioning.errors import Refused

FILE_MAX_BYTES = 32 * 1024 * 1024
_PIXELS_MAX = 50_000_000
"""A decoded picture of this size takes 150 MB; the largest phone pictures in common use have less."""
_LONG_SIDE = 2000
_FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "BMP")


def read_picture(path: Path) -> bytes:
    """Return a picture file as JPEG, upright, at most 2000 pixels wide or high.

    Raises Refused for a file that cannot be read, is no picture, or is too large.
    """
    return as_frame(_read(path), str(path))


def as_frame(data: bytes, name: str) -> bytes:
    """Return a picture's bytes as `read_picture` does; `name` is what a refusal calls it."""
    try:
        with warnings.catch_warnings():
            # Our own limit is below the one that Pillow warns at.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(data), formats=_FORMATS) as picture:
                _check_pixels(name, picture)
                return _as_jpeg(picture)
    except UnidentifiedImageError:
        raise Refused(f"{name} is not a picture in {', '.join(_FORMATS)}") from None
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise Refused(f"{name} is damaged and cannot be decoded: {error}") from None


def _read(path: Path) -> bytes:
    try:
        size = path.stat().st_size
        if size > FILE_MAX_BYTES:
            raise Refused(f"{path} has {size} bytes; a picture file has at most {FILE_MAX_BYTES}")
        return path.read_bytes()
    except OSError as error:
        raise Refused(f"{path} cannot be read: {error.strerror}") from None


def _check_pixels(name: str, picture: Image.Image) -> None:
    pixels = picture.width * picture.height
    if pixels > _PIXELS_MAX:
        raise Refused(
            f"{name} has {picture.width} x {picture.height} pixels; at most {_PIXELS_MAX // 1_000_000} megapixels"
        )


def _as_jpeg(picture: Image.Image) -> bytes:
    upright = ImageOps.exif_transpose(picture).convert("RGB")
    upright.thumbnail((_LONG_SIDE, _LONG_SIDE), Image.Resampling.LANCZOS)
    for quality in (95, 85, 70):
        written = io.BytesIO()
        upright.save(written, "JPEG", quality=quality)
        if written.tell() <= FRAME_MAX_BYTES:
            return written.getvalue()
    raise ValueError(f"it does not fit into {FRAME_MAX_BYTES} bytes even at {_LONG_SIDE} pixels")
