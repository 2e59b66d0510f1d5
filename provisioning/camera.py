"""Pictures from a camera on the server host, for enrolling a person there."""

from typing import TYPE_CHECKING

from provisioning.errors import Refused

if TYPE_CHECKING:
    from cv2 import VideoCapture

PICTURES = 5
_SETTLING = 10
"""Pictures thrown away first, while exposure and white balance settle."""
_STRIDE = 5
"""Every fifth picture is kept, so that they differ a little."""


def take_pictures(source: int | str, count: int = PICTURES) -> list[bytes]:
    """Return `count` JPEG pictures from a camera's index, or from the path of a video.

    Raises Refused when there is no such camera or it stops giving pictures.
    """
    # Imported on use: other commands need not wait for it.
    import cv2

    camera = cv2.VideoCapture(source)
    try:
        if not camera.isOpened():
            raise Refused(f"camera {source} cannot be opened: `ls /dev/video*` tells which there are")
        for _ in range(_SETTLING):
            camera.grab()
        return [_take(camera, source) for _ in range(count)]
    finally:
        camera.release()


def _take(camera: "VideoCapture", source: int | str) -> bytes:
    import cv2

    for _ in range(_STRIDE - 1):
        camera.grab()
    is_read, picture = camera.read()
    if not is_read:
        raise Refused(f"camera {source} gives no pictures: is another program using it?")
    _, jpeg = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 95])
    return jpeg.tobytes()
