"""One decoded picture to the JPEG that goes to the server."""

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np

from auth_contract.limits import FRAME_MAX_BYTES
from kiosk_agent.camera import Image


@dataclass(frozen=True, slots=True)
class Form:
    """What a JPEG may be: pixels across and down, bytes, and the quality, 1 to 100, where that is small enough."""

    quality: int
    width_max: int = 1280
    height_max: int = 960
    bytes_max: int = FRAME_MAX_BYTES


_QUALITY_MIN: Final = 30


def encode_jpeg(image: Image, form: Form) -> bytes:
    """Return the picture as JPEG, scaled to fit the form.

    The quality is lowered in steps where the result would be too large. Raises ValueError for a
    picture without pixels or one that no quality makes small enough.
    """
    if image.size == 0:
        raise ValueError("the picture has no pixels")
    scaled = fit(image, form)
    for step in range(form.quality, _QUALITY_MIN - 1, -10):
        is_encoded, data = cv2.imencode(".jpg", scaled, [cv2.IMWRITE_JPEG_QUALITY, step])
        if is_encoded and len(data) <= form.bytes_max:
            return data.tobytes()
    raise ValueError(f"the picture cannot be encoded in {form.bytes_max} bytes")


def fit(image: Image, form: Form) -> Image:
    """Return the picture scaled down to the form, never enlarged."""
    if image.size == 0:
        return image
    height, width = image.shape[:2]
    scale = min(1.0, form.width_max / width, form.height_max / height)
    if scale == 1.0:
        return image
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)
