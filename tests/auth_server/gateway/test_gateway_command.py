"""`4auth-gateway` on the command line: what it refuses to start with, and who it says it is."""

import json
import logging
import socket
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import structlog

from auth_client.device_key import load_or_make_key, public_text
from auth_server.gateway.__main__ import EX_CONFIG, main
from provisioning.gateway_files import GatewayPlan, make_gateway

NOW = datetime(2026, 11, 22, 9, 30, tzinfo=UTC)
PIN = "ab" * 32


@pytest.fixture
def plan(tmp_path: Path) -> GatewayPlan:
    """The files of a gateway as `site init` makes them."""
    folder = tmp_path / "gateway"
    folder.mkdir(mode=0o700)
    made = GatewayPlan(folder=folder, site="test", host="127.0.0.1", server_port=8443)
    make_gateway(made, made, PIN, NOW)
    return made


def run(plan: GatewayPlan, *arguments: str) -> int:
    return main(["--settings", str(plan.settings), *arguments])


def change(plan: GatewayPlan, old: str, new: str) -> None:
    text = plan.settings.read_text()
    assert old in text
    plan.settings.write_text(text.replace(old, new))


def test_what_was_made_is_good(plan, capsys):
    assert run(plan, "--check-config") == 0
    assert capsys.readouterr().out == f"{plan.settings}: good\n"


def test_the_settings_are_told_whole_and_hold_no_secret(plan, capsys):
    assert run(plan, "--dump-config") == 0
    told = json.loads(capsys.readouterr().out)
    assert told["server"] == told["server"] | {"url": "https://127.0.0.1:8443", "pins": [PIN]}
    assert told["listen"]["port"] == 65432 and told["limits"]["requests_in_flight"] == 4


def test_its_identity_is_its_own_key_made_once(plan, capsys):
    assert run(plan, "identity", "--json") == 0
    first = json.loads(capsys.readouterr().out)
    assert run(plan, "identity", "--json") == 0
    assert json.loads(capsys.readouterr().out) == first
    key = load_or_make_key(plan.folder / "device" / "device.pem")
    assert first == {"kiosk_id": "gateway", "public_key": public_text(key)}


FAULTS = [
    ("port = 65432", "port = 0", "listen.port = 0"),
    ("port = 65432", "ports = 65432", "ports"),
    ('url = "https:', 'url = "http:', "server.url"),
    (f'pins = ["{PIN}"]', "pins = []", "server.pins"),
    ('gateway_id = "gateway"', 'gateway_id = "Gate 1"', "gateway_id"),
    ("gateway.crt", "missing.crt", "tls_certificate"),
    ("gateway.key", "missing.key", "missing.key"),
]


@pytest.mark.parametrize(("old", "new", "named"), FAULTS)
def test_it_does_not_start_with_what_is_wrong_and_names_it(plan, capsys, old, new, named):
    change(plan, old, new)
    assert run(plan, "--check-config") == EX_CONFIG
    said = capsys.readouterr().err
    assert said.startswith("4auth-gateway: ") and named in said and "Traceback" not in said


def test_more_connections_from_one_address_than_in_all_make_no_sense(plan, capsys):
    plan.settings.write_text(plan.settings.read_text() + "[limits]\nconnections = 10\n")
    assert run(plan, "--check-config") == EX_CONFIG
    assert "connections_per_address = 64 must not be above connections = 10" in capsys.readouterr().err


def test_a_tls_key_that_others_can_read_is_refused(plan, capsys):
    plan.tls_key.chmod(0o644)
    assert run(plan, "--check-config") == EX_CONFIG
    assert "0644" in capsys.readouterr().err


def test_a_device_key_that_others_can_read_is_refused(plan, capsys):
    run(plan, "identity")
    (plan.folder / "device" / "device.pem").chmod(0o640)
    assert run(plan, "--check-config") == EX_CONFIG
    assert "mode 0640" in capsys.readouterr().err


@pytest.fixture
def logging_as_before() -> Iterator[None]:
    """What the command sets up for its process ends with the test."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def test_a_port_that_is_taken_is_named(plan, capsys, logging_as_before):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        change(plan, "port = 65432", f"port = {port}")
        assert run(plan) == EX_CONFIG
    assert f"listen.port = {port}" in capsys.readouterr().err


def test_help_has_an_example(capsys):
    with pytest.raises(SystemExit):
        main(["--help"])
    assert "4auth-gateway --settings" in capsys.readouterr().out
