"""Another TLS key: pinned before it is used, and never half in place."""

import stat
import subprocess

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from auth_server.settings_file import load_settings
from provisioning.site_key import next_files


def fits(key, certificate) -> bool:
    private = serialization.load_pem_private_key(key.read_bytes(), None)
    return private.public_key() == x509.load_pem_x509_certificate(certificate.read_bytes()).public_key()


@pytest.fixture
def listen(command):
    return load_settings(command.settings).listen


def test_kiosks_can_be_told_before_the_key_is_used(command, listen):
    before = command.json("site", "pin")
    assert before["next"] is None
    made = command.json("site", "next-key")
    assert made["is_new"] and made["next"] != before["pin"]
    assert command.json("site", "pin") == {"pin": before["pin"], "next": made["next"]}
    assert fits(*next_files(listen)) and fits(listen.tls_key, listen.tls_certificate)
    assert command.json("site", "use-next-key") == {"pin": made["next"]}
    assert command.json("site", "pin") == {"pin": made["next"], "next": None}
    assert fits(listen.tls_key, listen.tls_certificate)
    assert stat.S_IMODE(listen.tls_key.stat().st_mode) == 0o600
    rows = command.audit_rows()[-2:]
    assert [row["action"] for row in rows] == ["admin.site.next-key", "admin.site.use-next-key"]
    assert rows[1]["detail"].items() >= {"old_pin": before["pin"], "pin": made["next"]}.items()


def test_openssl_trusts_both_keys_side_by_side(command, listen, tmp_path):
    """A proxy before the server does while the key is changed; under one name it would trust the first alone."""
    command("site", "next-key")
    _, following = next_files(listen)
    both = tmp_path / "both.crt"
    both.write_bytes(listen.tls_certificate.read_bytes() + following.read_bytes())
    for certificate in (listen.tls_certificate, following):
        done = subprocess.run(["openssl", "verify", "-CAfile", both, certificate], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr


def test_asked_again_it_tells_the_same_key(command):
    made = command.json("site", "next-key")["next"]
    assert command.json("site", "next-key") == {"next": made, "is_new": False}


def test_without_a_next_key_there_is_none_to_use(command):
    refused = command("site", "use-next-key")
    assert refused.exit_code == 1 and "site next-key" in refused.stderr


@pytest.mark.parametrize("moment", ["before the certificate was there", "when the key was in place"])
def test_what_was_killed_is_ended_by_running_it_again(command, listen, moment):
    key, certificate = next_files(listen)
    if moment == "before the certificate was there":
        key.write_text("half a k")
        command("site", "next-key")
    else:
        command("site", "next-key")
        key.replace(listen.tls_key)
    made = command.json("site", "pin")["next"]
    assert command.json("site", "use-next-key") == {"pin": made}
    assert fits(listen.tls_key, listen.tls_certificate)
    assert not key.exists() and not certificate.exists()
