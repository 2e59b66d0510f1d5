"""Aligned faces of files, as small JPEGs for a report."""

import io
from pathlib import Path

import numpy as np
from PIL import Image

from auth_server.face.frames import decode_frame
from auth_vision.geometry import Points, align


def chip_jpeg(path: Path, points: Points) -> bytes:
    """Return the face at five points of a JPEG file, aligned as the recogniser sees it."""
    chip = align(decode_frame(path.read_bytes(), path.name), points)
    out = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(chip[:, :, ::-1])).save(out, "JPEG", quality=85)
    return out.getvalue()
