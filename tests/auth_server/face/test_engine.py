"""The engine: exactly one usable face a frame, one person a submission, one place in the queue."""

import io
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pytest
import skimage.data
from PIL import Image

from auth_contract.actions import CaptureHint
from auth_server.domain import Template
from auth_server.errors import Malformed, Unavailable
from auth_server.face.engine import FaceEngine, FaceUnusable
from auth_server.settings import FaceSettings

Jpeg = Callable[[np.ndarray], bytes]
Lfw = Callable[[str, int], bytes]


def distance(a: Template | None, b: Template | None) -> float:
    assert a is not None
    assert b is not None
    x, y = np.frombuffer(a.embedding, "<f4"), np.frombuffer(b.embedding, "<f4")
    return float(1 - x @ y)


def test_a_good_portrait_is_seen(engine: FaceEngine, portrait: bytes) -> None:
    seen = engine.observe([portrait])
    assert seen.capture_hint is None
    assert seen.is_one_person
    assert seen.template is not None
    assert seen.template.model == engine.model
    assert len(seen.template.embedding) == 4 * engine.embedding_size == 2048
    assert np.linalg.norm(np.frombuffer(seen.template.embedding, "<f4")) == pytest.approx(1, abs=1e-5)
    assert engine.presence_threshold is not None
    assert seen.presence is not None
    assert seen.presence > engine.presence_threshold
    assert seen.evidence["frames"] == 1
    assert "embedding" not in repr(seen)


@pytest.mark.parametrize(
    "change",
    [
        lambda rgb: rgb[:, ::-1],
        lambda rgb: cv2.resize(rgb, (300, 300)),
        lambda rgb: rgb[0:300, 80:380],
        lambda rgb: np.pad(rgb, ((0, 0), (150, 20), (0, 0)), mode="edge"),
        lambda rgb: cv2.GaussianBlur(rgb, (0, 0), 1),
        lambda rgb: (rgb * 0.5).astype(np.uint8),
        lambda rgb: np.clip(rgb * 1.2, 0, 255).astype(np.uint8),
        lambda rgb: cv2.warpAffine(rgb, cv2.getRotationMatrix2D((225, 110), 15, 1), (512, 512)),
    ],
    ids=["mirrored", "smaller", "nearer", "off centre", "soft", "dim", "bright", "tilted"],
)
def test_the_same_person_in_other_circumstances(
    engine: FaceEngine, astronaut: np.ndarray, portrait: bytes, jpeg: Jpeg, change: Callable[[np.ndarray], np.ndarray]
) -> None:
    seen = engine.observe([jpeg(change(astronaut))])
    assert seen.capture_hint is None
    assert distance(seen.template, engine.observe([portrait]).template) < engine.threshold / 2


FACELESS = ["coffee", "rocket", "brick", "grass", "coins", "page"]


@pytest.mark.parametrize("name", FACELESS)
def test_a_picture_without_a_face(engine: FaceEngine, jpeg: Jpeg, name: str) -> None:
    seen = engine.observe([jpeg(np.asarray(getattr(skimage.data, name)()))])
    assert (seen.capture_hint, seen.template, seen.presence) == (CaptureHint.NO_FACE, None, None)


@pytest.mark.parametrize(
    ("change", "hint"),
    [
        (lambda rgb: np.zeros_like(rgb), CaptureHint.NO_FACE),
        (lambda rgb: np.full_like(rgb, 255), CaptureHint.NO_FACE),
        (lambda rgb: rgb[300:], CaptureHint.NO_FACE),
        (lambda rgb: np.hstack([rgb, rgb]), CaptureHint.SEVERAL_FACES),
        (lambda rgb: np.hstack([rgb, np.pad(rgb[::2, ::2], ((0, 256), (0, 0), (0, 0)))]), CaptureHint.SEVERAL_FACES),
        (lambda rgb: cv2.resize(rgb, (200, 200), interpolation=cv2.INTER_AREA), CaptureHint.TOO_SMALL),
        (lambda rgb: (rgb * 0.2).astype(np.uint8), CaptureHint.TOO_DARK),
        (lambda rgb: np.clip(rgb * 0.4 + 150, 0, 255).astype(np.uint8), CaptureHint.TOO_BRIGHT),
        (lambda rgb: cv2.GaussianBlur(rgb, (0, 0), 5), CaptureHint.BLURRED),
    ],
    ids=["black", "white", "no head", "two", "a smaller one beside", "far away", "dark", "bright", "blurred"],
)  # fmt: skip
def test_pictures_that_cannot_be_judged(
    engine: FaceEngine, astronaut: np.ndarray, jpeg: Jpeg, change: Callable[[np.ndarray], np.ndarray], hint: CaptureHint
) -> None:
    seen = engine.observe([jpeg(change(astronaut))])
    assert seen.capture_hint is hint
    assert seen.template is None
    assert not seen.evidence.keys() & {"distance", "presence"}


def test_one_bad_frame_among_good_ones_is_named(engine: FaceEngine, portrait: bytes, jpeg: Jpeg) -> None:
    dark = jpeg(np.zeros((512, 512, 3)))
    seen = engine.observe([portrait, dark])
    assert seen.capture_hint is CaptureHint.NO_FACE
    assert seen.evidence["unusable_frame"] == 1
    assert engine.observe([portrait, dark, portrait]).capture_hint is None, "two good ones are enough"


def test_a_frame_that_is_no_jpeg_is_malformed(engine: FaceEngine, portrait: bytes) -> None:
    with pytest.raises(Malformed) as refused:
        engine.observe([portrait, portrait[: len(portrait) // 2]])
    assert refused.value.field == "frames.1"


def test_no_frames_are_a_mistake_of_the_caller(engine: FaceEngine) -> None:
    with pytest.raises(ValueError, match="no frame"):
        engine.observe([])
    with pytest.raises(ValueError, match="no picture"):
        engine.enrol([])


def test_frames_are_fused_into_one(engine: FaceEngine, astronaut: np.ndarray, portrait: bytes, jpeg: Jpeg) -> None:
    others = [jpeg(cv2.GaussianBlur(astronaut, (0, 0), sigma)) for sigma in (1, 2)]
    fused = engine.observe([portrait, *others])
    assert fused.is_one_person
    assert 0 < float(str(fused.evidence["spread"])) < engine.threshold
    far = distance(engine.observe([portrait]).template, engine.observe([others[1]]).template)
    assert distance(fused.template, engine.observe([portrait]).template) < far


def test_two_people_in_one_submission_are_not_one(engine: FaceEngine, portrait: bytes, lfw: Lfw) -> None:
    stranger = lfw("Abel_Pacheco", 1)
    for frames in ([portrait, stranger], [portrait, portrait, portrait, stranger], [stranger, portrait, portrait]):
        seen = engine.observe(frames)
        assert seen.capture_hint is None
        assert not seen.is_one_person


class AskingAgain(list[bytes]):
    """Frames whose reading asks the same engine again: what a second client does meanwhile."""

    def __init__(self, engine: FaceEngine, portrait: bytes) -> None:
        super().__init__([portrait])
        self.engine = engine

    def __iter__(self) -> Iterator[bytes]:
        self.engine.observe([self[0]])
        return super().__iter__()


def test_a_full_queue_says_when_to_come_back_and_empties(models_folder: Path, portrait: bytes, jpeg: Jpeg) -> None:
    engine = FaceEngine(FaceSettings(models=models_folder, queue_max=1))
    for asked in (engine.observe, engine.enrol):
        with pytest.raises(Unavailable) as refused:
            asked(AskingAgain(engine, portrait))
        assert refused.value.retry_after_s >= 1
    for broken in (b"no jpeg", jpeg(np.zeros((64, 64, 3)))):
        for asked in (engine.observe, engine.enrol):
            try:
                asked([broken])
            except (Malformed, FaceUnusable):
                continue
    assert engine.observe([portrait]).template is not None, "a place was lost"
    roomier = FaceEngine(FaceSettings(models=models_folder, queue_max=2))
    assert roomier.observe(AskingAgain(roomier, portrait)).template is not None


def test_threads_do_not_disturb_each_other(engine: FaceEngine, astronaut: np.ndarray, jpeg: Jpeg) -> None:
    frames = [jpeg(np.roll(astronaut, shift, axis=1)[:, ::step]) for shift in (0, 20) for step in (1, -1)]
    alone = [engine.observe([frame]) for frame in frames]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda frame: engine.observe([frame]), frames * 4))
    for index, seen in enumerate(together):
        expected = alone[index % len(frames)]
        assert distance(seen.template, expected.template) == pytest.approx(0, abs=1e-5)
        assert seen.presence == pytest.approx(expected.presence, abs=1e-5)


def test_presence_can_be_switched_off(models_folder: Path, portrait: bytes) -> None:
    engine = FaceEngine(FaceSettings(models=models_folder, presence="off"))
    assert engine.presence_threshold is None
    assert engine.observe([portrait]).presence is None


def test_a_threshold_in_the_settings_counts(models_folder: Path, engine: FaceEngine) -> None:
    assert FaceEngine(FaceSettings(models=models_folder, threshold=0.4)).threshold == 0.4
    assert 0.5 < engine.threshold < 0.59


# Enrolment


def test_an_enrolled_face_is_recognised_and_its_picture_is_aligned(
    engine: FaceEngine, astronaut: np.ndarray, portrait: bytes, jpeg: Jpeg
) -> None:
    enrolled = engine.enrol([portrait, jpeg(astronaut[:, ::-1])])
    seen = engine.observe([jpeg(cv2.resize(astronaut, (400, 400)))])
    assert distance(enrolled.template, seen.template) < engine.threshold / 2
    picture = Image.open(io.BytesIO(enrolled.picture_png))
    assert (picture.format, picture.size, picture.mode) == ("PNG", (128, 128), "RGB")
    assert "embedding" not in repr(enrolled)
    assert "PNG" not in repr(enrolled)


def test_the_most_typical_picture_is_kept(
    engine: FaceEngine, astronaut: np.ndarray, portrait: bytes, jpeg: Jpeg
) -> None:
    blurred = jpeg(cv2.GaussianBlur(astronaut, (0, 0), 2))
    kept = engine.enrol([portrait, blurred, portrait]).picture_png
    assert kept == engine.enrol([portrait]).picture_png != engine.enrol([blurred]).picture_png


def test_an_enrolled_picture_gives_its_template_again(engine: FaceEngine, portrait: bytes) -> None:
    enrolled = engine.enrol([portrait])
    again = engine.reembed(enrolled.picture_png)
    assert again.model == engine.model
    assert again == enrolled.template


def test_a_picture_that_was_stored_without_a_rim_is_the_same(engine: FaceEngine, portrait: bytes) -> None:
    enrolled = engine.enrol([portrait])
    out = io.BytesIO()
    Image.open(io.BytesIO(enrolled.picture_png)).crop((8, 8, 120, 120)).save(out, "PNG")
    assert distance(enrolled.template, engine.reembed(out.getvalue())) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize(("size", "mode"), [((100, 128), "RGB"), ((128, 128), "L"), ((64, 64), "RGB")])
def test_another_picture_is_not_embedded_again(engine: FaceEngine, size: tuple[int, int], mode: str) -> None:
    out = io.BytesIO()
    Image.new(mode, size).save(out, "PNG")
    with pytest.raises(ValueError, match="an enrolled picture is RGB of 128 x 128"):
        engine.reembed(out.getvalue())


def test_a_picture_that_cannot_be_enrolled_is_named(
    engine: FaceEngine, astronaut: np.ndarray, portrait: bytes, jpeg: Jpeg
) -> None:
    with pytest.raises(FaceUnusable, match="picture 2 cannot be enrolled: several faces") as refused:
        engine.enrol([portrait, jpeg(np.hstack([astronaut, astronaut]))])
    assert (refused.value.picture, refused.value.hint) == (1, CaptureHint.SEVERAL_FACES)
    with pytest.raises(Malformed) as malformed:
        engine.enrol([portrait, b"no jpeg"])
    assert malformed.value.field == "pictures.1"


def test_pictures_of_two_people_are_not_enrolled(engine: FaceEngine, portrait: bytes, lfw: Lfw) -> None:
    with pytest.raises(FaceUnusable, match="picture 2 cannot be enrolled: it shows somebody else") as refused:
        engine.enrol([portrait, lfw("Abel_Pacheco", 1), portrait])
    assert refused.value.picture == 1
