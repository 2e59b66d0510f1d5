"""One decoded picture to the JPEG that goes to the server."""

from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from auth_contract.limits import FRAME_MAX_BYTES

Image = npt.NDArray[np.uint8]

WIDTH_MAX: Final = 1280
HEIGHT_MAX: Final = 960
_QUALITY_MIN: Final = 30


def encode_jpeg(image: Image, quality: int) -> bytes:
    """Return the picture as JPEG, scaled into 1280x960 and never enlarged.

    The quality, 1 to 100, is lowered in steps where the result would be above 1 MiB. Raises
    ValueError for a picture without pixels or one that no quality makes small enough.
    """
    if image.size == 0:
        raise ValueError("the picture has no pixels")
    scaled = _fit(image)
    for step in range(quality, _QUALITY_MIN - 1, -10):
        is_encoded, data = cv2.imencode(".jpg", scaled, [cv2.IMWRITE_JPEG_QUALITY, step])
        if is_encoded and len(data) <= FRAME_MAX_BYTES:
            return data.tobytes()
    raise ValueError("the picture cannot be encoded below 1 MiB")


def _fit(image: Image) -> Image:
    height, width = image.shape[:2]
    scale = min(1.0, WIDTH_MAX / width, HEIGHT_MAX / height)
    if scale == 1.0:
        return image
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)
