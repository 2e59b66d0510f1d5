"""A person at the terminal client, at a real server: registers, photographs the code's picture, and is let in."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from demo.kiosk import backends
from demo.phone import Phone
from demo.qr_reader import read_qr_file
from demo.seat import Seat
from demo.site import command

NAME, PASSWORD = "stroller", "Silent otter 77"


@pytest.fixture
def memory(tmp_path: Path) -> Path:
    place = tmp_path / "memory"
    place.mkdir(mode=0o700)
    return place


@pytest.fixture
def seat(house: Any, memory: Path, tmp_path: Path) -> Iterator[Seat]:
    """The settings are those of a kiosk with a scripted keypad."""
    camera = {**backends(house.scene.parent / "turning"), "capture": {"enrol_frames": 5, "enrol_interval_s": 0.1}}
    settings = house.site.kiosk_settings("kiosk-1", mac_override="02:00:5e:10:00:01", **camera)
    client = [command("4auth-kiosk"), "--screen", "terminal", "--settings", str(settings)]
    with (tmp_path / "log").open("wb") as log:
        seat = Seat(client, log, {**os.environ, "XDG_RUNTIME_DIR": str(memory)})
    yield seat
    seat.process.kill()
    seat.process.wait()


def test_an_invited_person_registers_by_the_picture_and_logs_in(house: Any, seat: Seat, memory: Path) -> None:
    ticket = house.site.provision("user", "invite", NAME, "--kiosk", "kiosk-1")["ticket"]
    seat.type("2", at="6  Exit")
    seat.type(f"{NAME}\r", at="New name")
    seat.type(f"{ticket}\r", at="Permission")
    for password in (f"{NAME}-2026", PASSWORD):
        seat.type(f"{password}\r", at="New password")
        seat.type(f"{password}\r", at="New password, again")
        if password != PASSWORD:
            seat.look_for("own name")
    seat.look_for("As a picture: ")
    [picture] = memory.rglob("*.png")
    phone = Phone(read_qr_file(picture))
    seat.type(f"{phone.code()}\r")
    seat.look_for("Registered")
    assert list(memory.iterdir()) == []

    seat.type("1", at="6  Exit")
    seat.type(f"{NAME}\r", at="Your name")
    seat.type(f"{PASSWORD}\r", at="Your password")
    seat.type(f"{phone.code()}\r", at="Your code")
    seat.look_for("granted: ")
    assert seat.leave() == 0
