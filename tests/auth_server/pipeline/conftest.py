"""A whole server in one process: the real store, signature, pipeline and application.

Only the face engine is a stand-in, and it behaves: a frame says who is in it.
"""

import base64
import hashlib
import io
import itertools
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import bcrypt
import numpy as np
import pyotp
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from flask.testing import FlaskClient
from http_message_signatures import HTTPMessageSigner, MappingKeyResolver, algorithms
from PIL import Image
from werkzeug.test import TestResponse

from auth_contract import paths, signing
from auth_contract.actions import Action, CaptureHint
from auth_contract.messages import SUBMISSIONS
from auth_server.accounts import NewAccount
from auth_server.admins import Role
from auth_server.app import create_app
from auth_server.bootstrap import Opened, new_token, wire
from auth_server.domain import Template
from auth_server.errors import FaceUnusable, Malformed, Unavailable
from auth_server.face.observation import EnrolledFace, Observation
from auth_server.face.recording import Recording, check_form, problem_of_marks, recording_of
from auth_server.keyring import Keyring
from auth_server.password_policy import hash_password
from auth_server.services import Services
from auth_server.settings import ServerSettings
from auth_server.store.database import Database
from auth_server.timesource import TimeStatus

PASSWORD = "Correct horse 7"
NEW_PASSWORD = "Quiet marmot 42"
SECRET = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"
MAC = "02:00:5e:10:00:01"
_ENGINE_MODEL = "test-model"


def picture(who: str) -> bytes:
    """A real JPEG whose comment says who is in it."""
    out = io.BytesIO()
    Image.new("RGB", (64, 64), "grey").save(out, "JPEG", comment=who.encode())
    return out.getvalue()


def embedding(who: str) -> bytes:
    """A unit vector that only this name has."""
    seed = int.from_bytes(hashlib.sha256(who.encode()).digest()[:4], "big")
    vector = np.random.default_rng(seed).normal(size=512)
    return (vector / np.linalg.norm(vector)).astype("<f4").tobytes()


class NamedFaces:
    """Sees the name in a frame's comment; `no_face`, `several_faces` and faults by name too."""

    model = _ENGINE_MODEL
    embedding_size = 512
    threshold = 0.5
    presence_threshold: float | None = 0.5

    def observe(self, recording: Recording) -> Observation:
        check_form(recording)
        frames = recording.frames
        who = _who(frames[0])
        hint = CaptureHint(who) if who in set(CaptureHint) else None
        return Observation(
            template=None if hint else Template(_ENGINE_MODEL, embedding(who.removeprefix("print of "))),
            capture_hint=hint,
            presence=None if hint else _presence(who),
            is_one_person=True,
            evidence={"frames": len(frames), "movements": len(recording.movements)},
            problem=problem_of_marks(recording),
        )

    def enrol(self, pictures: Recording | tuple[bytes, ...]) -> EnrolledFace:
        recording = recording_of(pictures)
        check_form(recording)
        people = [_who(picture) for picture in recording.frames]
        for index, who in enumerate(people):
            if who in set(CaptureHint):
                raise FaceUnusable(index, CaptureHint(who))
            if who != people[0]:
                raise FaceUnusable(index, CaptureHint.SEVERAL_FACES)
        template = Template(_ENGINE_MODEL, embedding(people[0].removeprefix("print of ")))
        return EnrolledFace(template, b"png of " + people[0].encode(), _presence(people[0]), {"frames": len(people)})


def _who(frame: bytes) -> str:
    try:
        who = str(Image.open(io.BytesIO(frame)).info["comment"].decode())
    except (OSError, SyntaxError, ValueError, KeyError):  # how PIL says that it is no picture, and one without a name
        raise Malformed("frames.0", "a frame is a whole JPEG") from None
    if who == "queue full":
        raise Unavailable("the face queue is full", retry_after_s=2)
    if who == "cut short":
        raise Malformed("frames.0", "a frame is a whole JPEG")
    if who == "broken":
        raise ZeroDivisionError("the engine broke")
    return who


def _presence(who: str) -> float:
    return 0.1 if who.startswith("print of ") else 0.9


class ManualTime:
    """A clock that a test turns."""

    def __init__(self, now: datetime) -> None:
        self.moment = now
        self.is_wrong = False

    def now(self) -> datetime:
        return self.moment

    def trusted_now(self) -> datetime:
        if self.is_wrong:
            raise Unavailable("the server's clock is off", retry_after_s=60)
        return self.moment

    def status(self) -> TimeStatus:
        return TimeStatus("wrong" if self.is_wrong else "unverified", "set by the test")

    def stop(self) -> None:
        """Nothing runs."""


@dataclass
class FakeKiosk:
    """A kiosk's key and clock, and the signing of its requests."""

    kiosk_id: str
    mac: str
    clock: Callable[[], datetime]
    key: Ed25519PrivateKey = field(default_factory=Ed25519PrivateKey.generate)
    skew: timedelta = timedelta()

    def headers(self, path: str, body: bytes, nonce: str) -> dict[str, str]:
        """The signed headers of one POST."""
        digest = base64.b64encode(hashlib.sha256(body).digest()).decode()
        message = SimpleNamespace(
            method="POST",
            url=f"https://server.test{path}",
            headers={"Content-Type": signing.CONTENT_TYPE, "Content-Digest": f"sha-256=:{digest}:"},
        )
        HTTPMessageSigner(
            signature_algorithm=algorithms.ED25519,
            key_resolver=MappingKeyResolver(public_keys={}, private_keys={self.kiosk_id: self.key}),
        ).sign(
            message,
            key_id=self.kiosk_id,
            created=self.clock() + self.skew,
            nonce=nonce,
            label=signing.LABEL,
            tag=signing.TAG,
            covered_component_ids=signing.COVERED_COMPONENTS,
            use_existing_digest=True,
        )
        return message.headers


@dataclass
class Site:
    """The server, its clock, one enrolled person and two kiosks; the calls a kiosk makes."""

    services: Services
    client: FlaskClient
    time: ManualTime
    kiosk: FakeKiosk
    other_kiosk: FakeKiosk
    _codes: Iterator[int] = field(default_factory=itertools.count)

    def post(
        self, path: str, body: bytes, *, nonce: str, kiosk: FakeKiosk | None = None, **headers: str
    ) -> TestResponse:
        """Send a signed body."""
        signed = (kiosk or self.kiosk).headers(path, body, nonce)
        return self.client.post(path, data=body, headers={**signed, **headers})

    def open(self, kiosk: FakeKiosk | None = None, action: Action = Action.LOGIN) -> dict[str, Any]:
        """Open an attempt and return the reply."""
        asked = json.dumps({"action": action.value}).encode()
        reply = self.post(paths.ATTEMPTS, asked, nonce=new_token(), kiosk=kiosk)
        assert reply.status_code == 200, reply.text
        return dict(reply.json or {})

    def code(self) -> str:
        """Ada's code of this moment."""
        return pyotp.TOTP(SECRET).at(self.time.now())

    def fields(self, attempt: dict[str, Any], **changes: Any) -> dict[str, Any]:
        """Ada's right submission, with changes; a change to None leaves the field out."""
        fields = {
            "attempt_id": attempt["attempt_id"],
            "username": "ada",
            "password": PASSWORD,
            "totp": self.code(),
            "frames": [base64.b64encode(picture("ada")).decode()],
            "mac": MAC,
            "client_ts_utc": self.time.now().isoformat(),
            **changes,
        }
        return {name: value for name, value in fields.items() if value is not None}

    def login(self, *, kiosk: FakeKiosk | None = None, who: str = "ada", **changes: Any) -> TestResponse:
        """Open an attempt and submit it."""
        attempt = self.open(kiosk)
        frames = [base64.b64encode(picture(who)).decode()]
        body = json.dumps(self.fields(attempt, **{"frames": frames, **changes})).encode()
        return self.post(paths.LOGIN, body, nonce=attempt["nonce"], kiosk=kiosk)

    def submit(
        self, action: Action, *, kiosk: FakeKiosk | None = None, who: str = "ada", new_who: str = "ada", **changes: Any
    ) -> TestResponse:
        """Open an attempt at any action and submit all that it asks for, right, with changes."""
        at = kiosk or self.kiosk
        attempt = self.open(at, action)
        right = {
            "attempt_id": attempt["attempt_id"],
            "username": "ada",
            "mac": at.mac,
            "client_ts_utc": self.time.now().isoformat(),
            "password": PASSWORD,
            "totp": self.code(),
            "frames": [base64.b64encode(picture(who)).decode()],
            "new_password": NEW_PASSWORD,
            "new_frames": [base64.b64encode(picture(new_who)).decode()] * 3,
            **changes,
        }
        wanted = SUBMISSIONS[action].model_fields
        body = json.dumps({name: value for name, value in right.items() if name in wanted and value is not None})
        return self.post(paths.SUBMISSION[action], body.encode(), nonce=attempt["nonce"], kiosk=at)

    def next_code(self) -> None:
        """Let time pass until a code that was not used is shown."""
        self.time.moment += timedelta(seconds=30)

    def last_row(self) -> dict[str, Any]:
        """The newest audit row, its detail parsed."""
        row = self.services.audit.show(self.services.audit.head()[0])
        assert row is not None
        return {
            "success": row.success,
            "reason": row.reason,
            "username": row.username,
            "kiosk": row.kiosk_id,
            "action": row.action,
            "detail": json.loads(row.detail or "{}"),
        }

    def verdicts(self) -> dict[str, bool]:
        """Which factors passed, by the newest audit row."""
        return {name: verdict["passed"] for name, verdict in self.last_row()["detail"]["verdicts"].items()}


@pytest.fixture(scope="session")
def password_hash() -> bytes:
    return hash_password(PASSWORD)


def settings(folder: Path, **sections: Any) -> ServerSettings:
    """A site's settings, of which the pipeline needs the name, its actions and where checkpoints go."""
    return ServerSettings.model_validate(
        {
            "site": "test",
            "listen": {"host": "127.0.0.1", "port": 8443, "tls_certificate": "none", "tls_key": "none"},
            "health": {"port": 9464},
            "store": {"database": "none", "keys": "none", "checkpoints": str(folder / "checkpoints.jsonl")},
            # Most tests need no movements; those of them are in test_movements.py.
            "face": {"models": "none", "presence": "passive"},
            **sections,
        }
    )


def quick_hash(password: str) -> bytes:
    """A bcrypt hash of the least cost, so that thousands of steps take seconds."""
    return bcrypt.hashpw(password.encode(), bcrypt.gensalt(4))


@pytest.fixture
def sections(request: pytest.FixtureRequest) -> dict[str, Any]:
    """More sections of the site's settings; a test gives its own by indirect parametrisation."""
    return dict(getattr(request, "param", {}))


@pytest.fixture
def site(
    database: Database, keyring: Keyring, password_hash: bytes, tmp_path: Path, sections: dict[str, Any]
) -> Iterator[Site]:
    time = ManualTime(datetime(2026, 11, 22, 9, 30, 5, tzinfo=UTC))
    parts: Any = (keyring, database, NamedFaces(), time)
    services = wire(settings(tmp_path, **sections), Opened(*parts, hash_password=quick_hash))
    kiosk = FakeKiosk("kiosk-1", MAC, time.now)
    other = FakeKiosk("kiosk-2", "02:00:5e:10:00:02", time.now)
    for fake in (kiosk, other):
        services.kiosks.add(fake.kiosk_id, fake.key.public_key().public_bytes_raw(), fake.mac)
    services.accounts.add(
        NewAccount(
            username="ada",
            password_hash=password_hash,
            totp_secret=SECRET,
            totp_last_step=0,
            template=Template(_ENGINE_MODEL, embedding("ada")),
            face_png=b"png",
            mac_addresses=frozenset({MAC}),
        ),
        time.now(),
    )
    yield Site(services, create_app(services).test_client(), time, kiosk, other)
    services.executor.shutdown()


@pytest.fixture
def sue(site: Site, password_hash: bytes) -> None:
    """A supervisor with an account of her own, at the other kiosk and at this one, and ada's kind of factors."""
    site.services.authenticator.effects.admins.add("sue", Role.SUPERVISOR, site.time.now())
    site.services.accounts.add(
        NewAccount(
            username="sue",
            password_hash=password_hash,
            totp_secret=SECRET,
            totp_last_step=0,
            template=Template(_ENGINE_MODEL, embedding("sue")),
            face_png=b"png",
            mac_addresses=frozenset({site.kiosk.mac, site.other_kiosk.mac}),
        ),
        site.time.now(),
    )
