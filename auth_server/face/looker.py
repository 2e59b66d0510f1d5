"""Looks at frames, several at a time: OpenCV and onnxruntime let go of the interpreter while they work."""

import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final, Protocol, TypeVar

from auth_server.face.frames import decode_frame
from auth_server.face.glimpse import Glimpse, Portrait, small_of
from auth_server.face.pipeline import Pipeline
from auth_vision.geometry import align

THREADS_MAX: Final = 4
"""Of one engine; a server has several workers, and each its own."""

T = TypeVar("T")
R = TypeVar("R")


class Looking(Protocol):
    """Whoever looks at frames for the engine."""

    def glimpses(self, frames: Sequence[bytes], field: str) -> list[Glimpse]:
        """Return the glimpse of each frame. Raises Malformed naming `field` and the first frame that is none."""
        ...

    def portraits(self, frames: Sequence[bytes], glimpses: Sequence[Glimpse]) -> list[Portrait]:
        """Return the largest face of each frame, all of which must show one by their glimpses."""
        ...


class Looker:
    """Looks at frames with the models of a pipeline. Its methods may be called from any thread."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline
        self._pool = ThreadPoolExecutor(min(os.cpu_count() or 1, THREADS_MAX), thread_name_prefix="face")

    def glimpses(self, frames: Sequence[bytes], field: str) -> list[Glimpse]:
        """Return the glimpse of each frame. Raises Malformed naming `field` and the first frame that is none."""
        named = [(frame, f"{field}.{place}") for place, frame in enumerate(frames)]
        return self._each(lambda one: self._glimpse(*one), named)

    def portraits(self, frames: Sequence[bytes], glimpses: Sequence[Glimpse]) -> list[Portrait]:
        """Return the largest face of each frame, all of which must show one by their glimpses."""
        return self._each(lambda one: self._portrait(*one), list(zip(frames, glimpses, strict=True)))

    def _glimpse(self, frame: bytes, field: str) -> Glimpse:
        picture = decode_frame(frame, field)
        return Glimpse(self._pipeline.look(picture, self._pipeline.faces(picture)), small_of(picture))

    def _portrait(self, frame: bytes, glimpse: Glimpse) -> Portrait:
        if glimpse.look.features is None:
            raise ValueError("a frame without a face has no portrait")
        picture, face = decode_frame(frame, "frames"), glimpse.look.features.face
        chip = align(picture, face.points)
        return Portrait(chip, self._pipeline.embed_chip(chip), self._pipeline.presence(picture, face))

    def _each(self, work: Callable[[T], R], items: Iterable[T]) -> list[R]:
        """Do the work on each item; the first failure, in their order, is raised once none is at work any more."""
        begun = [self._pool.submit(work, item) for item in items]
        try:
            return [one.result() for one in begun]
        finally:
            for one in begun:
                one.cancel()
