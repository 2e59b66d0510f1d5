"""A person at the terminal of a real kiosk, with a phone, at a real server: from an invitation to a new phone."""

import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from demo.kiosk import backends
from demo.phone import Phone
from demo.seat import Seat
from demo.site import command

NAME, PASSWORD = "walker", "Silent otter 77"


@pytest.fixture
def seat(house: Any, tmp_path: Path) -> Iterator[Seat]:
    settings = house.site.kiosk_settings(
        "kiosk-1",
        mac_override="02:00:5e:10:00:01",
        **{
            **backends(house.scene.parent / "turning"),
            "keypad": {"kind": "terminal"},
            "capture": {"enrol_frames": 5, "enrol_interval_s": 0.1},
        },
    )
    with (tmp_path / "log").open("wb") as log:
        seat = Seat([command("4auth-kiosk"), "--settings", str(settings)], log)
    yield seat
    seat.process.kill()
    seat.process.wait()


def log_in(seat: Seat, password: str, code: str) -> None:
    seat.type(f"{NAME}\r", at="Type your name to log in")
    seat.type(f"{password}\r", at="Your password")
    seat.type(f"{code}\r", at="Your code")


def test_an_invited_person_registers_and_changes_to_a_new_phone(house: Any, seat: Seat, tmp_path: Path) -> None:
    ticket = house.site.provision("user", "invite", NAME, "--kiosk", "kiosk-1")["ticket"]
    seat.type("\r", at="Type your name to log in")
    seat.type("2", at="What would you like to do?")
    seat.type(f"{NAME}\r", at="New name")
    seat.type(f"{ticket}\r", at="Permission")
    for password in ("walker-2026", PASSWORD):
        seat.type(f"{password}\r", at="New password")
        seat.type(f"{password}\r", at="New password, again")
        if password != PASSWORD:
            seat.look_for("own name")
    seat.look_for("Scan this code")
    uri = seat.scan()
    phone = Phone(uri)
    seat.type(f"{phone.code()}\r")
    seat.look_for("Registered")
    assert not seat.seen.has_code

    seat.type("\r", at="Type your name to log in")
    seat.type("31", at="What would you like to do?")
    seat.type(f"{NAME}\r", at="Your name")
    seat.type(f"{PASSWORD}\r", at="Your password")
    seat.look_for("Scan this code")
    new_phone = Phone(seat.scan())
    seat.type(f"{new_phone.code()}\r")
    seat.look_for("New authenticator in force")

    log_in(seat, PASSWORD, phone.code())
    seat.look_for("Access denied")
    log_in(seat, PASSWORD, new_phone.code())
    seat.look_for("The door is open.")
    seat.look_for("Type your name to log in")
    seat.process.send_signal(signal.SIGTERM)
    assert seat.leave() == 0
    secret = parse_qs(urlsplit(uri).query)["secret"][0]
    logged = (tmp_path / "log").read_text()
    for word in (PASSWORD, ticket, secret, "otpauth"):
        assert word not in logged + seat.seen.everything
    rows = [(row.action, row.success) for row in reversed(house.rows(NAME)) if "." not in row.action]
    assert rows == [
        ("register", False),
        ("register", True),
        ("confirm", True),
        ("recover_totp", True),
        ("confirm", True),
        ("login", False),
        ("login", True),
    ]
