"""What stands in for a Pi, so that picamera2 drives libcamera's virtual camera.

A Pi has sensors with raw modes, an image processor that makes the form that is asked for, and DMA heaps in which
the planes of a picture lie in one piece. The virtual camera has no raw modes, gives NV12 and nothing else, is
written by the processor, and wants each plane told apart. No call of the driver is changed.
"""

import mmap
import os
import sys
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest.mock import MagicMock

import numpy as np
import numpy.typing as npt

# What picamera2 imports for video files, for screens and for raw files; no picture needs it.
for _name in ("pykms", "av", "simplejpeg", "piexif", "prctl", "tqdm", "jsonschema", "OpenEXR", "Imath",
              "pidng", "pidng.core", "pidng.camdefs", "libarchive", "libarchive.read"):  # fmt: skip
    sys.modules[_name] = MagicMock()
# The package alone would bring the whole agent, with all that it needs; here is its camera.
_agent = ModuleType("kiosk_agent")
_agent.__path__ = [str(Path(__file__).parents[2] / "kiosk_agent")]
sys.modules["kiosk_agent"] = _agent

import libcamera  # noqa: E402 - after what it needs stands
import picamera2.picamera2  # noqa: E402
from picamera2.allocators.allocator import Allocator, Sync  # noqa: E402
from picamera2.request import CompletedRequest  # noqa: E402

_library: Any = picamera2.picamera2
_request: Any = CompletedRequest


class SharedMemory(Allocator):
    """Memory for pictures that this process and libcamera share."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.sync = _Mapped
        self.maps: dict[Any, mmap.mmap] = {}
        self._buffers: dict[Any, list[Any]] = {}
        self._files: list[int] = []

    def allocate(self, libcamera_config: Any, use_case: Any) -> None:
        """Make the buffers of each stream anew."""
        self.close()
        for stream_config in libcamera_config:
            made = [self._buffer(stream_config) for _ in range(stream_config.buffer_count)]
            self._buffers[stream_config.stream] = made

    def buffers(self, stream: Any) -> list[Any]:
        """Return the buffers of a stream."""
        return self._buffers[stream]

    def close(self) -> None:
        """Give the memory back."""
        for file in self._files:
            os.close(file)
        self.maps, self._buffers, self._files = {}, {}, []

    def __del__(self) -> None:
        self.close()

    def _buffer(self, stream_config: Any) -> Any:
        """NV12: a plane of luminance, and one of colour that is half as large."""
        file = os.memfd_create("picture")
        os.ftruncate(file, stream_config.frame_size)
        self._files.append(file)
        light = stream_config.stride * stream_config.size.height
        planes = []
        for offset, length in ((0, light), (light, stream_config.frame_size - light)):
            plane = libcamera.FrameBuffer.Plane()
            plane.fd, plane.offset, plane.length = file, offset, length
            planes.append(plane)
        buffer = libcamera.FrameBuffer(planes)
        self.maps[buffer] = mmap.mmap(file, stream_config.frame_size)
        return buffer


class _Mapped(Sync):
    """A picture's memory, which needs no synchronisation."""

    def __init__(self, allocator: SharedMemory, buffer: Any, write: bool) -> None:
        self._map = allocator.maps[buffer]

    def __enter__(self) -> mmap.mmap:
        return self._map

    def __exit__(self, *_raised: object) -> None:
        """Nothing to do."""


def stand_in_for_heaps_and_sensor() -> None:
    """Let picamera2 use this memory, and take the sizes of pictures for raw modes."""
    _library.DmaAllocator = SharedMemory
    _library.Picamera2._get_raw_modes = _modes


def stand_in_for_the_processor() -> None:
    """Give NV12 as RGB888, in libcamera's sense: blue, green, red."""
    told, made = _library.Picamera2.camera_configuration, _request.make_array

    def camera_configuration(camera: Any) -> Any:
        configuration = told(camera)
        return {**configuration, "main": {**configuration["main"], "format": "RGB888"}}

    def make_array(request: Any, name: str) -> npt.NDArray[np.uint8]:
        return _bgr(made(request, name))

    _library.Picamera2.camera_configuration = camera_configuration
    _request.make_array = make_array


def _modes(camera: Any) -> list[dict[str, Any]]:
    formats = camera.camera.generate_configuration([libcamera.StreamRole.Viewfinder]).at(0).formats
    return [
        {"format": str(form), "size": (size.width, size.height)}
        for form in formats.pixel_formats
        for size in formats.sizes(form)
    ]


def _bgr(picture: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Full-range BT.601, in which the virtual camera's pictures are."""
    height = picture.shape[0] * 2 // 3
    light = picture[:height].astype(np.float32)
    colour = picture[height:].reshape(height // 2, -1, 2).astype(np.float32) - 128
    blue_less, red_less = (np.repeat(np.repeat(colour[:, :, n], 2, axis=0), 2, axis=1) for n in (0, 1))
    channels = (
        light + 1.772 * blue_less,
        light - 0.344 * blue_less - 0.714 * red_less,
        light + 1.402 * red_less,
    )
    return np.stack(channels, axis=-1).clip(0, 255).astype(np.uint8)
