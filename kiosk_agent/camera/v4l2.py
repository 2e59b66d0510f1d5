"""Whether a V4L2 camera can be had, asked of the kernel itself, since OpenCV only says no.

Opening the node tells whether it is there. Whether another program streams is told by VIDIOC_REQBUFS alone:
the kernel lets one open file own a device's buffers, and answers EBUSY to every other
(https://docs.kernel.org/userspace-api/media/v4l/vidioc-reqbufs.html).
"""

import errno
import fcntl
import os
import struct
from collections.abc import Callable
from typing import Final

from kiosk_agent.errors import CameraFault
from kiosk_agent.vocabulary import CameraState

_VIDIOC_REQBUFS: Final = 0xC0145608
_CAPTURE, _MMAP = 1, 1
_REQUEST: Final = "=5I"

_GONE: Final = frozenset({errno.ENOENT, errno.ENODEV, errno.ENXIO})

Ioctl = Callable[[int, int, bytearray], object]


def check_device(node: str, *, ioctl: Ioctl = fcntl.ioctl) -> None:
    """Return where a camera can be opened and streamed; raises CameraFault: unplugged, busy, or why else not.

    `ioctl` lets tests stand in for the kernel.
    """
    try:
        opened = os.open(node, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise _fault(node, error) from error
    try:
        ioctl(opened, _VIDIOC_REQBUFS, _request(1))
        ioctl(opened, _VIDIOC_REQBUFS, _request(0))
    except OSError as error:
        raise _fault(node, error) from error
    finally:
        os.close(opened)


def _request(count: int) -> bytearray:
    return bytearray(struct.pack(_REQUEST, count, _CAPTURE, _MMAP, 0, 0))


def _fault(node: str, error: OSError) -> CameraFault:
    if error.errno in _GONE:
        state, problem, advice = CameraState.UNPLUGGED, "is not there", "check that it is plugged in"
    elif error.errno == errno.EBUSY:
        state, problem, advice = CameraState.BUSY, "is in use", "end the other program that uses it"
    elif error.errno == errno.EACCES:
        state, problem, advice = CameraState.FAILED, "may not be opened", "put this user into the group video"
    else:
        state, problem, advice = CameraState.FAILED, "is no camera that can be used", "check camera.device"
    return CameraFault(node, f"{problem}: {os.strerror(error.errno or 0)}", advice, state)
