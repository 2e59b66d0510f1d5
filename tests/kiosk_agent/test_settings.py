"""Settings: what is accepted, what is refused and how the refusal is worded."""

import tomllib
from pathlib import Path

import pytest

from kiosk_agent.errors import SettingsRefused
from kiosk_agent.settings import load_settings, parse_settings

EXAMPLE = """
kiosk_id = "front-door"
site = "lab"
key_file = "/var/lib/4auth/device.pem"
interface = "eth0"

[server]
url = "https://auth.example:8443"
pins = ["{current}", "{following}"]

[camera]
kind = "opencv"
device = "/dev/video0"

[keypad]
kind = "terminal"
""".format(current="a" * 64, following="b" * 64)


def changed(members: dict, path: str, value: object) -> dict:
    """The settings with one value put in its place, or taken away where it is None."""
    *folders, name = path.split(".")
    copy = {key: dict(part) if isinstance(part, dict) else part for key, part in members.items()}
    section = copy
    for folder in folders:
        section = section.setdefault(folder, {})
    if value is None:
        del section[name]
    else:
        section[name] = value
    return copy


def test_a_production_file_needs_few_lines(tmp_path: Path) -> None:
    path = tmp_path / "kiosk.toml"
    path.write_text(EXAMPLE)
    settings = load_settings(path)
    assert (settings.environment, settings.unsafe_variants) == ("production", ())
    assert (settings.capture.frames, settings.screen.kind, settings.door.kind) == (3, "terminal", "log")


ACCEPTED = [
    ("server.url", "https://10.0.0.1"),
    ("server.url", "https://[::1]:8443/"),
    ("server.url", ["https://10.0.0.1"]),
    ("server.url", ["https://10.0.0.1", "https://10.0.0.1:8443", "https://10.0.0.2"]),
    ("server.url", [f"https://auth-{number}.example" for number in range(8)]),
    ("server.away_s", 1),
    ("server.pins", ["c" * 64]),
    ("camera.device", 0),
    ("capture", {"frames": 8}),
    ("capture", {"enrol_frames": 3}),
    ("capture", {"enrol_frames": 8, "enrol_interval_s": 4.0}),
    ("session", {"qr_s": 600.0}),
    ("kiosk_id", "a"),
    ("interface", "enp0s31f6"),
]


@pytest.mark.parametrize(("path", "value"), ACCEPTED)
def test_accepted(path: str, value: object) -> None:
    assert parse_settings(changed(tomllib.loads(EXAMPLE), path, value))


REFUSED = [
    # field, value, what the refusal names beside the field
    ("server.url", "http://auth.example", "https address"),
    ("server.url", "https://auth.example/path", "without a path"),
    ("server.url", "https://name:word@auth.example", "no query, fragment, name or password"),
    (
        "server.url",
        "https://auth.example:99999",
        "server.url = 'https://auth.example:99999': an https address has a port",
    ),
    (
        "server.url",
        ["https://a.example", "https://b.example:0"],
        "server.url.1 = 'https://b.example:0': an https address",
    ),
    ("server.url", None, "Field required"),
    ("server.url", 8443, "valid tuple"),
    ("server.url", [], "a list of 1 to 8; these are 0"),
    ("server.url", [f"https://auth-{number}.example" for number in range(9)], "a list of 1 to 8; these are 9"),
    ("server.url", ["https://a.example", "http://b.example"], "server.url.1 = 'http://b.example': an https address"),
    ("server.url", ["https://a.example", "https://A.example:443/"], "https://a.example stands there twice"),
    ("server.away_s", 0, "greater than or equal to 1"),
    ("server.pins", [], "at least 1"),
    ("server.pins", ["a" * 64] * 3, "at most 2"),
    ("server.pins", ["A" * 64], "pattern"),
    ("server.pins", ["a" * 63], "pattern"),
    ("server.read_timeout_s", 0, "greater than 0"),
    ("server.readtimeout", 3, "not permitted"),
    ("camera.kind", "webcam", "'replay', 'opencv'"),
    ("camera.sources", ["x"], "not permitted"),
    ("camera.device", None, "Field required"),
    ("capture", {"frames": 9}, "less than or equal to 8"),
    ("capture", {"enrol_frames": 2}, "greater than or equal to 3"),
    ("capture", {"enrol_frames": 9}, "less than or equal to 8"),
    ("capture", {"quality": 101}, "less than or equal to 100"),
    ("keypad.kind", "wii", "'gpio_matrix', 'scripted', 'terminal', 'usb'"),
    ("door", {"kind": "none"}, "'log'"),
    ("kiosk_id", "Front Door", "pattern"),
    ("mac_override", "01:00:5e:00:00:01", "multicast"),
    ("health", {"port": 80, "host": "192.0.2.1"}, "127.0.0.1"),
    ("environment", "staging", "'production' or 'development'"),
    ("secret", "x", "not permitted"),
    ("session", {"checking_s": 15.0}, "must be above"),
    ("session", {"qr_s": 20.0}, "greater than or equal to 30"),
    ("session", {"face_s": 6.0}, "or no enrolment would end in time"),
]


@pytest.mark.parametrize(("path", "value", "rule"), REFUSED)
def test_refused_with_field_value_and_rule(path: str, value: object, rule: str) -> None:
    with pytest.raises(SettingsRefused) as caught:
        parse_settings(changed(tomllib.loads(EXAMPLE), path, value))
    assert path.split(".")[0] in str(caught.value)
    assert rule in str(caught.value)


@pytest.mark.parametrize(
    ("written", "urls", "shown"),
    [
        ("https://a.example/", ("https://a.example",), "https://a.example"),
        (["https://a.example"], ("https://a.example",), "https://a.example"),
        (["https://b.example/", "https://a.example"],) + (("https://b.example", "https://a.example"),) * 2,
    ],
)
def test_one_address_or_several_in_their_order(written, urls, shown) -> None:
    server = parse_settings(changed(tomllib.loads(EXAMPLE), "server.url", written)).server
    assert server.urls == urls
    assert server.model_dump()["url"] == shown


UNSAFE = [
    ("camera", {"kind": "replay", "sources": ["a.jpg"]}, "stored pictures"),
    ("camera", {"kind": "opencv", "device": "video.mp4"}, "file and no camera"),
    ("keypad", {"kind": "scripted", "script": "-"}, "secrets from a file"),
    ("mac_override", "02:00:5e:10:00:01", "claims a MAC"),
    ("clock_offset_s", -121.0, "clock wrong"),
]


@pytest.mark.parametrize(("path", "value", "announced"), UNSAFE)
def test_unsafe_variants_need_development_and_announce_themselves(path: str, value: object, announced: str) -> None:
    members = changed(tomllib.loads(EXAMPLE), path, value)
    with pytest.raises(SettingsRefused, match=announced):
        parse_settings(members)
    (variant,) = parse_settings(members | {"environment": "development"}).unsafe_variants
    assert announced in variant


def test_every_fault_is_named_at_once(tmp_path: Path) -> None:
    path = tmp_path / "kiosk.toml"
    path.write_text(EXAMPLE.replace("lab", "LAB").replace("https:", "ftp:"))
    with pytest.raises(SettingsRefused) as caught:
        load_settings(path)
    first, second = str(caught.value).splitlines()
    assert first.startswith(f"{path}: site = 'LAB': ")
    assert second.startswith(f"{path}: server.url = 'ftp://auth.example:8443': an https address")


@pytest.mark.parametrize(
    ("content", "rule"), [(b"= 1", "not TOML"), (b"\xff", "not TOML"), (None, "No such file or directory")]
)
def test_a_file_that_cannot_be_read(content: bytes | None, rule: str, tmp_path: Path) -> None:
    path = tmp_path / "kiosk.toml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(SettingsRefused, match=rule):
        load_settings(path)


def test_settings_are_frozen(make_settings) -> None:
    with pytest.raises(ValueError, match="frozen"):
        make_settings().kiosk_id = "other"
