"""The units: closed as far as they can be, silent under systemd's own tools, and in step with the programs."""

import re
import shutil
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic import BaseModel

from auth_client.settings import ServerSettings as ClientSettings
from auth_server.gateway.settings import GatewaySettings, LimitSettings
from auth_server.key_forms import FORMS, RETIRED_AUDIT
from auth_server.settings import ListenSettings, ServerSettings
from kiosk_agent.settings import KioskSettings
from tests.systemd import units
from tests.systemd.forbidden import ACTS
from tests.systemd.units import DAEMONS, FOLDER, SERVICES, UNITS, Unit
from tests.test_docs import PARSERS, options_of, provisioning_command

PROJECT = FOLDER.parent
SCRIPTS = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]["scripts"]
README = (FOLDER / "README.md").read_text(encoding="utf-8")
BIN = "/opt/4auth/current/bin/"

each_unit = pytest.mark.parametrize("unit", UNITS.values(), ids=UNITS)
each_service = pytest.mark.parametrize("unit", SERVICES.values(), ids=SERVICES)
each_daemon = pytest.mark.parametrize("unit", DAEMONS.values(), ids=DAEMONS)

needs_systemd = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None,
    reason="there is no systemd-analyze: scripts/apt-install.sh brings Debian's package systemd",
)

CLOSED = {
    "UMask": "0077",
    "LimitCORE": "0",
    "ProtectSystem": "strict",
    "DevicePolicy": "closed",
    "IPAddressDeny": "any",
    "SystemCallArchitectures": "native",
    "SystemCallErrorNumber": "EPERM",
    "ProtectProc": "invisible",
    "CapabilityBoundingSet": "",
    **dict.fromkeys(
        (
            *("ProtectHome", "PrivateTmp", "PrivateMounts", "ProtectControlGroups", "ProtectHostname", "ProtectClock"),
            *("ProtectKernelTunables", "ProtectKernelModules", "ProtectKernelLogs", "RemoveIPC", "NoNewPrivileges"),
            *("RestrictSUIDSGID", "RestrictRealtime", "LockPersonality"),
        ),
        "yes",
    ),
}
"""What every service has."""

NOT_THE_BROWSER = {"RestrictNamespaces": "yes", "MemoryDenyWriteExecute": "yes", "AmbientCapabilities": ""}
"""Whose own sandbox is made of namespaces, and whose scripts are compiled."""

EXPOSURE = {
    "4auth-server.service": 15,
    "4auth-gateway.service": 15,
    "4auth-kiosk.service": 20,
    "4auth-screen.service": 25,
    "4auth-screen-address.service": 10,
    "4auth-backup.service": 5,
    "4auth-audit-ship.service": 5,
    "4auth-checkpoint.service": 5,
    "4auth-models-check.service": 5,
}
"""The most that `systemd-analyze security` may give, in tenths."""


# --- systemd's own tools


@needs_systemd
def test_verify_has_nothing_to_say(tmp_path: Path) -> None:
    units.bare_system(tmp_path)
    found = units.verify(tmp_path, *UNITS)
    assert (found.returncode, found.stderr) == (0, "")


@needs_systemd
@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("PrivateTmp=yes", "PrivateTpm=yes"),
        ("PrivateTmp=yes", "PrivateTmp=maybe"),
        ("SystemCallFilter=@system-service", "SystemCallFilter=@system-servant"),
        ("SetCredential=audit.pub:# none", "SetCredential=audit.pub:"),
    ],
)
def test_verify_would_have(tmp_path: Path, right: str, wrong: str) -> None:
    """It exits 0 on each of these."""
    server = units.bare_system(tmp_path) / "4auth-server.service"
    assert right in server.read_text()
    server.write_text(server.read_text().replace(right, wrong, 1))
    assert "4auth-server.service:" in units.verify(tmp_path, server.name).stderr


@needs_systemd
@each_service
def test_its_exposure_is_bounded(unit: Unit) -> None:
    found = units.exposure(unit.path, EXPOSURE[unit.name])
    assert (found.returncode, found.stderr) == (0, ""), found.stdout[-3000:]


@needs_systemd
def test_the_bound_is_one(tmp_path: Path) -> None:
    text = SERVICES["4auth-server.service"].text
    (tmp_path / "4auth-server.service").write_text(text.replace("SystemCallFilter=", "#").replace("PrivateUsers", "#"))
    assert units.exposure(tmp_path / "4auth-server.service", EXPOSURE["4auth-server.service"]).returncode == 1


@needs_systemd
@each_service
def test_another_program_runs_in_the_same_sandbox(unit: Unit, tmp_path: Path) -> None:
    """As `forbidden.py` does on a booted host: what it finds there is what the unit's own program would."""
    folder = units.bare_system(tmp_path)
    dropped = folder / f"{unit.name}.d" / "forbidden.conf"
    dropped.parent.mkdir()
    dropped.write_text(units.in_its_place(units.programs(unit)[0][0]))
    found = units.verify(tmp_path, unit.name)
    assert (found.returncode, found.stderr) == (0, "")


def test_as_many_acts_are_tried_as_the_page_says() -> None:
    assert f"tries {len(ACTS)} acts from inside a unit" in README


# --- what each has


@each_unit
def test_each_says_what_it_is_and_where_more_is_said(unit: Unit) -> None:
    assert unit.one("Unit", "Description")
    for place in (unit.one("Unit", "Documentation") or "").split():
        page = place.removeprefix("file:///usr/local/share/doc/4auth/")
        assert page == "systemd.md" or (PROJECT / "docs" / page).is_file(), place
    assert f"`{unit.name}`" in README


@each_service
def test_what_lacks_a_secret_says_which(unit: Unit) -> None:
    """Where a file is not there systemd itself only says that a step named CREDENTIALS failed."""
    stands_in = {line.partition(":")[0] for line in unit.all("Service", "SetCredential")}
    loaded = dict(line.split(":", 1) for line in unit.all("Service", "LoadCredential"))
    needed = {path for name, path in loaded.items() if name not in stands_in}
    assert sorted(needed - set(unit.all("Unit", "AssertPathExists"))) == []


@each_service
def test_each_is_closed(unit: Unit) -> None:
    wanted = CLOSED if unit.name == "4auth-screen.service" else CLOSED | NOT_THE_BROWSER
    assert {name: unit.one("Service", name) for name in wanted} == wanted
    allowed, *forbidden = unit.all("Service", "SystemCallFilter")
    assert allowed.split()[0] == "@system-service" and forbidden and forbidden[0].startswith("~")


@each_service
def test_each_starts_within_limits_and_with_its_files_only(unit: Unit) -> None:
    begins, burst = unit.one("Unit", "StartLimitIntervalSec"), unit.one("Unit", "StartLimitBurst")
    assert begins is not None and int(begins) >= 300 and burst is not None
    assert 0 < int(burst) <= int(begins) / 5, "one in five seconds"
    conditions = [name for name in unit.sections["Unit"] if name.startswith(("Assert", "Condition"))]
    assert conditions
    if unit.name != "4auth-screen.service":
        assert unit.one("Service", "TimeoutStartSec")
    settings = [words[words.index("--settings") + 1] for words in units.programs(unit) if "--settings" in words]
    assert set(settings) <= set(unit.all("Unit", "AssertPathExists"))


@each_service
def test_each_has_a_user_of_its_own(unit: Unit) -> None:
    if unit.name == "4auth-screen-address.service":  # one sentence to the manager, which root alone may say
        assert unit.one("Service", "User") is None
        return
    user = unit.one("Service", "User")
    assert (user is None) == (unit.one("Service", "DynamicUser") == "yes")
    known = re.findall(r"^u (\S+)", (FOLDER / "sysusers.conf").read_text(), re.MULTILINE)
    assert user is None or user in known


def test_the_groups_of_the_kiosk_are_made() -> None:
    groups = (SERVICES["4auth-kiosk.service"].one("Service", "SupplementaryGroups") or "").split()
    assert groups == ["gpio", "input", "video"]
    made = re.findall(r"^g (\S+)", (FOLDER / "sysusers.conf").read_text(), re.MULTILINE)
    assert set(groups) <= set(made)


@each_daemon
def test_a_daemon_is_watched_and_comes_back(unit: Unit) -> None:
    service = {name: values[0] for name, values in unit.sections["Service"].items()}
    assert service["NotifyAccess"] == "main"
    assert service["WatchdogSec"] == "30"
    assert service["Restart"] == "always" and int(service["RestartSec"]) <= 5
    assert service["KillMode"] == "mixed"


BOUNDED = {
    "4auth-server.service": ("2G", "512"),
    "4auth-gateway.service": ("1G", "128"),
    "4auth-kiosk.service": ("512M", "128"),
    "4auth-screen.service": ("1G", "512"),
}
"""The most memory and the most tasks of what runs for ever; `tests/deploy/elsewhere` sees a kernel enforce them."""


def test_what_runs_for_ever_cannot_take_all_that_the_machine_has() -> None:
    held = {
        name: (unit.one("Service", "MemoryMax"), unit.one("Service", "TasksMax")) for name, unit in SERVICES.items()
    }
    assert {name: bounds for name, bounds in held.items() if bounds != (None, None)} == BOUNDED
    assert set(BOUNDED) == {*DAEMONS, "4auth-screen.service"}
    assert all(f"| `{name}` | {' | '.join(bounds)} |" in README for name, bounds in BOUNDED.items())


def test_what_must_be_mended_first_is_not_tried_again_but_at_a_kiosk_where_nobody_stands_by() -> None:
    refused = {name for name, unit in DAEMONS.items() if unit.one("Service", "RestartPreventExitStatus") == "78"}
    assert refused == set(DAEMONS) - {"4auth-kiosk.service"}
    kiosk = DAEMONS["4auth-kiosk.service"]
    seconds, pause, burst = (
        int(kiosk.one(*where) or 0)
        for where in (("Unit", "StartLimitIntervalSec"), ("Service", "RestartSec"), ("Unit", "StartLimitBurst"))
    )
    assert burst * pause >= seconds, "the limit would be reached by what is tried at this pace"


def test_no_key_leads_from_the_page_to_another_console() -> None:
    words = (SERVICES["4auth-screen.service"].one("Service", "ExecStart") or "").split()
    options = words[words.index("/usr/bin/cage") + 1 : words.index("--")]
    assert options == ["-d"], "-s would let VT switching through"


def test_all_that_serve_are_watched() -> None:
    assert set(DAEMONS) == {f"4auth-{name}.service" for name in ("server", "gateway", "kiosk")}


@pytest.mark.parametrize(
    ("name", "drain_s"),
    [
        ("4auth-server.service", ListenSettings.model_fields["graceful_timeout_s"].default),
        ("4auth-gateway.service", LimitSettings().drain_timeout_s),
    ],
)
def test_what_is_under_way_has_its_time_to_end(name: str, drain_s: float) -> None:
    assert int(SERVICES[name].one("Service", "TimeoutStopSec") or 0) > drain_s


def test_an_agent_that_ends_has_time_for_the_reply_that_it_waits_for() -> None:
    patience_s = ClientSettings.model_fields["read_timeout_s"].default
    assert int(SERVICES["4auth-kiosk.service"].one("Service", "TimeoutStopSec") or 0) > patience_s


def test_the_servers_socket_outlives_it() -> None:
    assert SERVICES["4auth-server.service"].one("Service", "FileDescriptorStoreMax") == "1"


@each_service
def test_who_may_see_faces_sends_nothing_about_it(unit: Unit) -> None:
    """onnxruntime writes a device id when it is imported, unless this is set before."""
    set_for = ("server", "kiosk", "backup", "models-check")
    environment = " ".join(unit.all("Service", "Environment"))
    is_set = "ORT_DISABLE_TELEMETRY=1" in environment
    assert is_set == (unit.name in {f"4auth-{name}.service" for name in set_for})


def test_the_kiosk_has_its_devices_by_name_and_no_other() -> None:
    kiosk = SERVICES["4auth-kiosk.service"]
    assert kiosk.all("Service", "DeviceAllow") == [
        *("char-video4linux rw", "char-media rw", "char-dma_heap rw"),
        "char-gpiochip rw",
        "char-input r",
    ]
    closed = [unit for unit in SERVICES.values() if not unit.all("Service", "DeviceAllow")]
    assert {unit.name for unit in closed} == set(SERVICES) - {kiosk.name, "4auth-screen.service"}
    assert all(unit.one("Service", "PrivateDevices") == "yes" for unit in closed)


def test_the_relay_is_off_when_the_agent_is_gone() -> None:
    assert " door --off " in (SERVICES["4auth-kiosk.service"].one("Service", "ExecStopPost") or "")


def test_only_what_serves_or_shows_speaks_with_anybody() -> None:
    offline = {name for name, unit in SERVICES.items() if unit.one("Service", "PrivateNetwork") == "yes"}
    assert set(SERVICES) - offline == {*DAEMONS, "4auth-screen.service"}
    for name in offline:
        assert SERVICES[name].one("Service", "RestrictAddressFamilies") == "AF_UNIX"
    assert SERVICES["4auth-screen.service"].one("Service", "IPAddressAllow") == "localhost"


@pytest.mark.parametrize("name", [name for name in UNITS if name.endswith((".timer", ".path"))])
def test_what_starts_another_names_one_that_is_there(name: str) -> None:
    assert name.rpartition(".")[0] + ".service" in SERVICES
    assert UNITS[name].one("Install", "WantedBy")


# --- secrets


def secret_paths(model: type[BaseModel], within: str = "") -> Iterator[str]:
    """The settings that name a file or folder of secrets."""
    for name, field in model.model_fields.items():
        kinds = [field.annotation, *get_args(field.annotation)]
        kinds += [inner for kind in kinds for inner in get_args(kind)]
        if Path in kinds and re.fullmatch(r"keys|key_file|tls_key|secret_file|password_file", name):
            yield f"{within}{name}"
        for kind in kinds:
            if isinstance(kind, type) and issubclass(kind, BaseModel):
                yield from secret_paths(kind, f"{within}{name}.")


PASSWORD = {"postgresql.password": "/etc/4auth/keys/postgresql.password"}
KEYS = {form.file: f"/etc/4auth/keys/{form.file}" for form in [*FORMS.values(), RETIRED_AUDIT]}
SECRETS: dict[str, tuple[type[BaseModel], dict[str, dict[str, str]]]] = {
    "4auth-server.service": (
        ServerSettings,
        {
            "store.keys": KEYS,
            "listen.tls_key": {"server.key": "/etc/4auth/tls/server.key"},
            "notify.secret_file": {"notify.secret": "/etc/4auth/keys/notify.secret"},
            "store.database.password_file": PASSWORD,
        },
    ),
    "4auth-gateway.service": (
        GatewaySettings,
        {
            "key_file": {"device.pem": "/etc/4auth/gateway/device/device.pem"},
            "listen.tls_key": {"gateway.key": "/etc/4auth/gateway/gateway.key"},
        },
    ),
    "4auth-kiosk.service": (
        KioskSettings,
        {
            "key_file": {"device.pem": "/var/lib/4auth/kiosk/device.pem"},
            "door.secret_file": {"door.secret": "/var/lib/4auth/kiosk/door.secret"},
        },
    ),
    "4auth-backup.service": (BaseModel, {"store.keys": KEYS, "store.database.password_file": PASSWORD}),
    "4auth-audit-ship.service": (BaseModel, {"store.keys": KEYS, "store.database.password_file": PASSWORD}),
}
"""For each unit: its settings, and for each of those that names secrets the credentials and where root keeps them."""


@each_service
def test_every_secret_is_a_credential_and_nothing_else_is(unit: Unit) -> None:
    _, secrets = SECRETS.get(unit.name, (BaseModel, {}))
    wanted = {name: place for files in secrets.values() for name, place in files.items()}
    loaded = dict(line.split(":", 1) for line in unit.all("Service", "LoadCredential"))
    assert loaded == wanted
    assert not unit.all("Service", "EnvironmentFile"), "an environment is no place for a secret"


@pytest.mark.parametrize("name", [name for name, (model, _) in SECRETS.items() if model is not BaseModel])
def test_every_setting_that_names_a_secret_is_thought_of(name: str) -> None:
    """Whoever adds one adds it to the unit, too."""
    model, secrets = SECRETS[name]
    assert set(secret_paths(model)) == set(secrets)


@pytest.mark.parametrize("name", SECRETS)
def test_the_copies_lie_where_the_originals_would(name: str) -> None:
    """So one settings file serves the unit, and root at the command line."""
    unit = SERVICES[name]
    laid = dict(line.removeprefix("-").split(":") for line in unit.all("Service", "BindReadOnlyPaths"))
    for credential, place in (line.split(":", 1) for line in unit.all("Service", "LoadCredential")):
        over = {source.replace("%d", ""): where for source, where in laid.items()}
        assert over.get(f"/{credential}") == place or over.get("") == str(Path(place).parent)


@each_service
def test_what_not_every_site_has_is_no_reason_not_to_start(unit: Unit) -> None:
    spared = {line.split(":", 1)[0]: line.split(":", 1)[1] for line in unit.all("Service", "SetCredential")}
    loaded = dict(line.split(":", 1) for line in unit.all("Service", "LoadCredential"))
    assert set(spared) == set(loaded) & {"audit.pub", "notify.secret", "door.secret", "postgresql.password"}
    if "audit.pub" in spared:
        assert RETIRED_AUDIT.parse(spared.pop("audit.pub").encode()) == ()
    # Too short to be taken for a secret where the settings name one that is not there.
    assert all(0 < len(text) < 16 for text in spared.values())


# --- in step with the programs


def command_lines() -> list[Any]:
    return [
        pytest.param(words, id=f"{unit.name} {Path(words[0]).name}")
        for unit in SERVICES.values()
        for words in units.programs(unit)
        if words[0].startswith("/opt/")
    ]


@pytest.mark.parametrize("words", command_lines())
def test_every_command_can_be_given(words: list[str]) -> None:
    program = words[0].removeprefix(BIN)
    assert program in SCRIPTS
    given = {word for word in words[1:] if word.startswith("--")}
    if program == "4auth-provision":
        plain = [word for word in words[1:] if re.fullmatch(r"[a-z-]+", word) and not word.startswith("-")]
        params = [*provisioning_command([]).params, *provisioning_command(plain).params]
        known = {option for param in params for option in param.opts}
    else:
        known = options_of(PARSERS[program](), words[1:])
    assert given <= known


def test_the_browser_is_the_agents_user_and_reads_what_the_agent_writes() -> None:
    kiosk, screen = SERVICES["4auth-kiosk.service"], SERVICES["4auth-screen.service"]
    assert kiosk.one("Service", "User") == screen.one("Service", "User")
    place = f"/run/{kiosk.one('Service', 'RuntimeDirectory')}/screen.url"
    assert place in (screen.one("Service", "ExecStart") or "")
    assert place == UNITS["4auth-screen-address.path"].one("Path", "PathChanged")
    assert f'url_file = "{place}"' in (PROJECT / "docs" / "kiosk.toml").read_text()
    assert (
        f'key_file = "{SECRETS[kiosk.name][1]["key_file"]["device.pem"]}"'
        in (PROJECT / "docs" / "kiosk.toml").read_text()
    )
