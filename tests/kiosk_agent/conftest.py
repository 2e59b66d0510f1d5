"""A kiosk's surroundings for tests: a clock that moves when told, a server that behaves, a site's keys."""

import hashlib
import json
import os
import socket
import ssl
import threading
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import cv2
import jwt
import numpy as np
import pyotp
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import NameOID
from http_message_signatures import HTTPMessageVerifier, HTTPSignatureKeyResolver, InvalidSignature, algorithms
from jwt.algorithms import OKPAlgorithm
from pydantic import ValidationError

from auth_client.client import AuthClient, Surroundings
from auth_contract.actions import Action
from auth_contract.messages import SUBMISSIONS, AttemptRequest
from auth_contract.paths import SUBMISSION
from auth_contract.signing import COVERED_COMPONENTS, LABEL, TAG
from kiosk_agent.settings import KioskSettings, ServerSettings, parse_settings

NOW = datetime(2026, 11, 22, 9, 30, tzinfo=UTC)
SITE = "lab"
KIOSK = "front-door"
ATTEMPT_ID = "A" * 22
NONCE = "N" * 22
MAC = "00:1b:21:0a:0b:0c"
CHANGE_ID = "C" * 22
SECRET = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"


class Clock:
    """Time that stands still until someone waits or moves it."""

    def __init__(self) -> None:
        self.moved_s = 0.0
        self.slept: list[float] = []

    def now(self) -> datetime:
        return NOW + timedelta(seconds=self.moved_s)

    def monotonic(self) -> float:
        return self.moved_s

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.moved_s += seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def around(clock: Clock) -> Surroundings:
    numbers = iter(range(1_000_000))
    return Surroundings(clock.now, clock.monotonic, clock.sleep, lambda: f"{next(numbers):022d}")


# --- the site's keys


@dataclass(frozen=True)
class Assertions:
    """Issues what the server issues, and with any claim changed on request."""

    key: Ed25519PrivateKey = field(default_factory=Ed25519PrivateKey.generate)
    kid: str = "key-1"

    def token(self, *, now: datetime = NOW, key: Ed25519PrivateKey | None = None, **changes: object) -> str:
        issued_s = int(now.timestamp())
        claims: dict[str, object] = {
            "iss": f"4auth:{SITE}",
            "aud": SITE,
            "sub": "alice",
            "jti": "j-1",
            "kiosk": KIOSK,
            "nonce": NONCE,
            "iat": issued_s,
            "nbf": issued_s,
            "exp": issued_s + 60,
            "amr": ["pwd", "otp", "face", "mfa"],
        }
        header = {"kid": changes.pop("kid", self.kid)}
        claims = {name: value for name, value in (claims | changes).items() if value is not None}
        return jwt.encode(claims, key or self.key, algorithm="EdDSA", headers=header)  # type: ignore[arg-type]

    def jwks(self) -> dict[str, Any]:
        public = json.loads(OKPAlgorithm.to_jwk(self.key.public_key()))
        return {"keys": [public | {"kid": self.kid, "alg": "EdDSA", "use": "sig"}]}


@pytest.fixture
def assertions() -> Assertions:
    return Assertions()


# --- the server


@dataclass
class Received:
    """One request as the server saw it."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> dict[str, Any]:
        return json.loads(self.body)

    @property
    def url(self) -> str:
        return f"https://server.invalid{self.path}"

    @property
    def signature_nonce(self) -> str:
        return self.headers["Signature-Input"].split('nonce="')[1].split('"')[0]


@dataclass(frozen=True)
class Reply:
    """What the server answers; `raw` is sent as it is instead."""

    status: int = 200
    body: object = None
    headers: tuple[tuple[str, str], ...] = ()
    raw: bytes | None = None

    def encoded(self) -> bytes:
        if self.raw is not None:
            return self.raw
        text = json.dumps(self.body).encode()
        lines = [f"HTTP/1.1 {self.status} x", "Content-Type: application/json", f"Content-Length: {len(text)}"]
        lines += ["Connection: close", *(f"{name}: {value}" for name, value in self.headers)]
        return "\r\n".join([*lines, "", ""]).encode() + text


DROP = "drop"
"""In place of a Reply: read the request, then close the connection without a word."""

Answer = Reply | str | Callable[[Received], Reply]


class _OneKey(HTTPSignatureKeyResolver):
    def __init__(self, key: Any) -> None:
        self._key = key

    def resolve_public_key(self, key_id: str) -> Any:
        return self._key


class _Verifier(HTTPMessageVerifier):
    def validate_created_and_expires(self, sig_input: Any, max_age: Any = None) -> None:
        """The test's clock stands still."""


class FakeAuthServer:
    """A TLS server on loopback that checks signatures and answers as its script says.

    Unless told otherwise it grants every action: a new TOTP secret waits for a code that is right by
    its own clock. `answers[path]` is a line of answers; its last one is given again and again.
    `contract_faults` tells of submissions that are not what the contract says, or not of the action
    for which the last attempt was opened. `app_bytes` counts what clients sent inside TLS, whether
    or not it was a request.
    """

    def __init__(self, folder: Path, kiosk_key: Any, assertions: Assertions) -> None:
        self.kiosk_key = kiosk_key
        self.assertions = assertions
        self.now: Callable[[], datetime] = lambda: NOW
        self.app_bytes = 0
        self.connections = 0
        self.requests: list[Received] = []
        self.signature_faults: list[str] = []
        self.contract_faults: list[str] = []
        self.opened: list[Action] = []
        self.totp = pyotp.TOTP(SECRET)
        self.answers: dict[str, deque[Answer]] = {
            **{path: deque([lambda request: self.change(request.json["username"])]) for path in SUBMISSION.values()},
            "/v1/register": deque([lambda request: self.new_secret(request.json["username"])]),
            "/v1/recover/totp": deque([lambda request: self.new_secret(request.json["username"])]),
            "/v1/confirm": deque([self.confirm]),
            "/v1/attempts": deque([self.attempt()]),
            "/v1/login": deque([lambda request: self.grant(request.json["username"])]),
            "/v1/heartbeat": deque([lambda _request: Reply(body={"server_ts_utc": self.now().isoformat()})]),
            "/.well-known/jwks.json": deque([lambda _request: Reply(body=self.assertions.jwks())]),
        }
        self.pin, context = _tls(folder)
        self._context = context
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        self.url = f"https://127.0.0.1:{self.port}"
        self._is_open = True
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    @staticmethod
    def reply(**fields: Any) -> Reply:
        """Any answer at all."""
        return Reply(**fields)

    @staticmethod
    def attempt(*movements: str) -> Reply:
        expires_at = (NOW + timedelta(seconds=60)).isoformat()
        body = {"attempt_id": ATTEMPT_ID, "nonce": NONCE, "expires_at": expires_at, "movements": movements}
        return Reply(body=body)

    @staticmethod
    def refusal(reason: str, status: int = 403, **more: object) -> Reply:
        body = {"outcome": "refused", "reason": reason, "message": f"Because {reason}."}
        return Reply(status=status, body=body | more)

    def grant(self, username: str = "alice", **claims: object) -> Reply:
        """A granted login whose assertion is good, but for the claims given."""
        now = self.now()
        token = self.assertions.token(now=now, **({"sub": username} | claims))
        body = {"outcome": "granted", "username": username, "granted_at": now.isoformat(), "message": "Welcome."}
        return Reply(body=body | {"assertion": token})

    def change(self, username: str = "alice", message: str = "It is done.", **pending: Any) -> Reply:
        """A granted action that is no login; `pending` are members of what it waits for."""
        now = self.now()
        body = {"outcome": "granted", "username": username, "granted_at": now.isoformat(), "message": message}
        if pending:
            expires_at = (now + timedelta(seconds=pending.pop("lifetime_s", 600))).isoformat()
            body["pending"] = {"change_id": CHANGE_ID, "expires_at": expires_at} | pending
        return Reply(body=body)

    def uri(self, username: str) -> str:
        """The provisioning URI of the one secret that this server gives."""
        return self.totp.provisioning_uri(name=username, issuer_name=f"4Auth {SITE}")

    def new_secret(self, username: str, *more: str, lifetime_s: float = 600) -> Reply:
        """A new TOTP secret that waits for its first code, and what else it waits for."""
        needs = ["code", *more]
        return self.change(
            username, "Scan it.", needs=needs, provisioning_uri=self.uri(username), lifetime_s=lifetime_s
        )

    def first_code(self) -> str:
        """The code that an authenticator app shows now."""
        return self.totp.at(self.now())

    def confirm(self, request: Received) -> Reply:
        """Done, where the code is right."""
        sent = request.json
        is_right = (sent["change_id"], sent["new_totp"]) == (CHANGE_ID, self.first_code())
        return self.change(sent["username"]) if is_right else self.refusal("denied")

    def answer(self, path: str, *answers: Answer) -> None:
        """Answer at this path so from now on; the last answer is given again and again."""
        self.answers[path] = deque(answers)

    def at(self, path: str) -> list[Received]:
        return [request for request in self.requests if request.path == path]

    def close(self) -> None:
        """Stop serving; when this returns, all that clients sent has been counted."""
        if not self._is_open:
            return
        self._is_open = False
        # An accept that waits is woken by a visitor, not by closing its socket under it.
        with socket.create_connection(("127.0.0.1", self.port)):
            self._thread.join(10)
        self._socket.close()

    def _serve(self) -> None:
        while True:
            connection, _ = self._socket.accept()
            if not self._is_open:
                connection.close()
                return
            self.connections += 1
            connection.settimeout(10)
            try:
                with self._context.wrap_socket(connection, server_side=True) as stream:
                    self._talk(stream)
            except OSError:
                connection.close()

    def _talk(self, stream: ssl.SSLSocket) -> None:
        request = self._read(stream)
        if request is None:
            return
        self.requests.append(request)
        if request.method == "POST":
            self._check_signature(request)
            self._check_contract(request)
        line = self.answers[request.path]
        answer = line.popleft() if len(line) > 1 else line[0]
        if isinstance(answer, str):
            return
        stream.sendall((answer(request) if callable(answer) else answer).encoded())
        stream.unwrap()

    def _read(self, stream: ssl.SSLSocket) -> Received | None:
        data = b""
        while b"\r\n\r\n" not in data:
            data += (chunk := stream.recv(65536))
            self.app_bytes += len(chunk)
            if not chunk:
                return None
        head, _, body = data.partition(b"\r\n\r\n")
        first, *lines = head.decode().split("\r\n")
        headers = dict(line.split(": ", 1) for line in lines)
        while len(body) < int(headers.get("Content-Length", 0)):
            body += (chunk := stream.recv(65536))
            self.app_bytes += len(chunk)
        method, path, _ = first.split(" ")
        return Received(method, path, headers, body)

    def _check_contract(self, request: Received) -> None:
        if request.path == "/v1/attempts":
            return self.opened.append(AttemptRequest.model_validate_json(request.body).action)
        action = next((action for action, path in SUBMISSION.items() if path == request.path), None)
        if action is None:
            return None
        try:
            SUBMISSIONS[action].model_validate_json(request.body)
        except ValidationError as error:
            self.contract_faults.append(f"{request.path}: {error}")
        if self.opened[-1:] != [action] or request.signature_nonce != NONCE:
            self.contract_faults.append(f"{request.path}: no attempt was opened for it")
        return None

    def _check_signature(self, request: Received) -> None:
        verifier = _Verifier(signature_algorithm=algorithms.ED25519, key_resolver=_OneKey(self.kiosk_key))
        try:
            verifier.verify(
                request,
                max_age=None,
                expect_tag=TAG,
                expect_label=LABEL,
                require_components=COVERED_COMPONENTS,
                body=request.body,
            )
        except InvalidSignature as error:
            self.signature_faults.append(str(error))


def _tls(folder: Path) -> tuple[str, ssl.SSLContext]:
    """A key and what serves with it; servers of one folder have one key."""
    file = folder / "tls.pem"
    key = load_pem_private_key(file.read_bytes(), None) if file.exists() else ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "some other name")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(NOW - timedelta(days=900))
        .not_valid_after(NOW + timedelta(days=900))
        .sign(key, SHA256())
    )
    file.write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()) + certificate.public_bytes(Encoding.PEM)
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    spki = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(spki).hexdigest(), context


@pytest.fixture(scope="session")
def kiosk_key() -> Ed25519PrivateKey:
    return Ed25519PrivateKey.generate()


@pytest.fixture
def server(tmp_path: Path, kiosk_key: Ed25519PrivateKey, assertions: Assertions) -> Iterator[FakeAuthServer]:
    fake = FakeAuthServer(tmp_path, kiosk_key.public_key(), assertions)
    yield fake
    fake.close()


@pytest.fixture
def client(server: FakeAuthServer, kiosk_key: Ed25519PrivateKey, around: Surroundings) -> Iterator[AuthClient]:
    made = AuthClient(ServerSettings(url=server.url, pins=(server.pin,)), KIOSK, kiosk_key, around)
    yield made
    made.close()


# --- pictures and settings


@pytest.fixture(scope="session")
def picture() -> bytes:
    """A JPEG of 64x48 pixels with a gradient, no face in it."""
    image = np.tile(np.linspace(0, 255, 64, dtype=np.uint8), (48, 1))
    return cv2.imencode(".jpg", cv2.merge([image, image, image]))[1].tobytes()


@pytest.fixture
def picture_file(tmp_path: Path, picture: bytes) -> Path:
    path = tmp_path / "face.jpg"
    path.write_bytes(picture)
    return path


MakeSettings = Callable[..., KioskSettings]


@pytest.fixture
def members(tmp_path: Path, picture_file: Path) -> dict[str, Any]:
    """Good settings as a TOML file gives them; nothing listens at their server."""
    (tmp_path / "script").write_text("")
    return {
        "kiosk_id": KIOSK,
        "site": SITE,
        "environment": "development",
        "key_file": str(tmp_path / "keys" / "device.pem"),
        "interface": "eth0",
        "mac_override": MAC,
        "server": {"url": "https://127.0.0.1:9", "pins": ["0" * 64]},
        "camera": {"kind": "replay", "sources": [str(picture_file)]},
        "keypad": {"kind": "scripted", "script": str(tmp_path / "script")},
        "screen": {"kind": "terminal"},
        "door": {"kind": "log"},
    }


@pytest.fixture
def make_settings(members: dict[str, Any]) -> MakeSettings:
    def make(**changes: Any) -> KioskSettings:
        return parse_settings(members | changes)

    return make


# --- the command as a process


LINES = (
    {"step": "name", "text": "Alice"},
    {"step": "password", "text": "Secret-Pass"},
    {"step": "code", "text": "424242"},
)
"""What a person types to log in."""


@pytest.fixture
def write(tmp_path, members, server):
    """Writes a settings file, with changes as TOML text put before and after."""
    server.now = lambda: datetime.now(UTC)

    def write_file(*, lines=LINES, before: str = "", after: str = "", **changes) -> str:
        (tmp_path / "script").write_text("\n".join(map(json.dumps, lines)))
        all_members = members | {"server": {"url": server.url, "pins": [server.pin]}} | changes
        text = [f"{key} = {json.dumps(value)}" for key, value in all_members.items() if not isinstance(value, dict)]
        for name, section in all_members.items():
            if isinstance(section, dict):
                text += [f"[{name}]", *(f"{key} = {json.dumps(value)}" for key, value in section.items())]
        path = tmp_path / "kiosk.toml"
        path.write_text("\n".join([before, *text, after]))
        return str(path)

    return write_file


@pytest.fixture
def environment(project_folder) -> dict[str, str]:
    return {"PYTHONPATH": str(project_folder), "PATH": os.environ["PATH"], "PYTHONWARNINGS": "error"}
