"""A camera made of files: pictures, folders of pictures, videos and faults, in the order given.

It behaves like a camera: it can be paced, it runs out, it fails where its list or its drill says so, and
`show` puts other pictures before it while the agent runs. A folder is read anew for every picture,
so exchanging the files in it does the same from outside. What `acts` has for a movement is shown once
when the person is asked for it, to its end, as a person does not stop half-way when the next thing is asked.
"""

from collections import deque
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from auth_contract.actions import Movement
from kiosk_agent.camera.drill import FAULTS, Drill
from kiosk_agent.camera.driver import CameraNeeds, Image
from kiosk_agent.errors import CameraFault
from kiosk_agent.settings.cameras import ReplayCamera
from kiosk_agent.vocabulary import CameraState

_FAULT = "fault:"
_PICTURES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp"})


class ReplayDriver:
    """Shows files as if a camera had seen them."""

    def __init__(self, settings: ReplayCamera, needs: CameraNeeds) -> None:
        self._settings = settings
        self._needs = needs
        self._drill = Drill(settings.drill, needs.sleep)
        self._next_at = 0.0
        self._form = ""
        self.show(settings.sources)

    @property
    def is_live(self) -> bool:
        """With a pace of its own only: without one, a picture is shown when it is asked for."""
        return self._settings.fps > 0

    @property
    def form(self) -> str:
        """The size of the last picture."""
        return self._form

    def show(self, sources: tuple[str, ...]) -> None:
        """Put other sources before the camera, from the next picture on."""
        self._images: Iterator[Image] = _Round(sources, is_endless=self._settings.loop)
        self._acts: deque[Iterator[Image]] = deque()

    def open(self) -> None:
        """Nobody is in the midst of an act; files do not go stale. Raises what the drill says."""
        self._drill.check()
        self._acts.clear()

    def read(self) -> Image:
        """Return the next picture, not before its time where `fps` is set; raises CameraFault."""
        self._pace()
        word = self._drill.check()
        image = self._drill.show(self._next(), word)
        self._form = f"{image.shape[1]}x{image.shape[0]}"
        return image

    def follow(self, movement: Movement | None) -> None:
        """Show what there is of this movement, after what is being shown."""
        sources = () if movement is None else self._settings.acts.get(movement, ())
        there = tuple(source for source in sources if Path(source).exists())
        self._acts.append(_Round(there, is_endless=False))

    def close(self) -> None:
        """Keep the place: who comes next is not shown the same pictures again."""
        self._acts.clear()

    def _next(self) -> Image:
        while self._acts:
            if (image := next(self._acts[0], None)) is not None:
                return image
            self._acts.popleft()
        try:
            return next(self._images)
        except StopIteration:
            raise CameraFault("replay", "no picture is left", "give more sources or set loop = true") from None

    def _pace(self) -> None:
        if not self.is_live:
            return
        wait_s = self._next_at - self._needs.monotonic()
        if wait_s > 0:
            self._needs.sleep(wait_s)
        self._next_at = self._needs.monotonic() + 1 / self._settings.fps


class _Round:
    """Walks over the sources, and keeps its place when one of them fails as a generator would not."""

    def __init__(self, sources: tuple[str, ...], *, is_endless: bool) -> None:
        self._sources = sources
        self._is_endless = is_endless
        self._place = 0
        self._open: Iterator[Image] | None = None

    def __iter__(self) -> Iterator[Image]:
        return self

    def __next__(self) -> Image:
        while self._place < len(self._sources):
            if self._open is None:
                self._open = _images(self._sources[self._place])
            try:
                image = next(self._open, None)
            except CameraFault:
                self._leave()
                raise
            if image is not None:
                return image
            self._leave()
        raise StopIteration

    def _leave(self) -> None:
        self._open = None
        self._place += 1
        if self._place == len(self._sources) and self._is_endless:
            self._place = 0


def _images(source: str) -> Iterator[Image]:
    if source.startswith(_FAULT):
        text = source.removeprefix(_FAULT).strip() or "failed"
        problem, state = FAULTS.get(text, (text, CameraState.FAILED))
        raise CameraFault("replay", problem, "its list asks for this fault", state)
    path = Path(source)
    if path.is_dir():
        yield from _folder(path)
    elif _is_picture(path):
        yield _picture(path)
    else:
        yield from _video(path)


def _folder(folder: Path) -> Iterator[Image]:
    """Each picture once, in order of name, looking again before each."""
    last = ""
    is_empty = True
    while name := min((p.name for p in folder.iterdir() if _is_picture(p) and p.name > last), default=""):
        last, is_empty = name, False
        yield _picture(folder / name)
    if is_empty:
        raise CameraFault(f"replay {folder}", "the folder holds no picture", "put one there")


def _is_picture(path: Path) -> bool:
    return path.suffix.lower() in _PICTURES


def _picture(path: Path) -> Image:
    try:
        data = np.frombuffer(path.read_bytes(), dtype=np.uint8)
    except OSError as error:
        raise CameraFault(f"replay {path}", str(error.strerror), "check camera.sources") from error
    image = cv2.imdecode(data, cv2.IMREAD_COLOR) if data.size else None
    if image is None:
        raise CameraFault(f"replay {path}", "is no picture that can be decoded", "check camera.sources")
    return np.asarray(image, dtype=np.uint8)


def _video(path: Path) -> Iterator[Image]:
    if not path.is_file():
        raise CameraFault(f"replay {path}", "no such file", "check camera.sources")
    video = cv2.VideoCapture(str(path))
    try:
        is_read, image = video.read()
        if not is_read:
            raise CameraFault(f"replay {path}", "is no video that can be decoded", "check camera.sources")
        while is_read:
            yield np.asarray(image, dtype=np.uint8)
            is_read, image = video.read()
    finally:
        video.release()
