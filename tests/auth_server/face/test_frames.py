"""Frames: JPEG only, judged by the header first, whole or refused, always upright BGR."""

import io
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from auth_contract.limits import FRAME_MAX_PIXELS
from auth_server.errors import Malformed
from auth_server.face.frames import check_frame, decode_frame


def encoded(image: Image.Image, kind: str = "JPEG", **options: object) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def with_size(data: bytes, width: int, height: int) -> bytes:
    """The same JPEG with another size in its frame header."""
    at = data.index(b"\xff\xc0") + 5
    return data[:at] + struct.pack(">HH", height, width) + data[at + 4 :]


RED = Image.new("RGB", (60, 40), (250, 10, 10))
NOISE = Image.fromarray(np.random.default_rng(1).integers(0, 255, (200, 200, 3), dtype=np.uint8))
GOOD = encoded(RED)


@pytest.mark.parametrize(
    "data",
    [
        GOOD,
        encoded(RED, progressive=True),
        encoded(RED.convert("L")),
        encoded(RED.convert("CMYK")),
        encoded(RED, subsampling=0, quality=100),
    ],
    ids=["baseline", "progressive", "grey", "CMYK", "4:4:4"],
)
def test_any_usual_jpeg_becomes_three_channels(data: bytes) -> None:
    check_frame(data, "frames.0")
    picture = decode_frame(data, "frames.0")
    assert picture.shape == (40, 60, 3)
    assert picture.dtype == np.uint8


@pytest.mark.parametrize(
    "data",
    [GOOD, encoded(RED, progressive=True), encoded(RED.convert("CMYK")), encoded(RED, subsampling=0, quality=100)],
    ids=["baseline", "progressive", "CMYK", "4:4:4"],
)
def test_the_colours_are_the_same_whatever_the_colour_model(data: bytes) -> None:
    assert np.abs(decode_frame(data, "frames.0")[20, 30].astype(int) - (10, 10, 250)).max() < 8


def test_of_a_file_with_several_pictures_the_first_one_counts() -> None:
    """A multi-picture file (MPO), as some cameras write; a moving GIF or WebP is no JPEG."""
    green = Image.new("RGB", (60, 40), (10, 250, 10))
    data = encoded(RED, "MPO", save_all=True, append_images=[green])
    assert len(data) > 1.5 * len(GOOD)
    assert decode_frame(data, "frames.0")[20, 30].argmax() == 2
    for kind in ("GIF", "WEBP", "PNG"):
        with pytest.raises(Malformed, match="is a JPEG"):
            decode_frame(encoded(RED, kind, save_all=True, append_images=[green]), "frames.0")


def test_a_damaged_exif_block_turns_nothing() -> None:
    assert decode_frame(encoded(RED, exif=b"Exif\0\0garbage"), "frames.0").shape == (40, 60, 3)


def test_the_order_is_bgr() -> None:
    blue, green, red = decode_frame(GOOD, "frames.0")[20, 30]
    assert red > 200 > 60 > max(blue, green)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_picture_is_turned_upright(orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    rows, columns, _ = decode_frame(encoded(RED, exif=exif), "frames.0").shape
    assert (rows, columns) == ((40, 60) if orientation <= 4 else (60, 40))


@pytest.mark.parametrize(
    ("data", "rule"),
    [
        (b"", "header cannot be read"),
        (b"\xff\xd8\xff", "header cannot be read"),
        (b"\xff\xd8\xff" + bytes(500), "header cannot be read"),
        (GOOD[:100], "header cannot be read"),
        (encoded(RED, "PNG"), "header cannot be read"),
        (encoded(RED, "GIF"), "header cannot be read"),
        (b"%!PS-Adobe-3.0 EPSF-3.0", "header cannot be read"),
        (with_size(GOOD, 4000, 3001), "12000000 pixels, this one has 4000 x 3001"),
        (with_size(GOOD, 65535, 65535), "12000000 pixels, this one has 65535 x 65535"),
        (with_size(GOOD, 0, 40), "header cannot be read"),
        (GOOD + b"\xff\xda" * 40, "32 scans"),
    ],
)
def test_the_header_alone_refuses(data: bytes, rule: str) -> None:
    for reads in (check_frame, decode_frame):
        with pytest.raises(Malformed) as refused:
            reads(data, "frames.3")
        assert refused.value.field == "frames.3"
        assert rule in refused.value.rule


def test_twelve_megapixels_pass_the_header() -> None:
    assert 4000 * 3000 == FRAME_MAX_PIXELS
    check_frame(with_size(GOOD, 4000, 3000), "frames.0")


@pytest.mark.parametrize("kept", [0.3, 0.6, 0.95])
@pytest.mark.parametrize("is_progressive", [False, True])
def test_truncated_data_are_refused(kept: float, is_progressive: bool) -> None:
    data = encoded(NOISE, progressive=is_progressive)
    with pytest.raises(Malformed, match="whole JPEG"):
        decode_frame(data[: int(len(data) * kept)], "frames.0")


def test_a_large_picture_is_decoded_smaller() -> None:
    assert decode_frame(encoded(Image.new("RGB", (4000, 3000))), "frames.0").shape == (1500, 2000, 3)


@given(st.binary(max_size=300), st.integers(0, 600))
def test_no_bytes_do_more_than_be_refused(noise: bytes, at: int) -> None:
    for data in (b"\xff\xd8\xff" + noise, GOOD[:at] + noise + GOOD[at:]):
        try:
            decode_frame(data, "frames.0")
        except Malformed as error:
            assert error.field == "frames.0"
