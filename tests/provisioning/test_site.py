"""`site init` and `site pin`: whole or not at all, closed to others, and never over something."""

import hashlib
import json
import resource
import signal
import socket
import ssl
import stat
import subprocess
import sys
import threading
import tomllib
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from auth_server.settings_file import load_settings
from tests.postgres import IN_A_FILE

PROJECT = Path(__file__).resolve().parents[2]


def files(folder: Path) -> dict[str, int]:
    return {
        str(path.relative_to(folder)): stat.S_IMODE(path.stat().st_mode)
        for path in folder.rglob("*")
        if not path.name.endswith(("-wal", "-shm"))
    }


@IN_A_FILE
def test_a_new_site_holds_everything_and_only_its_owner_can_read_a_secret(command):
    assert files(command.settings.parent) == {
        "server.toml": 0o644,
        "checkpoints": 0o700,
        "checkpoints/audit.jsonl": 0o600,
        "gateway": 0o700,
        "gateway/gateway.crt": 0o644,
        "gateway/gateway.key": 0o600,
        "gateway/gateway.toml": 0o644,
        "keys": 0o700,
        "keys/assertion.pem": 0o600,
        "keys/audit.pem": 0o600,
        "keys/database.key": 0o600,
        "keys/field.keys": 0o600,
        "store": 0o700,
        "store/4auth.db": 0o600,
        "tls": 0o700,
        "tls/server.crt": 0o644,
        "tls/server.key": 0o600,
    }
    assert stat.S_IMODE(command.settings.parent.stat().st_mode) == 0o700


@IN_A_FILE
def test_the_server_accepts_the_settings(command):
    settings = load_settings(command.settings)
    folder = command.settings.parent
    assert settings.site == "head-office"
    assert settings.environment == "production" and settings.face.presence == "both"
    assert settings.store.database == folder / "store" / "4auth.db"
    assert settings.face.models == folder / "models"


def test_every_option_reaches_the_settings(command, tmp_path):
    document = command.json(
        *("site", "init", "--folder", tmp_path / "other", "--name", "lab-2", "--host", "127.0.0.1", "--port", "9443"),
        *("--health-port", "9999", "--models", tmp_path / 'a "quoted" folder', "--environment", "development"),
        *("--presence", "off", "--time-source", "127.0.0.1:1123", "--time-source", "127.0.0.1:1124"),
    )
    settings = load_settings(Path(document["settings"]))
    assert (str(settings.listen.host), settings.listen.port, settings.health.port) == ("127.0.0.1", 9443, 9999)
    assert settings.face.models == tmp_path / 'a "quoted" folder'
    assert (settings.environment, settings.face.presence) == ("development", "off")
    assert settings.time.sources == ("127.0.0.1:1123", "127.0.0.1:1124")


def test_no_secret_stands_in_the_settings_or_in_what_is_printed(tmp_path, command):
    made = command("site", "init", "--folder", tmp_path / "second", "--name", "second")
    shown = made.stdout + made.stderr + (tmp_path / "second" / "server.toml").read_text()
    for key in (tmp_path / "second" / "keys").iterdir():
        for line in key.read_text().splitlines():
            assert line.startswith("-----") or line not in shown


def test_the_pin_is_the_sha256_of_the_key_that_a_tls_1_3_client_meets(command):
    """Checked against a handshake with OpenSSL, not against our own reading of the certificate."""
    pin = command.json("site", "pin")["pin"]
    tls = command.settings.parent / "tls"
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.minimum_version = ssl.TLSVersion.TLSv1_3
    server.load_cert_chain(tls / "server.crt", tls / "server.key")
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.minimum_version = ssl.TLSVersion.TLSv1_3
    client.check_hostname, client.verify_mode = False, ssl.CERT_NONE
    left, right = socket.socketpair()
    with left, right:
        answering = threading.Thread(target=lambda: server.wrap_socket(right, server_side=True).close())
        answering.start()
        with client.wrap_socket(left) as connection:
            certificate = x509.load_der_x509_certificate(connection.getpeercert(binary_form=True))
        answering.join()
    spki = certificate.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    assert pin == hashlib.sha256(spki).hexdigest()
    assert pin in command("site", "pin").stdout


def test_two_sites_share_no_key(command, tmp_path):
    command("site", "init", "--folder", tmp_path / "second", "--name", "second")
    first, second = command.settings.parent, tmp_path / "second"
    for path in ("keys/database.key", "keys/field.keys", "keys/audit.pem", "keys/assertion.pem", "tls/server.key"):
        assert (first / path).read_bytes() != (second / path).read_bytes()


def test_the_first_row_of_the_log_is_the_making_of_the_site_and_is_signed(command):
    [row] = command.audit_rows()
    assert row["action"] == "admin.site.init" and row["success"]
    assert row["detail"]["site"] == "head-office" and row["detail"]["administrator"]
    report = command.json("audit", "verify")
    assert report["ok"] and report["proved_to"] == 1


@pytest.mark.parametrize(
    ("arguments", "exit_code", "message"),
    [
        (["--folder", "SITE"], 1, "SITE is not empty, and a site is never overwritten: name a new folder"),
        (["--folder", "SITE/server.toml"], 2, "is a file"),
        (["--folder", "TMP/no/such"], 1, "TMP/no is no folder: make it first, or name another place"),
        (["--folder", "TMP/new", "--name", "Head Office"], 2, "a site has 1 to 32 lower-case letters"),
        (["--folder", "TMP/new", "--host", "localhost"], 2, "does not appear to be an IPv4 or IPv6 address"),
        (["--folder", "TMP/new", "--port", "0"], 2, "0 is not in the range 1<=x<=65535"),
        (["--folder", "TMP/new", "--time-source", "a"], 2, "one --time-source can lie unnoticed: name two or more"),
        (["--folder", "TMP/new", "--presence", "off"], 2, "--presence off lets a photograph pass: it needs"),
    ],
)
def test_refused(command, tmp_path, arguments, exit_code, message):
    site = str(command.settings.parent)
    before = files(tmp_path)
    name = [] if "--name" in arguments else ["--name", "another"]
    swapped = [a.replace("SITE", site).replace("TMP", str(tmp_path)) for a in arguments]
    result = command("site", "init", *swapped, *name)
    assert result.exit_code == exit_code
    assert message.replace("SITE", site).replace("TMP", str(tmp_path)) in " ".join(result.stderr.split())
    assert files(tmp_path) == before


def test_an_empty_folder_is_taken(command, tmp_path):
    (tmp_path / "empty").mkdir()
    assert command("site", "init", "--folder", tmp_path / "empty", "--name", "second").exit_code == 0


INIT = "from provisioning.__main__ import cli; cli(['site', 'init', '--folder', {folder!r}, '--name', 'killed'])"


@pytest.mark.parametrize(
    "moment", ["keys", "tls/server.key", "store/4auth.db", "checkpoints/audit.jsonl", "server.toml"]
)
def test_killed_at_any_moment_it_leaves_a_whole_site_or_none(command, tmp_path, moment):
    folder, draft = tmp_path / "killed", tmp_path / ".killed.being-made"
    making = subprocess.Popen([sys.executable, "-c", INIT.format(folder=str(folder))], cwd=PROJECT)
    while making.poll() is None and not (draft / moment).exists() and not folder.exists():
        pass
    making.send_signal(signal.SIGKILL)
    making.wait()
    if not folder.exists():
        # Nothing is in the way of the next run, and what the killed one left is gone after it.
        again = command("site", "init", "--folder", folder, "--name", "killed")
        assert again.exit_code == 0, again.stderr
    assert not draft.exists()
    command.settings = folder / "server.toml"
    assert command.json("audit", "verify")["ok"]


@pytest.mark.parametrize("bytes_max", [0, 100, 600, 8192, 40_000])
def test_on_a_full_disk_it_is_refused_in_a_sentence_and_leaves_nothing(tmp_path, bytes_max):
    """The disk is played by the limit of a file's size; the first ones meet it at a key, the last at the database."""
    making = subprocess.run(
        [sys.executable, "-c", INIT.format(folder=str(tmp_path / "site"))],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (bytes_max, bytes_max)),
    )
    assert "Traceback" not in making.stderr, making.stderr[-600:]
    assert making.returncode in (1, 78) and making.stderr.startswith("4auth-provision: ")
    assert list(tmp_path.iterdir()) == []


def test_the_site_takes_its_name_in_one_step(tmp_path):
    """The folder that was filled under another name is the site's, so there is no moment of half a site."""
    folder, draft = tmp_path / "new", tmp_path / ".new.being-made"
    making = subprocess.Popen([sys.executable, "-c", INIT.format(folder=str(folder))], cwd=PROJECT)
    filled = None
    while making.poll() is None:
        if filled is None and (draft / "keys").exists():
            filled = draft.stat().st_ino
    assert making.returncode == 0
    assert filled is not None and folder.stat().st_ino == filled


def test_a_second_run_at_the_same_time_is_told_to_wait(command, tmp_path):
    import fcntl
    import os

    draft = tmp_path / ".busy.being-made"
    draft.mkdir()
    held = os.open(draft, os.O_RDONLY)
    fcntl.flock(held, fcntl.LOCK_EX)
    try:
        result = command("site", "init", "--folder", tmp_path / "busy", "--name", "busy")
    finally:
        os.close(held)
    assert result.exit_code == 1
    assert "another `site init` is making" in result.stderr


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: text.replace("port = 8443", 'port = "https"'), "listen.port = 'https': Input should be a valid"),
        (lambda text: text + "\n[surprise]\nkey = 1\n", "surprise: Extra inputs are not permitted"),
        (lambda text: text + "\n[time\n", "not TOML"),
        (lambda text: text.replace("keys = ", "keys = 1 #"), "store.keys = 1"),
    ],
)
def test_wrong_settings_exit_78_and_name_field_value_and_rule(command, change, message):
    command.settings.write_text(change(command.settings.read_text()))
    result = command("kiosk", "list")
    assert result.exit_code == 78
    assert message in result.stderr


def test_missing_settings_exit_78_and_in_json_too(command, tmp_path):
    command.settings = tmp_path / "nowhere.toml"
    result = command("kiosk", "list", "--json")
    assert result.exit_code == 78
    assert json.loads(result.stdout)["error"]["kind"] == "SettingsRefused"
    assert "nowhere.toml: cannot be read: No such file or directory" in result.stderr


def test_missing_keys_exit_78_and_nothing_is_made_in_their_place(command):
    key = command.settings.parent / "keys" / "database.key"
    key.unlink()
    result = command("user", "list")
    assert result.exit_code == 78
    assert str(key) in result.stderr
    assert not key.exists()


@IN_A_FILE
@pytest.mark.parametrize("arguments", [("user", "list"), ("site", "upgrade", "--yes"), ("audit", "verify")])
@pytest.mark.parametrize("is_there", [False, True], ids=["missing", "damaged"])
def test_a_database_that_cannot_be_opened_exits_78_as_the_server_does(command, arguments, is_there):
    database = command.settings.parent / "store" / "4auth.db"
    for path in database.parent.iterdir():
        path.unlink()
    if is_there:
        database.write_bytes(b"no database" * 1000)
    result = command(*arguments)
    assert result.exit_code == 78
    assert str(database) in result.stderr
    assert database.exists() == is_there


def test_the_commented_settings_are_the_defaults(command):
    text, before = command.settings.read_text(), load_settings(command.settings)
    for line in ("connections_per_address = 6", "queue_max = 6"):
        assert f"\n# {line}\n" in text
        text = text.replace(f"# {line}", line)
    command.settings.write_text(text)
    assert load_settings(command.settings) == before
    assert "read by everybody" not in text


def test_the_settings_are_toml_with_a_word_on_each_part(command):
    text = command.settings.read_text()
    assert set(tomllib.loads(text)) == {"site", "environment", "log_level", "listen", "health", "store", "face", "time"}
    assert text.count("#") >= 8


def test_upgrading_a_current_database_changes_nothing_and_is_audited(command):
    assert command.json("site", "upgrade", "--yes")["current"] is True
    assert command.audit_rows()[-1]["action"] == "admin.site.upgrade"
    assert command("audit", "verify").exit_code == 0


def test_upgrading_asks_first(command):
    refused = command("site", "upgrade", typed="n\n")
    assert refused.exit_code == 1
    assert "backed up" in refused.stderr
