"""What each constrained field accepts, what it makes of it, and what it refuses."""

import base64
import json
import time
import unicodedata
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from auth_contract import fields
from auth_contract.limits import FRAME_MAX_BYTES

JPEG = b"\xff\xd8\xff\xe0"


def read(field: Any, value: object) -> Any:
    """Read a value as it comes off the wire: strict, from JSON."""
    return TypeAdapter(field).validate_json(json.dumps(value), strict=True)


@pytest.mark.parametrize(
    ("given_name", "canonical"),
    [
        ("maria", "maria"),
        ("MARIA", "maria"),
        ("Zoë", "zoë"),
        ("zoe\u0308", "zoë"),
        ("ZOE\u0308", "zoë"),
        ("Straße", "strasse"),
        ("o'neill", "o'neill"),
        ("ada.lovelace@site-1", "ada.lovelace@site-1"),
        ("Σίσυφος", "σίσυφοσ"),
        ("李小龙", "李小龙"),
        ("नमिता", "नमिता"),
        ("7of9", "7of9"),
        ("a" * 64, "a" * 64),
        ("\u212a", "k"),
    ],
)
def test_a_name_has_one_spelling(given_name: str, canonical: str) -> None:
    assert read(fields.Username, given_name) == canonical


@pytest.mark.parametrize(
    "name",
    [
        "",
        " ",
        "a" * 65,
        "a" * 300,
        "ß" * 33,
        " a",
        "a ",
        "a  b",
        ".a",
        "-a",
        "\u0308a",
        "a\x00",
        "a\n",
        "a\x1b[2J",
        "a\u200db",
        "a\u202eb",
        "a/b",
        "a:b",
        "a*",
        "a\u00a0b",
        "a😀",
        "a\u3164b",
        "\u3164",
        "a\ufe0fb",
        "a\u034fb",
        7,
        None,
        True,
        ["a"],
        {"a": 1},
    ],
)
def test_a_name_of_another_form_is_refused(name: object) -> None:
    with pytest.raises(ValidationError):
        read(fields.Username, name)


@given(st.text(max_size=80))
def test_a_canonical_name_is_its_own_canonical_name(text: str) -> None:
    try:
        name = fields.canonical_username(text)
    except ValueError:
        return
    assert fields.canonical_username(name) == name
    assert unicodedata.is_normalized("NFC", name)
    assert name.isprintable()


@given(st.text(st.characters(categories=["Lu", "Ll", "Lo", "Mn", "Nd"]), min_size=1, max_size=40))
def test_composition_and_case_never_make_another_person(text: str) -> None:
    def spelling(value: str) -> str | None:
        try:
            return fields.canonical_username(value)
        except ValueError:
            return None

    assert spelling(text) == spelling(unicodedata.normalize("NFD", text))
    assert spelling(text) == spelling(text.casefold())


@pytest.mark.parametrize(
    ("typed", "canonical"),
    [
        ("pass word ", "pass word "),
        ("e\u0301" * 8, "é" * 8),
        ("x" * 72, "x" * 72),
        ("é" * 36, "é" * 36),
        ("пароль-пароль", "пароль-пароль"),
        ("密码密码密码密码", "密码密码密码密码"),
        ("👍🏽 ok", "👍🏽 ok"),
        ("MiXeD", "MiXeD"),
    ],
)
def test_a_password_is_kept_as_typed_but_for_composition(typed: str, canonical: str) -> None:
    assert read(fields.Password, typed) == canonical


@pytest.mark.parametrize(
    "password",
    [
        "",
        "x" * 73,
        "é" * 37,
        "👍" * 19,
        "a\x00b",
        "a\tb",
        "a\nb",
        "a\x7fb",
        "a\u0085b",
        "\uffff",
        "\U000e0080",
        8,
        None,
    ],
)
def test_a_password_of_another_form_is_refused(password: object) -> None:
    with pytest.raises(ValidationError):
        read(fields.Password, password)


def test_the_longest_passwords_say_how_long_they_may_be() -> None:
    with pytest.raises(ValueError, match="at most 72 bytes of UTF-8, this one has 74"):
        fields.canonical_password("é" * 37)


@given(st.text(max_size=80))
def test_a_canonical_password_is_its_own_canonical_password(text: str) -> None:
    try:
        password = fields.canonical_password(text)
    except ValueError:
        return
    assert fields.canonical_password(password) == password
    assert len(password.encode()) <= 72


@pytest.mark.parametrize("code", ["000000", "123456", "999999"])
def test_a_code_is_six_digits(code: str) -> None:
    assert read(fields.TotpCode, code) == code


@pytest.mark.parametrize(
    "code",
    [
        "",
        "12345",
        "1234567",
        "12345a",
        "12 456",
        "123456\n",
        " 123456",
        "+12345",
        "\uff11\uff12\uff13\uff14\uff15\uff16",
        "\u0663" * 6,
        123456,
    ],
)
def test_a_code_of_another_form_is_refused(code: object) -> None:
    with pytest.raises(ValidationError):
        read(fields.TotpCode, code)


@pytest.mark.parametrize(
    ("written", "canonical"),
    [
        ("02:00:5e:10:00:01", "02:00:5e:10:00:01"),
        ("02:00:5E:10:00:01", "02:00:5e:10:00:01"),
        ("B8-27-EB-00-00-00", "b8:27:eb:00:00:00"),
    ],
)
def test_a_mac_has_one_spelling(written: str, canonical: str) -> None:
    assert read(fields.Mac, written) == canonical


@pytest.mark.parametrize(
    "mac",
    [
        "",
        "00:00:00:00:00:00",
        "ff:ff:ff:ff:ff:ff",
        "01:00:5e:00:00:01",
        "02:00:5e:10:00",
        "02:00:5e:10:00:01:02",
        "02005e100001",
        "0200.5e10.0001",
        "02:00:5e:10:00:0g",
        "02:00:5e:10:00:01\n",
        "02:00:5e:10:00:0\uff11",
        2,
    ],
)
def test_a_mac_of_another_form_is_refused(mac: object) -> None:
    with pytest.raises(ValidationError):
        read(fields.Mac, mac)


@given(st.text(max_size=20) | st.from_regex(r"[0-9a-fA-F]{2}([:-][0-9a-fA-F]{2}){5}", fullmatch=True))
def test_a_canonical_mac_is_its_own_canonical_mac(text: str) -> None:
    try:
        mac = fields.canonical_mac(text)
    except ValueError:
        return
    assert fields.canonical_mac(mac) == mac
    assert len(mac) == 17


@pytest.mark.parametrize("kiosk", ["kiosk-1", "a", "0", "a" * 32])
def test_a_kiosk_id_is_short_and_plain(kiosk: str) -> None:
    assert read(fields.KioskId, kiosk) == kiosk


@pytest.mark.parametrize("kiosk", ["", "-a", "Kiosk", "kiosk_1", "a" * 33, "a\n", "*", "é", "a b", 1])
def test_a_kiosk_id_of_another_form_is_refused(kiosk: object) -> None:
    with pytest.raises(ValidationError):
        read(fields.KioskId, kiosk)


@pytest.mark.parametrize("token", ["A" * 21, "A" * 23, "A" * 21 + "=", "A" * 21 + "+", "A" * 22 + "\n", "", 1])
def test_a_token_is_22_characters_of_base64url(token: object) -> None:
    assert read(fields.Token, "Az09_-" + "A" * 16) == "Az09_-" + "A" * 16
    with pytest.raises(ValidationError):
        read(fields.Token, token)


@pytest.mark.parametrize(
    ("written", "moment"),
    [
        ("2026-11-22T09:30:00Z", datetime(2026, 11, 22, 9, 30, tzinfo=UTC)),
        ("2026-11-22T09:30:00+00:00", datetime(2026, 11, 22, 9, 30, tzinfo=UTC)),
        ("2026-11-22T09:30:00.123456Z", datetime(2026, 11, 22, 9, 30, 0, 123456, tzinfo=UTC)),
        ("2026-11-22T11:30:00+02:00", datetime(2026, 11, 22, 9, 30, tzinfo=UTC)),
        ("2026-11-21T23:30:00-10:00", datetime(2026, 11, 22, 9, 30, tzinfo=UTC)),
    ],
)
def test_a_timestamp_is_read_into_utc(written: str, moment: datetime) -> None:
    read_moment = read(fields.Timestamp, written)
    assert read_moment == moment
    assert read_moment.tzinfo is UTC


@pytest.mark.parametrize(
    "written",
    [
        "",
        "2026-11-22",
        "2026-11-22T09:30:00",
        "2026-11-22 09:30:00Z",
        "2026-11-22T09:30Z",
        "2026-11-22T09:30:00.1234567Z",
        "2026-13-22T09:30:00Z",
        "2026-02-30T09:30:00Z",
        "2026-11-22T24:00:00Z",
        "2026-11-22T09:30:60Z",
        "2026-11-22T09:30:00+24:00",
        "0000-01-01T00:00:00Z",
        "0001-01-01T00:00:00+14:00",
        "9999-12-31T23:59:59-14:00",
        "2026-11-22T09:30:00Z\n",
        "\uff12026-11-22T09:30:00Z",
        "1700000000",
        "-1",
        "now",
        1700000000,
        1.5,
        True,
        None,
    ],
)
def test_a_timestamp_of_another_form_is_refused(written: object) -> None:
    with pytest.raises(ValidationError):
        read(fields.Timestamp, written)


def test_a_moment_without_offset_is_refused_in_python_too() -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(fields.Timestamp).validate_python(datetime(2026, 11, 22), strict=True)  # noqa: DTZ001


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


@pytest.mark.parametrize("data", [JPEG, JPEG + b"\x00" * 100, JPEG.ljust(FRAME_MAX_BYTES, b"\x00")])
def test_a_frame_is_base64_of_what_begins_like_a_jpeg(data: bytes) -> None:
    assert read(fields.FrameJpeg, b64(data)) == data


@pytest.mark.parametrize(
    "frame",
    [
        "",
        "A",
        "/9j/4",
        "/9j/4A",
        "/9j/4A=",
        "/9j/4A==\n",
        "/9j/ 4A==",
        "_9j_4A==",
        "data:image/jpeg;base64,/9j/4A==",
        "é",
        "\ud83d\ude00",
        b64(b"\x89PNG\r\n\x1a\n"),
        b64(b"GIF89a"),
        b64(b"\xff\xd8"),
        b64(JPEG.ljust(FRAME_MAX_BYTES + 1, b"\x00")),
        b64(JPEG.ljust(FRAME_MAX_BYTES + 3, b"\x00")),
        255,
        [255, 216, 255],
        None,
    ],
)
def test_a_frame_of_another_form_is_refused(frame: object) -> None:
    with pytest.raises(ValidationError):
        read(fields.FrameJpeg, frame)


@pytest.mark.parametrize("text", ["a\x1b[2Jb", "a\nb", "a\u202eb", "a\x00", "\x7f"])
def test_shown_text_is_printable(text: str) -> None:
    assert read(fields.Printable, "camera 0: busy, déjà vu") == "camera 0: busy, déjà vu"
    with pytest.raises(ValidationError):
        read(fields.Printable, text)


def test_a_name_of_a_million_marks_costs_nothing():
    """NFC sorts combining marks in quadratic time, so the length is judged before it."""
    began = time.process_time()
    for canonical in (fields.canonical_username, fields.canonical_password):
        with pytest.raises(ValueError, match=r"at most|has 1 to"):
            canonical("a" + "\u0315\u0300" * 500_000)
    assert time.process_time() - began < 0.5
