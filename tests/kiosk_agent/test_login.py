"""`kiosk_agent.login()` with real threads and the real clock, and what its logs never say."""

import io
import json
import logging
import sys
from datetime import UTC, datetime

import pytest
import structlog

from kiosk_agent import login
from kiosk_agent.errors import IdentityRefused, KeypadFault, SettingsRefused
from kiosk_agent.events import Ending
from kiosk_agent.logs import configure_logging

NONCE = "N" * 22
LINES = (
    {"step": "name", "text": "Alice"},
    {"step": "password", "text": "Secret-Pass"},
    {"step": "code", "text": "424242"},
)
SECRETS = ("Secret-Pass", "424242", "/9j/", "eyJ", "PRIVATE KEY", NONCE)


@pytest.fixture
def kiosk(tmp_path, server, make_settings):
    """Settings of a kiosk of this server, with the script of one login."""
    server.now = lambda: datetime.now(UTC)

    def make(lines=LINES, **changes):
        (tmp_path / "script").write_text("\n".join(map(json.dumps, lines)))
        where = {"url": server.url, "pins": [server.pin]}
        return make_settings(server=where, capture={"frames": 2, "interval_s": 0}, **changes)

    return make


def test_it_is_true_with_an_assertion_when_granted(kiosk) -> None:
    result = login(kiosk())
    assert result and result.is_granted
    assert (result.username, result.reason, result.message) == ("alice", Ending.GRANTED, "Welcome.")
    assert result.assertion.startswith("eyJ")
    assert result.assertion not in repr(result)


def test_it_is_false_with_a_reason_when_denied(kiosk, server) -> None:
    server.answer("/v1/login", server.refusal("denied"))
    result = login(kiosk())
    assert not result
    assert (result.username, result.assertion, result.reason) == ("", "", Ending.DENIED)


def test_it_is_false_when_the_person_cancels(kiosk) -> None:
    assert login(kiosk([{"step": "name", "keys": ["cancel"]}])).reason is Ending.CANCELLED


def test_it_takes_the_path_of_a_settings_file(tmp_path, server, kiosk, members) -> None:
    kiosk()
    path = tmp_path / "kiosk.toml"
    lines = [f"{key} = {json.dumps(value)}" for key, value in members.items() if not isinstance(value, dict)]
    sections = members | {"server": {"url": server.url, "pins": [server.pin]}}
    for name, section in sections.items():
        if isinstance(section, dict):
            lines += [f"[{name}]", *(f"{key} = {json.dumps(value)}" for key, value in section.items())]
    path.write_text("\n".join(lines))
    assert login(path)
    with pytest.raises(SettingsRefused, match="No such file"):
        login(str(path) + ".none")


def test_a_script_that_is_broken_is_told_to_the_caller(kiosk) -> None:
    with pytest.raises(KeypadFault, match="line 1"):
        login(kiosk([{"step": "nowhere"}]))


def test_a_key_that_others_can_read_is_refused_before_anything_is_opened(kiosk, server) -> None:
    settings = kiosk()
    login(settings)
    settings.key_file.chmod(0o644)
    asked = len(server.requests)
    with pytest.raises(IdentityRefused):
        login(settings)
    assert len(server.requests) == asked


@pytest.fixture
def log_lines(monkeypatch):
    """What the agent logs, at the level that says most."""
    lines = io.StringIO()
    monkeypatch.setattr(sys, "stderr", lines)
    handlers, level = logging.getLogger().handlers[:], logging.getLogger().level
    configure_logging("debug")
    yield lines
    structlog.reset_defaults()
    logging.getLogger().handlers[:] = handlers
    logging.getLogger().setLevel(level)


def test_no_secret_is_in_any_log_line_or_on_the_screen(kiosk, server, log_lines, capsys) -> None:
    unknown = server.reply(body={"assertion": server.assertions.token()})
    for answer in ("drop", server.refusal("denied"), server.grant(sub="bob"), unknown, server.grant()):
        server.answer("/v1/login", answer)
        login(kiosk())
    lines = log_lines.getvalue().splitlines()
    assert {"door_opened", "session_ended", "reply_lost", "assertion_refused"} <= {
        json.loads(line)["event"] for line in lines
    }
    written = log_lines.getvalue() + capsys.readouterr().out
    for secret in SECRETS:
        assert secret not in written
