"""systemd/README.md's way from `site init` to the layout of the units, done as it stands there."""

import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from auth_server.gateway.settings import GatewaySettings
from auth_server.settings_file import load_settings, read_settings
from demo.site import command
from tests.systemd.test_units import README, SECRETS
from tests.systemd.units import SERVICES

PLACES = ("/etc/4auth", "/var/lib/4auth", "/srv/site")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that stands for /, after the commands of the README."""
    root = tmp_path_factory.mktemp("root")
    block = README.partition("From there to this layout, as root:")[2]
    lines = re.findall(r"^    (.+)$", block.partition("The screen needs")[0], re.MULTILINE)
    assert lines[0].startswith("4auth-provision site init")
    script = "\n".join(["set -eu", *lines])
    for place in PLACES:
        script = script.replace(place, f"{root}{place}")
    for folder in ("srv", "etc", "var/lib", "bin"):
        (root / folder).mkdir(parents=True)
    (root / "bin" / "4auth-provision").symlink_to(command("4auth-provision"))
    chown = root / "bin" / "chown"  # there is no such user here
    chown.write_text(f'#!/bin/sh\necho "$@" > {shlex.quote(str(root / "chowned"))}\n')
    chown.chmod(0o755)
    subprocess.run(
        ["sh", "-c", script],
        env={"PATH": f"{root}/bin:/usr/bin:/bin", "PYTHONPATH": ":".join(sys.path), "LANG": "C.UTF-8"},
        check=True,
        stdout=subprocess.DEVNULL,
    )
    return root


def test_every_setting_names_what_is_there(root: Path) -> None:
    settings = load_settings(root / "etc/4auth/server.toml")
    gateway = read_settings(root / "etc/4auth/gateway/gateway.toml", GatewaySettings)
    named = [settings.store.database, settings.store.keys, settings.store.checkpoints]
    named += [settings.listen.tls_key, settings.listen.tls_certificate]
    named += [gateway.listen.tls_key, gateway.listen.tls_certificate]
    assert [path for path in named if not path.exists()] == []
    assert [path for path in named if not path.is_relative_to(root)] == []
    assert not list((root / "srv/site").rglob("*.db"))


def test_the_units_look_where_the_settings_do(root: Path) -> None:
    settings: dict[str, Any] = tomllib.loads((root / "etc/4auth/server.toml").read_text())
    gateway: dict[str, Any] = tomllib.loads((root / "etc/4auth/gateway/gateway.toml").read_text())
    for unit, members in (("4auth-server.service", settings), ("4auth-gateway.service", gateway)):
        for setting, files in SECRETS[unit][1].items():
            section, _, name = setting.rpartition(".")
            place = (members.get(section, {}) if section else members).get(name)
            if place is not None:
                assert place in {f"{root}{file}" for file in files.values()} | {
                    str(Path(f"{root}{file}").parent) for file in files.values()
                }
    assert settings["store"]["database"] == f"{root}/var/lib/4auth/server/store/4auth.db"
    wanted = SERVICES["4auth-server.service"].all("Unit", "AssertPathExists")
    one_of = [path.removeprefix("|") for path in wanted if path.startswith("|")]
    assert one_of == ["/var/lib/4auth/server/store/4auth.db", "/etc/4auth/keys/postgresql.password"]
    assert [Path(f"{root}{path}").exists() for path in one_of] == [True, False]
    assert [path for path in wanted if not path.startswith("|") and not Path(f"{root}{path}").exists()] == []


def test_keys_are_closed_and_the_rest_can_be_read_by_the_units(root: Path) -> None:
    modes = {
        str(path.relative_to(root / "etc/4auth")): path.stat().st_mode & 0o777
        for path in (root / "etc/4auth").rglob("*")
    }
    assert modes["keys"] == 0o700 and modes["tls"] == modes["gateway"] == 0o755
    closed = {name for name, mode in modes.items() if mode & 0o077 == 0}
    assert closed == {
        "keys",
        *(f"keys/{name}" for name in ("database.key", "field.keys", "audit.pem", "assertion.pem")),
    } | {
        "tls/server.key",
        "gateway/gateway.key",
    }
    assert (root / "chowned").read_text() == f"-R fourauth: {root}/var/lib/4auth/server\n"
