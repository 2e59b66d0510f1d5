"""Doors that are a program or a controller: real processes, real requests, and nobody else's door."""

import ast
import hashlib
import hmac
import json
import os
import select
import ssl
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from pydantic import TypeAdapter, ValidationError

from kiosk_agent.door.command import CommandBackend
from kiosk_agent.door.webhook import WebhookBackend
from kiosk_agent.errors import BackendRefused, DoorFault
from kiosk_agent.events import VerifiedAssertion
from kiosk_agent.settings.doors import AnyDoor
from tests.kiosk_agent.conftest import Reply

ALICE = VerifiedAssertion("alice; rm -rf /", "j-1", "the.secret.token")
PIN = "0" * 64


def settings(**members):
    return TypeAdapter(AnyDoor).validate_python(members)


# --- a program


@pytest.fixture
def program(tmp_path):
    """Makes a program of this body, run by Python; what it writes to `out` can be read."""

    def make(body: str, *arguments: str, **changes) -> CommandBackend:
        script = tmp_path / "open-door"
        script.write_text(f"#!{sys.executable} -I\nimport os, sys, time\nout = {str(tmp_path / 'out')!r}\n{body}\n")
        script.chmod(0o755)
        return CommandBackend(settings(kind="command", argv=(str(script), *arguments), **changes))

    return make


SHOW = "open(out, 'w').write(repr((sys.argv[1:], dict(os.environ), os.getcwd())))"


def test_a_program_gets_its_arguments_as_they_are_and_nothing_else(program, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("FOURAUTH_SECRET", "of the agent")
    program(SHOW, "door 1", "$(reboot)").open_for(ALICE)
    arguments, environment, folder = ast.literal_eval((tmp_path / "out").read_text())
    environment.pop("LC_CTYPE", None)  # Python sets it for itself
    assert (arguments, folder) == (["door 1", "$(reboot)"], "/")
    assert environment == {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"}


def test_a_program_is_told_who_where_the_settings_say_so(program, tmp_path) -> None:
    program(SHOW, tells_who=True).open_for(ALICE)
    _, environment, _ = ast.literal_eval((tmp_path / "out").read_text())
    assert (environment["FOURAUTH_USERNAME"], environment["FOURAUTH_JTI"]) == ("alice; rm -rf /", "j-1")
    assert "token" not in str(environment)


def test_a_program_that_fails_is_a_fault(program) -> None:
    with pytest.raises(DoorFault, match="ended with 3"):
        program("sys.exit(3)").open_for(ALICE)


def test_a_program_that_takes_too_long_is_killed_with_its_children(program, tmp_path) -> None:
    fifo = tmp_path / "alive"
    os.mkfifo(fifo)
    body = f"alive = os.open({str(fifo)!r}, os.O_WRONLY)\nos.fork()\nos.write(alive, b'.')\ntime.sleep(60)"
    watched = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    with pytest.raises(DoorFault, match=r"longer than 2 s"):
        program(body, timeout_s=2.0).open_for(ALICE)
    said = b"."
    while said:  # until neither of the two holds it any more
        assert select.select([watched], [], [], 10)[0], "a child lives on"
        said = os.read(watched, 10)
    os.close(watched)


@pytest.mark.parametrize("name", ["nothing", "notes"])
def test_a_program_that_is_none_is_refused(name, tmp_path) -> None:
    (tmp_path / "notes").write_text("no program")
    (tmp_path / "notes").chmod(0o600)
    with pytest.raises(BackendRefused, match="no program that this user may run"):
        CommandBackend(settings(kind="command", argv=(str(tmp_path / name),)))


def test_a_program_that_went_away_is_a_fault(program, tmp_path) -> None:
    door = program(SHOW)
    (tmp_path / "open-door").unlink()
    with pytest.raises(DoorFault, match="cannot be run: No such file"):
        door.open_for(ALICE)


# --- a controller


class Controller(HTTPServer):
    """A door controller: answers with these statuses, the last again and again; None closes without an answer."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.statuses: list = [204]
        self.requests: list = []
        self.url = f"http://127.0.0.1:{self.server_port}/open"
        self._thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()

    def close(self) -> None:
        self.shutdown()
        self._thread.join()
        self.server_close()


class Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.requests.append((self.path, dict(self.headers), body))
        status = self.server.statuses[0] if len(self.server.statuses) == 1 else self.server.statuses.pop(0)
        if status is None:
            return
        self.send_response(status)
        self.send_header("Location", "/elsewhere")
        self.end_headers()

    def do_GET(self) -> None:
        self.server.requests.append((self.path, {}, b""))

    def log_message(self, format, *args) -> None:
        pass


@pytest.fixture
def controller():
    made = Controller()
    yield made
    made.close()


@pytest.fixture
def webhook(clock, tmp_path):
    made = []

    def make(url: str, *, secret: str | None = None, **changes) -> WebhookBackend:
        if secret is not None:
            path = tmp_path / "secret"
            path.write_text(secret)
            path.chmod(0o600)
            changes["secret_file"] = path
        made.append(
            WebhookBackend(
                settings(kind="webhook", url=url, **changes),
                kiosk_id="front-door",
                monotonic=clock.monotonic,
                sleep=clock.sleep,
            )
        )
        return made[-1]

    yield make
    for door in made:
        door.close()


SECRET = "0123456789abcdef"


def test_what_a_controller_is_asked(controller, webhook) -> None:
    webhook(controller.url, secret=SECRET).open_for(ALICE)
    ((path, headers, body),) = controller.requests
    expected = {"event": "door_open", "kiosk": "front-door", "username": "alice; rm -rf /", "jti": "j-1"}
    assert (path, json.loads(body)) == ("/open", expected)
    mac = hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()
    assert headers["X-4Auth-Signature"] == f"sha256={mac}"
    assert "Authorization" not in headers and "token" not in str(controller.requests)


def test_a_secret_that_is_shown(controller, webhook) -> None:
    webhook(controller.url, secret=SECRET, secret_use="bearer").open_for(ALICE)
    assert controller.requests[0][1]["Authorization"] == f"Bearer {SECRET}"


@pytest.mark.parametrize("statuses", [[500, 204], [None, 200], [503, None, 299]])
def test_what_may_pass_is_tried_again(statuses, controller, webhook) -> None:
    controller.statuses = list(statuses)
    webhook(controller.url).open_for(ALICE)
    bodies = {body for _, _, body in controller.requests}
    assert (len(controller.requests), len(bodies)) == (len(statuses), 1), "the same words, by which it is recognised"


def test_trying_again_has_an_end(controller, webhook, clock) -> None:
    controller.statuses = [500]
    with pytest.raises(DoorFault, match="did not open: status 500"):
        webhook(controller.url, patience_s=10).open_for(ALICE)
    assert clock.slept == [0.3, 0.6, 1.2, 2.4, 4.8]
    assert clock.moved_s < 10


@pytest.mark.parametrize("status", [302, 400, 401, 404])
def test_a_refusal_is_final_and_a_redirect_is_one(status, controller, webhook) -> None:
    controller.statuses = [status]
    with pytest.raises(DoorFault, match=f"refused with status {status}"):
        webhook(controller.url).open_for(ALICE)
    assert len(controller.requests) == 1


def test_nobody_there_is_a_fault_without_the_address(webhook) -> None:
    with pytest.raises(DoorFault, match="no answer") as caught:
        webhook("http://127.0.0.1:9/open?key=Secret-Key", patience_s=0).open_for(ALICE)
    assert "Secret-Key" not in str(caught.value)


def test_a_controller_with_the_pinned_key(server, webhook) -> None:
    server.answer("/open", Reply(status=204))
    webhook(f"{server.url}/open", pins=(server.pin,)).open_for(ALICE)
    assert server.at("/open")[0].json["jti"] == "j-1"


def test_a_controller_with_another_key_is_told_nothing(server, webhook) -> None:
    with pytest.raises(DoorFault, match=r"none of door\.pins"):
        webhook(f"{server.url}/open", pins=(PIN,)).open_for(ALICE)
    assert server.app_bytes == 0


def test_a_controller_that_no_authority_vouches_for_is_told_nothing(server, webhook, tmp_path) -> None:
    """An authority of another: the one certificate in the file vouches for itself alone."""
    authority = Path(ssl.get_default_verify_paths().cafile or "/etc/ssl/certs/ca-certificates.crt")
    if not authority.is_file():
        pytest.skip("this machine has no list of authorities")
    with pytest.raises(DoorFault, match="no answer"):
        webhook(f"{server.url}/open", ca_file=authority, patience_s=0).open_for(ALICE)
    assert server.app_bytes == 0


@pytest.mark.parametrize(
    ("text", "mode", "rule"),
    [
        (SECRET, 0o640, "open to others"),
        ("short", 0o600, "16 ASCII"),
        ("\u00e9" * 20, 0o600, "16 ASCII"),
        (None, 0, "No such"),
    ],
)
def test_secrets_that_are_refused(text, mode, rule, tmp_path) -> None:
    path = tmp_path / "secret"
    if text is not None:
        path.write_text(text)
        path.chmod(mode)
    with pytest.raises(BackendRefused, match=rule) as caught:
        WebhookBackend(settings(kind="webhook", url="http://127.0.0.1/", secret_file=path))
    assert SECRET not in str(caught.value)


def test_a_missing_authority_is_refused(tmp_path) -> None:
    with pytest.raises(BackendRefused, match="no such file"):
        WebhookBackend(settings(kind="webhook", url="https://door.example/", ca_file=tmp_path / "none"))


@pytest.mark.parametrize(
    ("members", "rule"),
    [
        ({"kind": "webhook", "url": "http://door.example/open"}, "http only to this machine"),
        ({"kind": "webhook", "url": "http://localhost/open"}, "http only to this machine"),
        ({"kind": "webhook", "url": "https://door.example/open"}, "https needs pins or ca_file"),
        ({"kind": "webhook", "url": "http://127.0.0.1/", "pins": [PIN]}, "are for https"),
        ({"kind": "webhook", "url": "https://a/", "pins": [PIN], "ca_file": "/ca.pem"}, "only one of them"),
        ({"kind": "webhook", "url": "https://user:word@a/", "pins": [PIN]}, "without a name"),
        ({"kind": "webhook", "url": "https://a/", "pins": [PIN], "patience_s": 46}, "less than or equal to 45"),
        ({"kind": "webhook", "url": "ftp://a/"}, "an address such as"),
        ({"kind": "command", "argv": ["open-door"]}, "not a whole path"),
        ({"kind": "command", "argv": []}, "at least 1 item"),
        ({"kind": "command", "argv": "/bin/open door"}, "valid tuple"),
        ({"kind": "log", "pin": 3}, "Extra inputs"),
    ],
)
def test_settings_that_are_refused(members, rule) -> None:
    with pytest.raises(ValidationError, match=rule):
        settings(**members)


# --- whom a door is opened for


def test_only_the_verifier_makes_what_opens_a_door() -> None:
    """In all of the agent one function, which verified a signature first, makes a VerifiedAssertion."""
    package = Path(sys.modules[WebhookBackend.__module__].__file__).parent.parent
    made = [
        (path.relative_to(package).as_posix(), function.name)
        for path in sorted(package.rglob("*.py"))
        for function in ast.walk(ast.parse(path.read_text()))
        if isinstance(function, ast.FunctionDef)
        for call in ast.walk(function)
        if isinstance(call, ast.Call) and "VerifiedAssertion" in ast.unparse(call.func)
    ]
    assert made == [("assertion.py", "verify")]


def test_only_the_session_asks_for_a_door_and_only_the_agent_opens_one() -> None:
    package = Path(sys.modules[WebhookBackend.__module__].__file__).parent.parent
    calls = {
        (path.relative_to(package).as_posix(), name)
        for path in package.rglob("*.py")
        for call in ast.walk(ast.parse(path.read_text()))
        if isinstance(call, ast.Call)
        for name in ("OpenDoor", "open_for")
        if ast.unparse(call.func).rpartition(".")[2] == name
    }
    assert calls == {("answering.py", "OpenDoor"), ("agent.py", "open_for")}
