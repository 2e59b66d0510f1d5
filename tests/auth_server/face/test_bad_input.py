"""Whatever a client sends as a frame gets a code or is malformed; nothing else is ever raised."""

import io
from pathlib import Path

import cv2
import numpy as np
import pytest
import skimage.data
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from auth_contract.actions import CaptureHint
from auth_server.errors import Malformed
from auth_server.face.frames import decode_frame
from auth_server.face.pipeline import Pipeline
from auth_server.settings import FaceSettings
from auth_vision import quality


@pytest.fixture(scope="module")
def pipeline(models_folder: Path) -> Pipeline:
    return Pipeline(FaceSettings(models=models_folder))


def encoded(image: Image.Image, **options: object) -> bytes:
    out = io.BytesIO()
    image.save(out, "JPEG", quality=90, **options)
    return out.getvalue()


PORTRAIT = Image.fromarray(np.asarray(skimage.data.astronaut()))
SMALL = encoded(PORTRAIT.crop((120, 20, 330, 230)))


def hint_of(pipeline: Pipeline, data: bytes) -> CaptureHint | None:
    """What the server makes of a frame: all of it, up to the embedding where it can be judged."""
    picture = decode_frame(data, "frames.0")
    faces = pipeline.faces(picture)
    hint = quality.hint_of(pipeline.look(picture, faces))
    if hint is None:
        assert np.linalg.norm(pipeline.embed(picture, faces[0])) == pytest.approx(1)
        assert 0 <= (pipeline.presence(picture, faces[0]) or 0) <= 1
    return hint


def sideways(orientation: int) -> bytes:
    """The portrait stored on its side, with the EXIF note by which it is to be shown upright."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    return encoded(PORTRAIT.transpose(Image.Transpose.ROTATE_90), exif=exif)


FRAMES = {
    "a portrait": (encoded(PORTRAIT), {None}),
    "grey": (encoded(PORTRAIT.convert("L")), {None}),
    "CMYK": (encoded(PORTRAIT.convert("CMYK")), {None}),
    "progressive": (encoded(PORTRAIT, progressive=True), {None}),
    "on its side, and saying so": (sideways(6), {None}),
    "on its side, and silent": (sideways(1), {CaptureHint.TURNED, CaptureHint.NO_FACE}),
    "one pixel": (encoded(Image.new("RGB", (1, 1))), {CaptureHint.NO_FACE}),
    "one row": (encoded(Image.new("RGB", (5000, 1))), {CaptureHint.NO_FACE}),
    "one column": (encoded(Image.new("L", (1, 5000))), {CaptureHint.NO_FACE}),
    "twelve megapixels": (encoded(PORTRAIT.resize((4000, 3000))), {None, CaptureHint.TURNED}),
    "a cat": (encoded(Image.fromarray(skimage.data.cat())), {CaptureHint.NO_FACE, CaptureHint.TURNED}),
}


@pytest.mark.parametrize("name", FRAMES)
def test_each_frame_has_its_code(pipeline: Pipeline, name: str) -> None:
    data, hints = FRAMES[name]
    assert hint_of(pipeline, data) in hints


def test_a_painted_face_is_nobodys(pipeline: Pipeline) -> None:
    """It is a face to the detector, and to the presence model half a person; it matches nobody and cannot move."""
    picture = np.full((480, 640, 3), 255, np.uint8)
    cv2.ellipse(picture, (320, 240), (100, 130), 0, 0, 360, (150, 190, 230), -1)
    for x in (280, 360):
        cv2.ellipse(picture, (x, 215), (20, 10), 0, 0, 360, (255, 255, 255), -1)
        cv2.circle(picture, (x, 215), 8, (40, 60, 90), -1)
        cv2.ellipse(picture, (x, 195), (24, 8), 0, 180, 360, (20, 30, 50), 4)
    cv2.ellipse(picture, (320, 300), (40, 14), 0, 0, 360, (60, 60, 190), -1)
    cv2.polylines(picture, [np.array([[320, 220], [312, 260], [326, 262]])], False, (100, 140, 190), 4)
    (face,) = pipeline.faces(picture)
    portrait = decode_frame(encoded(PORTRAIT), "frames.0")
    (person,) = pipeline.faces(portrait)
    assert 1 - pipeline.embed(picture, face) @ pipeline.embed(portrait, person) > 0.7


@settings(max_examples=150)
@given(st.data())
def test_no_damage_does_more_than_that(pipeline: Pipeline, data: st.DataObject) -> None:
    """Bytes changed, cut out, put in and doubled anywhere in a real frame."""
    frame = bytearray(SMALL)
    for _ in range(data.draw(st.integers(1, 6))):
        at = data.draw(st.integers(0, len(frame)))
        length = data.draw(st.integers(0, 40))
        kind = data.draw(st.sampled_from(["changed", "cut", "inserted", "doubled"]))
        piece = {
            "changed": lambda length=length: data.draw(st.binary(min_size=length, max_size=length)),
            "cut": lambda: b"",
            "inserted": lambda at=at, length=length: data.draw(st.binary(max_size=40)) + bytes(frame[at : at + length]),
            "doubled": lambda at=at, length=length: bytes(frame[at : at + length]) * 2,
        }[kind]()
        frame[at : at + length] = piece
    try:
        hint_of(pipeline, bytes(frame))
    except Malformed as refused:
        assert refused.field == "frames.0"


@settings(max_examples=60)
@given(st.integers(1, 900), st.integers(1, 700), st.integers(0, 2**32 - 1))
def test_no_size_of_picture_does(pipeline: Pipeline, width: int, height: int, seed: int) -> None:
    rough = np.random.default_rng(seed).integers(0, 255, (9, 12, 3), dtype=np.uint8)
    picture = Image.fromarray(rough).resize((width, height))
    if seed % 2:
        picture.paste(PORTRAIT.resize((max(width // 2, 1), max(height // 2, 1))), (width // 4, height // 4))
    hint_of(pipeline, encoded(picture))
