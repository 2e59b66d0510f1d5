"""Whoever knows the wire protocol's table and nothing else registers, logs in, and gets each lost factor back."""

import base64
import itertools
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyotp
import pytest

from demo import puppet
from demo.qr_reader import read_qr
from tests.e2e.gateways import DEVICE, OTHER_DEVICE, Gate
from tests.e2e.plain_client import PlainClient, Who

PASSWORD, NEW_PASSWORD = "Silent otter 77", "Quiet heron 1906"
PHOTOGRAPHED = {
    "Jennifer_Garner": (4, 5, 6, 7, 8),
    "Andre_Agassi": (2, 4, 5, 9, 17),
    "David_Beckham": (1, 13, 15, 16, 22),
    "Jacques_Rogge": (1, 3, 5, 6, 8),
}
"""Real people in news photographs, each taken on another day."""

_STEP_S = 30


class Phone:
    """An authenticator app: scans the picture of a reply, and shows no code twice."""

    def __init__(self, reply: dict[str, Any]) -> None:
        png = np.frombuffer(base64.b64decode(reply["qr_png_b64"], validate=True), np.uint8)
        picture = cv2.imdecode(png, cv2.IMREAD_GRAYSCALE)
        assert picture is not None
        scanned = read_qr(picture)
        assert scanned == reply["provisioning_uri"], "the picture and the text say the same"
        app = pyotp.parse_uri(scanned)
        assert isinstance(app, pyotp.TOTP)
        self._app, self._shown = app, 0

    def code(self) -> str:
        """The code of this half minute or, where that was shown, of the next: a server takes both."""
        self._shown = max(self._shown + 1, int(time.time()) // _STEP_S)
        return self._app.at(self._shown * _STEP_S)


@dataclass
class Someone:
    """A person at a device, of whose face no two pictures are the same."""

    who: Who
    pictures: Iterator[bytes]
    phone: Phone = field(init=False)

    def picture(self) -> bytes:
        """The next picture."""
        return next(self.pictures)


@pytest.fixture(scope="module")
def puppets(models_folder: Path) -> Iterator[bytes]:
    """A portrait on one day after another, for as many as are asked for."""
    return (puppet.jpeg(puppet.ada(models_folder, seed=day, day=day).picture()) for day in itertools.count(40))


@pytest.fixture(params=["a portrait", "photographs"])
def faces(request: pytest.FixtureRequest, puppets: Iterator[bytes]) -> Callable[[str], Iterator[bytes]]:
    """The pictures of somebody: of one portrait that every machine has, or of a real person."""
    if request.param == "a portrait":
        return lambda _name: puppets
    images = Path(request.getfixturevalue("test_data")) / "lfw" / "images"
    return lambda name: (
        (images / name / f"{name}_{number:04}.jpg").read_bytes() for number in itertools.cycle(PHOTOGRAPHED[name])
    )


@pytest.fixture
def client(gate: Gate) -> Iterator[PlainClient]:
    """One connection, over which all is asked."""
    with gate.client() as client:
        yield client


@pytest.fixture
def registered(gate: Gate, client: PlainClient, faces: Callable[[str], Iterator[bytes]]) -> Callable[[str], Someone]:
    """Registers a new person."""

    def register(name: str) -> Someone:
        someone = Someone(Who(gate.newcomer().name, PASSWORD, DEVICE), faces(name))
        reply = client.register(someone.who, gate.admin_secret, someone.picture())
        assert reply["status"] == "ok", reply
        someone.phone = Phone(reply)
        return someone

    return register


def is_let_in(client: PlainClient, someone: Someone, code: str | None = None) -> bool:
    """Whether a log in is granted."""
    reply = client.log_in(someone.who, code or someone.phone.code(), someone.picture())
    assert reply["status"] in {"ok", "error"} and reply["message"]
    return bool(reply["status"] == "ok")


def test_a_lost_authenticator(client: PlainClient, registered: Callable[[str], Someone]) -> None:
    someone = registered("Jennifer_Garner")
    assert is_let_in(client, someone)
    reply = client.recover_totp(someone.who, someone.picture())
    assert reply["status"] == "ok", reply
    lost, someone.phone = someone.phone, Phone(reply)
    assert not is_let_in(client, someone, lost.code())
    someone.phone.code()  # of the half minute in which they logged in: used up, whatever shows it
    assert is_let_in(client, someone)


def test_a_lost_password(client: PlainClient, registered: Callable[[str], Someone]) -> None:
    someone = registered("Andre_Agassi")
    code, picture = someone.phone.code(), someone.picture()
    assert client.recover_password(someone.who, code, picture, NEW_PASSWORD)["status"] == "ok"
    code = someone.phone.code()
    assert not is_let_in(client, someone, code)
    someone.who.password = NEW_PASSWORD
    assert is_let_in(client, someone, code)


def test_a_lost_face(client: PlainClient, registered: Callable[[str], Someone]) -> None:
    """An accident, say. The picture of the new face is not taken for a log in, as it could have been kept."""
    someone = registered("David_Beckham")
    new = someone.picture()
    assert client.recover_face(someone.who, someone.phone.code(), new)["status"] == "ok"
    code = someone.phone.code()
    assert client.log_in(someone.who, code, new)["status"] == "error"
    assert is_let_in(client, someone, code)


def test_a_lost_device(client: PlainClient, registered: Callable[[str], Someone]) -> None:
    someone = registered("Jacques_Rogge")
    code, picture = someone.phone.code(), someone.picture()
    assert client.update_mac(someone.who, code, picture, OTHER_DEVICE)["status"] == "ok"
    code = someone.phone.code()
    assert not is_let_in(client, someone, code)
    someone.who.mac = OTHER_DEVICE
    assert is_let_in(client, someone, code)
