"""The settings file: what is refused names the field, the value and the rule; what is left out is safe."""

import copy
import itertools
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from auth_contract.actions import Action
from auth_server.action_settings import ActionsSettings
from auth_server.errors import SettingsRefused
from auth_server.policy import POLICY, addable
from auth_server.settings import FaceSettings, ServerSettings
from auth_server.settings_file import load_settings
from demo.site import toml

GOOD = {
    "site": "lab",
    "listen": {"host": "127.0.0.1", "port": 8443, "tls_certificate": "server.crt", "tls_key": "server.key"},
    "health": {"port": 9443},
    "store": {"database": "4auth.db", "keys": "keys", "checkpoints": "audit.jsonl"},
    "face": {"models": "models"},
}
LEFT_OUT = object()


def changed(path: str, value: object) -> dict:
    """The good settings with one field changed or left out; a path is `section.field` or `field`."""
    members = copy.deepcopy(GOOD)
    *sections, field = path.split(".")
    place = members
    for section in sections:
        place = place.setdefault(section, {})
    if value is LEFT_OUT:
        del place[field]
    else:
        place[field] = value
    return members


REFUSED = [
    ("site", "Lab Berlin", "Lab Berlin", "pattern"),
    ("site", LEFT_OUT, "", "required"),
    ("environment", "staging", "staging", "'production' or 'development'"),
    ("listen.port", 0, "0", "greater than or equal to 1"),
    ("listen.port", 65536, "65536", "less than or equal to 65535"),
    ("listen.port", "http", "http", "integer"),
    ("listen.host", "everywhere", "everywhere", "IPv4 or IPv6"),
    ("listen.workers", 0, "0", "greater than or equal to 1"),
    ("listen.threads", 1000, "1000", "less than or equal to 64"),
    ("listen.handshake_timeout_s", 0, "0", "greater than 0"),
    ("listen.graceful_timeout_s", 0, "0", "greater than or equal to 1"),
    ("listen.tls_key", LEFT_OUT, "", "required"),
    ("listen.tls_kye", "server.key", "server.key", "not permitted"),
    ("health.host", "0.0.0.0", "0.0.0.0", "'127.0.0.1'"),  # noqa: S104 - what is refused
    ("store.keys", 7, "7", "path"),
    ("store.checkpoint_every_s", 0.5, "0.5", "greater than or equal to 1"),
    ("face.threshold", 2.5, "2.5", "less than 2"),
    ("face.presence", "maybe", "maybe", "'passive' or 'off'"),
    ("face.queue_max", 0, "0", "greater than or equal to 1"),
    ("time.sources", ["one.example"], "one.example", "two or more, or none"),
    ("time.max_offset_s", 121, "121", "less than or equal to 120"),
    ("administration.require_name", "perhaps", "perhaps", "boolean"),
    ("log_level", "chatty", "chatty", "'info'"),
    ("password", "hunter2", "hunter2", "not permitted"),
]


@pytest.mark.parametrize(
    ("path", "value", "shown", "rule"), REFUSED, ids=[f"{path} {v!r:.20}" for path, v, *_ in REFUSED]
)
def test_a_field_that_breaks_a_rule_is_refused_by_name_value_and_rule(tmp_path, path, value, shown, rule):
    file = tmp_path / "server.toml"
    file.write_text(toml(changed(path, value)))
    with pytest.raises(SettingsRefused) as refused:
        load_settings(file)
    message = str(refused.value)
    assert str(file) in message
    assert path.removesuffix(".sources").removesuffix(".keys") in message
    assert shown in message
    assert rule in message


def test_every_broken_field_is_told_at_once(tmp_path):
    file = tmp_path / "server.toml"
    file.write_text(toml({**changed("listen.port", 0), "log_level": "chatty"}))
    with pytest.raises(SettingsRefused, match=r"(?s)listen\.port.*log_level"):
        load_settings(file)


@pytest.mark.parametrize(
    ("content", "rule"),
    [
        (b"site = ", "not TOML"),
        (b"\xff\xfe", "not TOML"),
        (b"site = 'a'\nsite = 'b'", "not TOML"),
        (None, "No such file"),
    ],
)
def test_a_file_that_is_no_toml_or_not_there_is_refused(tmp_path, content, rule):
    file = tmp_path / "server.toml"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(SettingsRefused, match=rule):
        load_settings(file)


def test_production_refuses_to_let_a_photograph_pass(tmp_path):
    file = tmp_path / "server.toml"
    members = changed("face.presence", "off")
    file.write_text(toml(members))
    with pytest.raises(SettingsRefused, match=r'face\.presence = "off".*needs environment = "development"'):
        load_settings(file)
    file.write_text(toml({**members, "environment": "development"}))
    assert load_settings(file).face.presence == "off"


def test_what_is_left_out_is_the_safe_choice(tmp_path):
    file = tmp_path / "server.toml"
    file.write_text(toml(GOOD))
    settings = load_settings(file)
    assert settings.environment == "production"
    assert settings.face.presence == "both"
    assert settings.health.host == "127.0.0.1"
    assert settings.time.sources == ()


def test_the_settings_in_effect_can_be_read_back():
    settings = ServerSettings.model_validate(GOOD)
    assert ServerSettings.model_validate_json(settings.model_dump_json()) == settings


def test_nobody_is_told_and_no_name_is_asked_for_unless_the_settings_say_so():
    settings = ServerSettings.model_validate(GOOD)
    assert settings.notify.kind == "none"
    assert settings.administration.require_name is False


PIN = "0" * 64
WEBHOOK = {"kind": "webhook", "url": "https://hooks.example/4auth"}


@pytest.mark.parametrize(
    "notify",
    [
        {"kind": "none"},
        {"kind": "command", "argv": ["/usr/local/bin/tell", "a b", "$(id)"]},
        WEBHOOK,
        {**WEBHOOK, "secret_file": "/etc/4auth/hook.secret", "ca_file": "/etc/4auth/ca.pem", "timeout_s": 60},
        {**WEBHOOK, "certificate_sha256": PIN},
        {**WEBHOOK, "url": "https://127.0.0.1:8000/a?b=c"},
    ],
    ids=repr,
)
def test_whom_to_tell(tmp_path, notify):
    file = tmp_path / "server.toml"
    file.write_text(toml({**GOOD, "notify": notify}))
    assert load_settings(file).notify.kind == notify["kind"]


@pytest.mark.parametrize(
    ("notify", "rule"),
    [
        ({}, "Unable to extract tag"),
        ({"kind": "pigeon"}, "'none', 'command', 'webhook'"),
        ({"kind": "none", "url": "https://hooks.example"}, "not permitted"),
        ({"kind": "command"}, "required"),
        ({"kind": "command", "argv": []}, "at least 1 item"),
        ({"kind": "command", "argv": ["tell"]}, "whole path"),
        ({"kind": "command", "argv": ["/bin/tell", "a\0b"]}, "NUL"),
        ({"kind": "command", "argv": ["/bin/tell"], "timeout_s": 61}, "less than or equal to 60"),
        ({"kind": "webhook"}, "required"),
        ({"kind": "webhook", "url": "http://hooks.example/"}, "https with a host"),
        ({"kind": "webhook", "url": "http://localhost/"}, "https with a host"),
        ({"kind": "webhook", "url": "http://127.0.0.1.example/"}, "https with a host"),
        ({"kind": "webhook", "url": "ftp://hooks.example/"}, "https with a host"),
        ({"kind": "webhook", "url": "file:///etc/passwd"}, "https with a host"),
        ({"kind": "webhook", "url": "https://"}, "https with a host"),
        ({"kind": "webhook", "url": "https://ann:geheim@hooks.example/"}, "without user"),
        ({"kind": "webhook", "url": "https://hooks.example/\r\nX: y"}, "https with a host"),
        ({**WEBHOOK, "certificate_sha256": "AB" * 32}, "pattern"),
        ({**WEBHOOK, "ca_file": "/etc/4auth/ca.pem", "certificate_sha256": PIN}, "name one"),
        ({**WEBHOOK, "timeout_s": 0}, "greater than 0"),
        ({**WEBHOOK, "secret": "geheim"}, "not permitted"),
        ({"kind": "webhook", "url": "http://127.0.0.1:8000/"}, 'needs environment = "development"'),
    ],
    ids=repr,
)
def test_whom_the_server_refuses_to_tell(tmp_path, notify, rule):
    file = tmp_path / "server.toml"
    file.write_text(toml({**GOOD, "notify": notify}))
    with pytest.raises(SettingsRefused, match=rule):
        load_settings(file)


def test_development_may_tell_this_machine_without_tls(tmp_path):
    file = tmp_path / "server.toml"
    notify = {"kind": "webhook", "url": "http://127.0.0.1:8000/"}
    file.write_text(toml({**GOOD, "environment": "development", "notify": notify}))
    assert load_settings(file).notify.url == notify["url"]


@given(st.text(max_size=40))
def test_any_text_for_a_site_is_taken_or_refused_and_nothing_else(text):
    try:
        assert ServerSettings.model_validate({**GOOD, "site": text}).site == text
    except ValueError:
        return
    assert text.isascii()


@pytest.mark.parametrize(
    ("section", "rule"),
    [
        ({"login": {"enabled": False}}, "True"),
        ({"login": {"also": ["supervisor"]}}, "cannot be added to login"),
        ({"recover_totp": {"also": ["totp"]}}, "cannot be added to recover_totp"),
        ({"register": {"also": ["password"]}}, "possible are clock"),
        ({"register": {"second_person": True}}, "extra"),
        ({"recover_face": {"cooling_off_s": -1}}, "greater than or equal to 0"),
        ({"recover_face": {"second_person": True}, "approve": {"enabled": False}}, "lets nobody be one"),
        ({"open_sesame": {}}, "extra"),
    ],
)
def test_an_action_cannot_be_loosened(section: dict[str, Any], rule: str) -> None:
    with pytest.raises(ValidationError, match=r"(?i)" + rule):
        ActionsSettings.model_validate(section)


@pytest.mark.parametrize("action", Action)
def test_whatever_a_site_writes_the_factors_of_the_table_stay(action: Action) -> None:
    for also in itertools.chain.from_iterable(
        itertools.permutations(sorted(addable(action)), size) for size in range(len(addable(action)) + 1)
    ):
        policy = ActionsSettings.model_validate({action.value: {"also": also}}).policies()[action]
        assert policy.factors[: len(POLICY[action].factors)] == POLICY[action].factors
        assert set(policy.factors) == set(POLICY[action].factors) | set(also)


@pytest.mark.parametrize("presence", ["both", "active", "passive", "off"])
def test_a_site_without_movements_is_told_what_that_costs(presence: str) -> None:
    face = FaceSettings(models=Path("models"), presence=presence)
    assert (face.cost is None) == (presence == "both")
    if face.cost is not None:
        assert face.cost.startswith(f'face.presence = "{presence}": ')
        assert ("nobody is asked to move" in face.cost) == (not face.is_active)
