"""The device key's file, and a network interface against a tree that stands in for /sys."""

import base64
import os
import stat
from pathlib import Path

import netifaces
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from auth_client.device_key import check_key, load_or_make_key
from auth_client.errors import DeviceKeyRefused
from kiosk_agent.errors import IdentityRefused
from kiosk_agent.identity import check_fit_for_production, check_identity, load_identity
from kiosk_agent.nic import MacReader, Nic, read_nic
from kiosk_agent.settings.network import MacTrait

OWN, OTHER, LOCAL = "b8:27:eb:0a:0b:0c", "b8:27:eb:0a:0b:0d", "ba:27:eb:0a:0b:0c"


class Kernel(MacReader):
    """A machine with one interface."""

    def __init__(self, current: str | None, permanent: str | None) -> None:
        self._answers = (current, permanent)

    def current(self, interface: str) -> str | None:
        return self._answers[0] if interface == "eth0" else None

    def permanent(self, interface: str) -> str | None:
        return self._answers[1]


def sys_tree(root: Path, *, assigned: str = "0", has_device: bool = True) -> Path:
    folder = root / "class/net/eth0"
    folder.mkdir(parents=True)
    (folder / "addr_assign_type").write_text(f"{assigned}\n")
    if has_device:
        (folder / "device").mkdir()
    return root


READINGS = [
    # current, permanent, addr_assign_type, has a device, faults
    (OWN, OWN, "0", True, []),
    (OWN, None, "0", True, []),
    (OTHER, OWN, "3", True, ["changed", "set by a user"]),
    (OTHER, OWN, "0", True, ["changed"]),
    (OWN, OWN, "3", True, ["set by a user"]),
    (OWN, None, "1", True, ["drawn at random"]),
    (OWN, None, "2", True, ["copied from another"]),
    (OWN, None, "0", False, ["virtual"]),
    (LOCAL, "00:00:00:00:00:00", "1", False, ["drawn at random", "virtual", "locally administered"]),
]


@pytest.mark.parametrize(("current", "permanent", "assigned", "has_device", "faults"), READINGS)
def test_what_an_interface_tells(current, permanent, assigned, has_device, faults, tmp_path, make_settings) -> None:
    root = sys_tree(tmp_path, assigned=assigned, has_device=has_device)
    nic = read_nic("eth0", sys_root=root, reader=Kernel(current, permanent))
    assert nic.mac == current
    assert nic.permanent_mac == (permanent if permanent and int(permanent.replace(":", ""), 16) else None)
    assert [word in fault for word, fault in zip(faults, nic.faults, strict=True)] == [True] * len(faults)
    assert all(len(fault) <= 120 for fault in nic.faults), "a heartbeat takes no more"
    if faults:
        with pytest.raises(IdentityRefused, match=faults[0]):
            check_fit_for_production(nic, make_settings())
    else:
        check_fit_for_production(nic, make_settings())
    check_fit_for_production(nic, make_settings(allow_mac=list(MacTrait)))


ALL = set(MacTrait)


@pytest.mark.parametrize(
    ("current", "permanent", "assigned", "has_device", "traits"),
    [
        (OTHER, OWN, "0", True, {"changed"}),
        (OWN, None, "2", True, {"changed"}),
        (OWN, None, "3", True, {"changed"}),
        (OWN, None, "1", True, {"random"}),
        (OWN, None, "0", False, {"virtual"}),
        (LOCAL, None, "0", True, {"local"}),
        (LOCAL, OWN, "1", False, {"local", "changed", "random", "virtual"}),
    ],
)
def test_the_settings_must_allow_each_trait_by_its_name(
    current, permanent, assigned, has_device, traits, tmp_path, make_settings
) -> None:
    nic = read_nic(
        "eth0",
        sys_root=sys_tree(tmp_path, assigned=assigned, has_device=has_device),
        reader=Kernel(current, permanent),
    )
    assert set(nic.traits) == traits
    check_fit_for_production(nic, make_settings(allow_mac=sorted(traits)))
    for missing in traits:
        with pytest.raises(IdentityRefused, match=f'list "{missing}" in allow_mac') as caught:
            check_fit_for_production(nic, make_settings(allow_mac=sorted(ALL - {missing})))
        assert "eth0" in str(caught.value) and current in str(caught.value)
        assert (permanent or "its driver does not say which") in str(caught.value)


@pytest.mark.parametrize("current", [None, "", "00:00:00:00:00:00", "nonsense"])
def test_an_interface_without_a_mac_is_refused_naming_those_there_are(current, tmp_path) -> None:
    with pytest.raises(IdentityRefused, match=netifaces.interfaces()[0]):
        read_nic("eth0", sys_root=tmp_path, reader=Kernel(current, None))


def test_a_real_interface_of_this_machine() -> None:
    names = [name for name in netifaces.interfaces() if (MacReader().current(name) or "0").strip("0:")]
    if not names:
        pytest.skip("this machine has no interface with a MAC")
    nic = read_nic(names[0])
    assert nic.mac == Path(f"/sys/class/net/{names[0]}/address").read_text().strip()


def test_a_key_is_made_once_and_for_its_owner_alone(tmp_path) -> None:
    path = tmp_path / "keys" / "device.pem"
    made = load_or_make_key(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert list(path.parent.iterdir()) == [path], "no draft is left"
    assert load_or_make_key(path).private_bytes_raw() == made.private_bytes_raw()


def key_file(folder: Path, content: bytes, mode: int = 0o600) -> Path:
    folder.chmod(0o700)
    path = folder / "device.pem"
    path.write_bytes(content)
    path.chmod(mode)
    return path


def foreign_key() -> bytes:
    return ec.generate_private_key(ec.SECP256R1()).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


@pytest.mark.parametrize("content", [b"", b"nonsense", b"-----BEGIN PRIVATE KEY-----\n", foreign_key()])
def test_a_broken_key_is_refused_and_never_replaced(content, tmp_path) -> None:
    path = key_file(tmp_path, content)
    with pytest.raises(DeviceKeyRefused, match="restore it"):
        load_or_make_key(path)
    assert path.read_bytes() == content


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o610])
def test_a_key_that_others_could_read_is_refused(mode, tmp_path) -> None:
    path = tmp_path / "keys" / "device.pem"
    load_or_make_key(path)
    path.chmod(mode)
    with pytest.raises(DeviceKeyRefused, match=f"mode {mode:04o}"):
        load_or_make_key(path)


def test_a_folder_that_others_could_enter_is_refused(tmp_path) -> None:
    path = tmp_path / "keys" / "device.pem"
    load_or_make_key(path)
    path.parent.chmod(0o755)
    with pytest.raises(DeviceKeyRefused, match="0755"):
        load_or_make_key(path)


def test_a_dangling_link_is_refused_and_not_followed(tmp_path) -> None:
    tmp_path.chmod(0o700)
    (tmp_path / "device.pem").symlink_to(tmp_path / "elsewhere.pem")
    with pytest.raises(DeviceKeyRefused):
        load_or_make_key(tmp_path / "device.pem")
    assert not os.path.lexists(tmp_path / "elsewhere.pem")


def test_a_key_that_another_process_made_meanwhile_is_kept(tmp_path, monkeypatch) -> None:
    path = tmp_path / "keys" / "device.pem"
    first = load_or_make_key(path)
    # The check for an existing key misses it, as if the other process had made it a moment later.
    monkeypatch.setattr("auth_client.device_key.os.path.lexists", lambda _path: False)
    assert load_or_make_key(path).private_bytes_raw() == first.private_bytes_raw()


def test_the_public_key_is_what_the_server_registers(make_settings) -> None:
    identity = load_identity(make_settings())
    raw = base64.urlsafe_b64decode(identity.public_key + "=")
    assert len(identity.public_key) == 43
    assert Ed25519PublicKey.from_public_bytes(raw) == identity.key.public_key()
    assert "key=" not in repr(identity)


def test_an_override_reads_no_interface_and_says_so(make_settings) -> None:
    nic = load_identity(make_settings(mac_override=OTHER)).read()
    assert (nic.mac, nic.permanent_mac) == (OTHER, None)
    assert "mac_override" in nic.faults[0]


def test_without_an_override_the_interface_is_read_anew_each_time(make_settings) -> None:
    readings = iter([Nic(OWN, OWN, ()), Nic(OTHER, OWN, ("changed",))])
    identity = load_identity(make_settings(mac_override=None), read=lambda _name: next(readings))
    assert [identity.read().mac, identity.read().mac] == [OWN, OTHER]


# --- a check before a start


def test_a_check_makes_no_key(tmp_path) -> None:
    path = tmp_path / "keys" / "device.pem"
    assert not check_key(path)
    assert not path.parent.exists()
    load_or_make_key(path)
    assert check_key(path)


def test_a_check_refuses_what_a_start_would(tmp_path) -> None:
    broken = key_file(tmp_path, b"nonsense")
    with pytest.raises(DeviceKeyRefused, match=f"key_file {broken}: is no PEM private key"):
        check_key(broken)
    with pytest.raises(DeviceKeyRefused, match=r"key_file .*: cannot be made: .*device\.pem is no folder"):
        check_key(broken / "keys" / "device.pem")
    broken.unlink()
    tmp_path.chmod(0o755)
    with pytest.raises(DeviceKeyRefused, match=r"key_file: .* has mode 0755"):
        check_key(broken)


def test_a_check_looks_at_the_mac_as_strictly_as_the_start(make_settings) -> None:
    settings = make_settings(mac_override=None)
    doubtful = Nic(OTHER, OWN, ("eth0: MAC changed",))
    assert not check_identity(settings, read=lambda _name: doubtful)
    production = settings.model_copy(update={"environment": "production"})
    with pytest.raises(IdentityRefused, match=r"interface eth0: MAC changed: .* in production"):
        check_identity(production, read=lambda _name: doubtful)
    assert not check_identity(production, read=lambda _name: Nic(OWN, OWN, ()))
