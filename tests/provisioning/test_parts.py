"""The small parts of `user add`: pictures, passwords, QR codes, codes, cameras."""

import io
import os
import stat
import sys
import zlib
from datetime import UTC, datetime, timedelta
from pathlib import Path

import cv2
import numpy as np
import pyotp
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from auth_contract.limits import FRAME_MAX_BYTES
from auth_server.second_factor import new_second_factor, step_of
from demo.qr_reader import read_qr, read_qr_file
from provisioning.camera import take_pictures
from provisioning.errors import Refused
from provisioning.passwords import read_password
from provisioning.pictures import read_picture
from provisioning.qr import terminal_lines, write_png

NOW = datetime(2026, 11, 22, 9, 30, 10, tzinfo=UTC)


def picture(size: tuple[int, int], form: str = "PNG", **options) -> bytes:
    noise = np.random.default_rng(1).integers(0, 255, (size[1], size[0], 3), dtype=np.uint8)
    written = io.BytesIO()
    Image.fromarray(noise).save(written, form, **options)
    return written.getvalue()


@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP", "TIFF", "BMP"])
def test_pictures_of_common_forms_become_jpeg(tmp_path, form):
    path = tmp_path / "picture"
    path.write_bytes(picture((320, 240), form))
    with Image.open(io.BytesIO(read_picture(path))) as read:
        assert (read.format, read.size, read.mode) == ("JPEG", (320, 240), "RGB")


def test_a_large_picture_of_the_worst_kind_fits_into_a_frame(tmp_path):
    path = tmp_path / "noise.png"
    path.write_bytes(picture((3000, 1500)))
    data = read_picture(path)
    assert len(data) <= FRAME_MAX_BYTES
    with Image.open(io.BytesIO(data)) as read:
        assert read.size == (2000, 1000)


def test_a_picture_that_a_phone_took_lying_on_its_side_is_put_upright(tmp_path):
    path = tmp_path / "phone.jpg"
    exif = Image.Exif()
    exif[0x0112] = 6
    path.write_bytes(picture((320, 240), "JPEG", exif=exif))
    with Image.open(io.BytesIO(read_picture(path))) as read:
        assert read.size == (240, 320)
        assert not read.getexif()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "is not a picture in JPEG, PNG, WEBP, TIFF, BMP"),
        (b"%PDF-1.7 no picture", "is not a picture in JPEG, PNG, WEBP, TIFF, BMP"),
        (picture((64, 64), "GIF"), "is not a picture in JPEG, PNG, WEBP, TIFF, BMP"),
        (picture((64, 64), "JPEG")[:500], "is damaged and cannot be decoded"),
        (picture((64, 64))[:500], "is damaged and cannot be decoded"),
    ],
)
def test_pictures_refused(tmp_path, data, message):
    path = tmp_path / "picture"
    path.write_bytes(data)
    with pytest.raises(Refused, match=message):
        read_picture(path)


def test_a_picture_bomb_is_refused_by_its_header(tmp_path):
    path = tmp_path / "bomb.png"
    bomb = bytearray(picture((64, 64)))
    bomb[16:24] = (8_000).to_bytes(4, "big") * 2
    bomb[29:33] = zlib.crc32(bomb[12:29]).to_bytes(4, "big")
    path.write_bytes(bomb)
    with pytest.raises(Refused, match="has 8000 x 8000 pixels; at most 50 megapixels"):
        read_picture(path)


def test_a_huge_picture_file_is_refused_unread(tmp_path):
    path = tmp_path / "huge.jpg"
    path.touch()
    os.truncate(path, 32 * 1024 * 1024 + 1)
    with pytest.raises(Refused, match="a picture file has at most"):
        read_picture(path)


def password_file(tmp_path, data: bytes, mode: int = 0o600):
    path = tmp_path / "password"
    path.write_bytes(data)
    path.chmod(mode)
    return path


@pytest.mark.parametrize(
    ("data", "password"),
    [
        (b"correct Horse\n", "correct Horse"),
        (b"correct Horse\r\n\n", "correct Horse"),
        (b" spaces count \n", " spaces count "),
        ("Zoë\n".encode(), "Zoë"),
        (b"", ""),
    ],
)
def test_the_password_is_the_files_line(tmp_path, data, password):
    assert read_password(password_file(tmp_path, data)) == password


@pytest.mark.parametrize(
    ("data", "mode", "message"),
    [
        (b"secret\n", 0o640, "has mode 0640, so others can read the password: chmod 0600 it"),
        (b"secret\n", 0o604, "has mode 0604, so others can read the password: chmod 0600 it"),
        (b"first\nsecond\n", 0o600, "holds more than one line: it holds the password alone"),
        (b"x" * 2000, 0o600, "is above 1024 bytes: it holds one line, the password"),
        (b"\xff\xfe\n", 0o600, "is not UTF-8"),
    ],
)
def test_password_files_refused(tmp_path, data, mode, message):
    with pytest.raises(Refused, match=message) as refused:
        read_password(password_file(tmp_path, data, mode))
    assert "secret" not in str(refused.value)


def test_a_missing_password_file(tmp_path):
    with pytest.raises(Refused, match="No such file or directory"):
        read_password(tmp_path / "none")


def test_the_password_may_come_through_a_pipe(monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"correct Horse\n")))
    assert read_password(Path("-")) == "correct Horse"


def test_the_secret_has_160_bits_and_no_two_are_alike():
    secrets = {new_second_factor("ann", "head-office").secret for _ in range(50)}
    assert len(secrets) == 50
    assert {len(pyotp.TOTP(secret).byte_secret()) for secret in secrets} == {20}


@given(st.text("abcdefghijklmnopqrstuvwxyzäöß名 '@.", min_size=1, max_size=64))
def test_any_app_reads_name_site_and_secret_from_the_uri(name):
    factor = new_second_factor(name, "head-office")
    read = pyotp.parse_uri(factor.uri)
    assert (read.secret, read.name, read.issuer) == (factor.secret, name, "4Auth head-office")
    assert (read.digits, read.interval) == (6, 30)


def test_a_second_factor_hides_its_secret():
    factor = new_second_factor("ann", "head-office")
    assert factor.secret not in repr(factor)


@pytest.mark.parametrize(("offset_s", "is_right"), [(0, True), (-30, True), (30, True), (-60, False), (60, False)])
def test_a_first_code_may_be_one_step_off(offset_s, is_right):
    factor = new_second_factor("ann", "head-office")
    then = NOW + timedelta(seconds=offset_s)
    step = step_of(pyotp.TOTP(factor.secret).at(then), factor.secret, NOW)
    assert step == (int(then.timestamp()) // 30 if is_right else None)


@pytest.mark.parametrize("code", ["", "12345", "1234567", "abcdef", "１２３４５６"])
def test_what_is_no_code_is_of_no_step(code):
    assert step_of(code, new_second_factor("ann", "head-office").secret, NOW) is None


def test_the_png_decodes_to_the_text_and_is_closed_to_others(tmp_path):
    path = tmp_path / "ann.png"
    uri = new_second_factor("zoë o'neil", "head-office").uri
    write_png(uri, path)
    assert read_qr_file(path) == uri
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_the_png_is_never_written_over_a_file_or_through_a_link(tmp_path):
    (tmp_path / "there.png").write_bytes(b"mine")
    (tmp_path / "link.png").symlink_to(tmp_path / "elsewhere.png")
    for name in ("there.png", "link.png"):
        with pytest.raises(Refused, match="is there already: name a new file for the QR code"):
            write_png("text", tmp_path / name)
    assert (tmp_path / "there.png").read_bytes() == b"mine"
    assert not (tmp_path / "elsewhere.png").exists()


def test_the_png_needs_a_folder(tmp_path):
    with pytest.raises(Refused, match="cannot be written: No such file or directory"):
        write_png("text", tmp_path / "no" / "such.png")


def test_a_phone_reads_the_code_off_the_terminal():
    """The half blocks are painted as a terminal with a dark ground shows them."""
    uri = new_second_factor("ann", "head-office").uri
    halves = {" ": (0, 0), "\xa0": (0, 0), "▀": (255, 0), "▄": (0, 255), "█": (255, 255)}
    rows = []
    for line in terminal_lines(uri):
        rows.append([halves[c][0] for c in line])
        rows.append([halves[c][1] for c in line])
    pixels = np.kron(np.array(rows, dtype=np.uint8), np.ones((8, 8), dtype=np.uint8))
    assert read_qr(cv2.cvtColor(pixels, cv2.COLOR_GRAY2BGR)) == uri


def test_a_camera_that_is_not_there():
    with pytest.raises(Refused, match=r"camera 93 cannot be opened: `ls /dev/video\*` tells which there are"):
        take_pictures(93)


@pytest.fixture
def video(tmp_path):
    """Makes a video of so many frames, each one grey."""

    def make(frames: int):
        path = tmp_path / "video.avi"
        writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 25, (64, 48))
        for number in range(frames):
            writer.write(np.full((48, 64, 3), 4 * number, dtype=np.uint8))
        writer.release()
        return str(path)

    return make


def test_pictures_are_taken_apart_from_each_other_and_after_the_camera_has_settled(video):
    taken = take_pictures(video(60), count=3)
    greys = [cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_GRAYSCALE).mean() for data in taken]
    assert [round(grey / 4) for grey in greys] == [14, 19, 24]


def test_a_camera_that_stops(video):
    with pytest.raises(Refused, match="gives no pictures: is another program using it"):
        take_pictures(video(20))
