"""The settings file: what is refused names the field, the value and the rule; what is left out is safe."""

import copy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auth_server.errors import SettingsRefused
from auth_server.settings import ServerSettings
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
    assert settings.face.presence == "passive"
    assert settings.health.host == "127.0.0.1"
    assert settings.time.sources == ()


def test_the_settings_in_effect_can_be_read_back():
    settings = ServerSettings.model_validate(GOOD)
    assert ServerSettings.model_validate_json(settings.model_dump_json()) == settings


@given(st.text(max_size=40))
def test_any_text_for_a_site_is_taken_or_refused_and_nothing_else(text):
    try:
        assert ServerSettings.model_validate({**GOOD, "site": text}).site == text
    except ValueError:
        return
    assert text.isascii()
