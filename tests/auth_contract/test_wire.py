"""The wire protocol as SPEC.md's table has it: what each code's request holds, and what is taken for it."""

import base64
import json
import socket
import ssl
import threading
from contextlib import closing
from datetime import UTC, datetime
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from auth_contract.wire import FRAME_MAX, HEADER, WIRE_REQUESTS, LogIn, WireReply, to_frame, to_json
from auth_contract.wire_client import WireClient, WireError, log_in, trusting

JPEG = b"\xff\xd8\xff" + b"\0" * 40
FACE = base64.b64encode(JPEG).decode()
WHOLE: dict[str, Any] = {
    "username": "ann",
    "password": "Correct horse 7",
    "totp": "123456",
    "faceID": FACE,
    "new_faceID": FACE,
    "mac": "02:00:5e:77:00:01",
    "new_mac": "02:00:5e:77:00:02",
    "client_ts_utc": "2026-11-22T09:30:00Z",
    "new_password": "Quiet marmot 42",
    "admin_secret": "0123456789ABCDEF",
}
CLIENT = WHOLE["mac"]
TABLE = {
    "100": {"username", "password", "totp", "faceID", "mac", "client_ts_utc"},
    "200": {"admin_secret", "username", "password", "totp", "faceID", "mac"},
    "300": {"username", "password", "faceID", "mac", "client_ts_utc"},
    "310": {"username", "totp", "faceID", "mac", "client_ts_utc", "new_password"},
    "320": {"username", "password", "totp", "new_faceID", "mac", "client_ts_utc"},
    "330": {"username", "password", "totp", "faceID", "mac", "client_ts_utc", "new_mac"},
}
"""The codes and their fields, as the clients that exist send them."""


def request(code: str, **changes: Any) -> dict[str, Any]:
    members = {name: WHOLE[name] for name in TABLE[code]} | ({"totp": "new"} if code == "200" else {})
    return {"cmd": code, **members, **changes}


def read(code: str, **changes: Any) -> Any:
    members = {name: value for name, value in request(code, **changes).items() if value is not None}
    return WIRE_REQUESTS[code].model_validate_json(json.dumps(members))


@pytest.mark.parametrize("code", TABLE)
def test_each_code_has_the_fields_of_the_table_and_no_other(code):
    assert set(WIRE_REQUESTS[code].model_fields) == TABLE[code] | {"cmd"}
    assert read(code).cmd == code


@pytest.mark.parametrize("code", TABLE)
def test_what_a_code_does_not_know_is_passed_over(code):
    assert read(code, more=1, permission="x") == read(code)


@pytest.mark.parametrize(("code", "name"), [(code, name) for code, names in TABLE.items() for name in sorted(names)])
def test_nothing_of_it_may_be_missing_but_the_word_new(code, name):
    if (code, name) == ("200", "totp"):
        assert read(code, totp=None) == read(code)
        return
    with pytest.raises(ValidationError):
        read(code, **{name: None})


TIMES = [
    ("2026-11-22T09:30:00Z", 0),
    ("2026-11-22T09:30:00", 0),
    ("2026-11-22 09:30:00.123456", 123456),
    ("2026-11-22T10:30:00+01:00", 0),
    ("20261122T093000Z", 0),
]


@pytest.mark.parametrize(("text", "microsecond"), TIMES)
def test_a_time_is_iso_8601_and_utc_where_it_does_not_say(text, microsecond):
    assert read("100", client_ts_utc=text).client_ts_utc == datetime(2026, 11, 22, 9, 30, 0, microsecond, tzinfo=UTC)


REFUSED = [
    ("client_ts_utc", "yesterday"),
    ("client_ts_utc", 1_700_000_000),
    ("client_ts_utc", "0001-01-01T00:00:00+14:00"),
    ("totp", 123456),
    ("totp", "12345"),
    ("totp", "new"),
    ("faceID", "not base64!"),
    ("faceID", base64.b64encode(b"GIF89a").decode()),
    ("mac", "02:00:5e:77:00"),
    ("username", ""),
    ("username", ["ann"]),
    ("password", "x" * 73),
    ("cmd", 100),
]


@pytest.mark.parametrize(("name", "value"), REFUSED)
def test_a_field_of_another_form_is_refused_without_being_repeated(name, value):
    with pytest.raises(ValidationError) as caught:
        read("100", **{name: value})
    assert caught.value.errors()[0]["loc"] == (name,)


def test_no_repr_shows_a_secret():
    for code in TABLE:
        text = repr(read(code))
        assert "ann" in text
        assert not [word for word in ("horse", "marmot", "123456", "0123456789ABCDEF", "xff") if word in text]
    assert "otpauth" not in repr(WireReply(status="ok", message="Done.", provisioning_uri="otpauth://totp/x"))


@given(st.binary(max_size=200))
def test_a_frame_is_a_length_and_so_many_bytes(text: bytes):
    frame = to_frame(text)
    assert frame == len(text).to_bytes(4, "big") + text


def test_a_frame_has_a_limit():
    with pytest.raises(ValueError, match=str(FRAME_MAX)):
        to_frame(b" " * (FRAME_MAX + 1))


@pytest.fixture(scope="module")
def identity(tmp_path_factory) -> tuple[str, str]:
    """A self-signed certificate and its key."""
    folder = tmp_path_factory.mktemp("tls")
    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "gate")])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(datetime(2026, 1, 1, tzinfo=UTC))
        .not_valid_after(datetime(9999, 1, 1, tzinfo=UTC))
        .sign(key, hashes.SHA256())
    )
    (folder / "crt").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    (folder / "key").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return str(folder / "crt"), str(folder / "key")


class Gate(threading.Thread):
    """A gateway that answers one request with given bytes, and keeps what it was sent."""

    def __init__(self, identity: tuple[str, str], answer: bytes, *, waits: bool = False) -> None:
        super().__init__()
        self.go = threading.Event()
        if not waits:
            self.go.set()
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(*identity)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._answer = answer
        self.got: dict[str, Any] = {}

    def run(self) -> None:
        plain, _ = self._listener.accept()
        self._listener.close()
        with closing(plain):
            try:
                with self._context.wrap_socket(plain, server_side=True) as connection:
                    file = connection.makefile("rb")
                    (length,) = HEADER.unpack(file.read(4))
                    self.got = json.loads(file.read(length))
                    self.go.wait(10)
                    connection.sendall(self._answer)
            except (OSError, ssl.SSLError):
                return


class TestClient:
    def ask(self, identity, answer: bytes) -> tuple[Gate, bool]:
        gate = Gate(identity, answer)
        gate.start()
        try:
            with WireClient("127.0.0.1", gate.port, context=trusting(identity[0])) as client:
                is_in = log_in(
                    client, username="ann", password="Correct horse 7", totp="123456", picture=JPEG, mac=WHOLE["mac"]
                )
            return gate, is_in
        finally:
            gate.join()

    def test_it_sends_what_the_table_says_and_tells_yes_from_no(self, identity):
        gate, is_in = self.ask(identity, to_frame(to_json(WireReply(status="ok", message="Access granted."))))
        assert is_in is True
        assert set(gate.got) == TABLE["100"] | {"cmd"} and gate.got["faceID"] == FACE
        assert self.ask(identity, to_frame(to_json(WireReply(status="error", message="No."))))[1] is False

    ANSWERS = (
        b"",
        b"\0\0",
        HEADER.pack(FRAME_MAX + 1),
        to_frame(b"[]"),
        to_frame(b'{"status": "maybe", "message": "?"}'),
        to_frame(b'{"status": "error", "status": "ok", "message": ""}'),
        HEADER.pack(50) + b'{"status": "ok"',
    )

    @pytest.mark.parametrize("answer", ANSWERS)
    def test_what_is_no_answer_is_never_a_yes(self, identity, answer):
        with pytest.raises(WireError):
            self.ask(identity, answer)

    def test_an_answer_that_comes_late_is_not_taken_for_the_next_ones(self, identity):
        """After a WireError the connection is of no use any more."""
        gate = Gate(identity, to_frame(to_json(WireReply(status="ok", message="Access granted."))), waits=True)
        gate.start()
        with WireClient("127.0.0.1", gate.port, context=trusting(identity[0]), timeout_s=1.0) as client:
            ann = {"username": "ann", "password": "Correct horse 7", "totp": "123456", "picture": JPEG, "mac": CLIENT}
            with pytest.raises(WireError, match="TimeoutError"):
                log_in(client, **ann)
            gate.go.set()
            with pytest.raises(WireError):
                log_in(client, **{**ann, "username": "bob"})
        gate.join()

    def test_another_gateways_certificate_is_not_trusted(self, identity, tmp_path, request):
        other = request.getfixturevalue("identity")
        gate = Gate(other, b"")
        gate.start()
        stranger = tmp_path / "stranger.crt"
        key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "x")])
        made = (
            x509.CertificateBuilder(name, name, key.public_key(), 1, datetime(2026, 1, 1), datetime(9999, 1, 1))  # noqa: DTZ001
        ).sign(key, hashes.SHA256())
        stranger.write_bytes(made.public_bytes(serialization.Encoding.PEM))
        with pytest.raises(WireError, match="CERTIFICATE_VERIFY_FAILED"):
            WireClient("127.0.0.1", gate.port, context=trusting(stranger))
        gate.join()
        assert gate.got == {}

    def test_where_nobody_listens_it_says_so(self, identity):
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
        with pytest.raises(WireError, match=str(port)):
            WireClient("127.0.0.1", port, context=trusting(identity[0]))


def test_a_program_says_of_which_offset_its_time_is():
    with pytest.raises(ValidationError, match="carries its offset"):
        LogIn(
            username="ann",
            password="x",
            totp="123456",
            faceID=JPEG,
            mac=CLIENT,
            client_ts_utc=datetime(2026, 11, 22, 9, 30),  # noqa: DTZ001
        )


def test_a_request_comes_back_as_it_was():
    asked = read("100")
    assert LogIn.model_validate_json(to_json(asked)) == asked
