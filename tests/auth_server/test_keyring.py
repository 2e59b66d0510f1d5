"""The keyring: made once and whole, and loaded only when nobody else could have read it."""

import os
import resource
import struct
from pathlib import Path

import pytest
from cryptography.fernet import Fernet
from hypothesis import given
from hypothesis import strategies as st

from auth_server.errors import KeyringRefused, StoreError
from auth_server.key_files import check_folder, read_key_file, write_key_file
from auth_server.keyring import KEY_FILES, FieldCipher, Keyring, key_id

places = st.tuples(st.text(max_size=8), st.text(max_size=8), st.text(max_size=8))


def test_create_makes_all_files_closed_to_others_and_load_reads_them(tmp_path: Path):
    made = Keyring.create(tmp_path / "keys")
    assert sorted(entry.name for entry in (tmp_path / "keys").iterdir()) == sorted(KEY_FILES)
    assert (tmp_path / "keys").stat().st_mode & 0o7777 == 0o700
    assert {(tmp_path / "keys" / name).stat().st_mode & 0o7777 for name in KEY_FILES} == {0o600}
    loaded = Keyring.load(tmp_path / "keys")
    assert loaded.database_key == made.database_key
    assert len(loaded.database_key) == 32
    assert loaded.field.open("t", "c", "r", made.field.seal("t", "c", "r", b"value")) == b"value"
    assert key_id(loaded.audit_key.public_key()) == key_id(made.audit_key.public_key())
    assert key_id(loaded.audit_key.public_key()) != key_id(loaded.assertion_key.public_key())
    assert list(tmp_path.iterdir()) == [tmp_path / "keys"], "no draft is left behind"


def test_create_fills_an_empty_folder(tmp_path: Path):
    (tmp_path / "keys").mkdir()
    assert len(Keyring.create(tmp_path / "keys").database_key) == 32


@pytest.mark.parametrize("name", [*KEY_FILES, "something else"])
def test_create_refuses_a_folder_that_holds_anything_and_touches_nothing(tmp_path: Path, name: str):
    folder = tmp_path / "keys"
    folder.mkdir()
    (folder / name).write_bytes(b"precious")
    with pytest.raises(KeyringRefused, match=name):
        Keyring.create(folder)
    assert [(entry.name, entry.read_bytes()) for entry in folder.iterdir()] == [(name, b"precious")]


def test_create_tells_of_a_missing_parent(tmp_path: Path):
    with pytest.raises(KeyringRefused, match="make it first"):
        Keyring.create(tmp_path / "nowhere" / "keys")
    assert list(tmp_path.iterdir()) == []


def test_a_key_file_is_never_overwritten(tmp_path: Path):
    write_key_file(tmp_path / "a.key", b"first")
    with pytest.raises(FileExistsError):
        write_key_file(tmp_path / "a.key", b"second")
    assert read_key_file(tmp_path / "a.key") == b"first"


@pytest.mark.parametrize("name", KEY_FILES)
def test_load_refuses_a_missing_file_by_name_and_makes_none(tmp_path: Path, name: str):
    Keyring.create(tmp_path / "keys")
    (tmp_path / "keys" / name).unlink()
    with pytest.raises(KeyringRefused, match=f"{name}.*backup"):
        Keyring.load(tmp_path / "keys")
    assert not (tmp_path / "keys" / name).exists()


def test_load_refuses_a_missing_folder_and_makes_none(tmp_path: Path):
    with pytest.raises(KeyringRefused, match=r"keys.*No such file"):
        Keyring.load(tmp_path / "keys")
    assert list(tmp_path.iterdir()) == []


def test_load_refuses_a_folder_that_is_there_and_cannot_be_opened(tmp_path: Path):
    """Root may open any folder, so here it is the number of open files that forbids it."""
    Keyring.create(tmp_path / "keys")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
    try:
        with pytest.raises(KeyringRefused, match="keys: Too many open files"):
            check_folder(tmp_path / "keys")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_load_refuses_a_file_in_place_of_the_folder(tmp_path: Path):
    (tmp_path / "keys").write_bytes(b"")
    with pytest.raises(KeyringRefused, match="keys is not a folder"):
        Keyring.load(tmp_path / "keys")


@pytest.mark.parametrize("name", KEY_FILES)
@pytest.mark.parametrize("content", [b"", b"garbage\n", b"ab" * 31, b"\xff\xfe"])
def test_load_refuses_a_damaged_file_without_quoting_it(tmp_path: Path, name: str, content: bytes):
    Keyring.create(tmp_path / "keys")
    (tmp_path / "keys" / name).write_bytes(content)
    with pytest.raises(KeyringRefused, match=f"{name} is damaged") as refusal:
        Keyring.load(tmp_path / "keys")
    assert "garbage" not in str(refusal.value)
    assert refusal.value.__cause__ is None
    assert refusal.value.__suppress_context__


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644, 0o660])
def test_load_refuses_a_file_that_others_may_read(tmp_path: Path, mode: int):
    Keyring.create(tmp_path / "keys")
    (tmp_path / "keys" / "audit.pem").chmod(mode)
    with pytest.raises(KeyringRefused, match=f"audit.pem has mode {mode:04o}.*chmod 0600"):
        Keyring.load(tmp_path / "keys")


def test_load_refuses_a_folder_that_others_may_read(tmp_path: Path):
    Keyring.create(tmp_path / "keys")
    (tmp_path / "keys").chmod(0o750)
    with pytest.raises(KeyringRefused, match="0750"):
        Keyring.load(tmp_path / "keys")


def test_load_refuses_a_link_in_place_of_a_file(tmp_path: Path):
    Keyring.create(tmp_path / "keys")
    (tmp_path / "keys" / "audit.pem").rename(tmp_path / "elsewhere.pem")
    (tmp_path / "keys" / "audit.pem").symlink_to(tmp_path / "elsewhere.pem")
    with pytest.raises(KeyringRefused, match=r"audit\.pem"):
        Keyring.load(tmp_path / "keys")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_load_refuses_a_file_of_another_user(tmp_path: Path):
    Keyring.create(tmp_path / "keys")
    os.chown(tmp_path / "keys" / "audit.pem", 1, 1)
    with pytest.raises(KeyringRefused, match=r"audit\.pem belongs to user 1: chown"):
        Keyring.load(tmp_path / "keys")


def test_load_takes_a_systemd_credentials_folder(tmp_path: Path):
    Keyring.create(tmp_path / "keys")
    for name in KEY_FILES:
        (tmp_path / "keys" / name).chmod(0o400)
    (tmp_path / "keys").chmod(0o500)
    assert len(Keyring.load(tmp_path / "keys").database_key) == 32
    (tmp_path / "keys").chmod(0o700)


def _access_list(*, user: int, group_permissions: int = 0) -> bytes:
    nobody = 0xFFFFFFFF
    entries = [(1, 6, nobody), (2, 4, user), (4, group_permissions, nobody), (0x10, 4, nobody), (0x20, 0, nobody)]
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries)


@pytest.mark.parametrize(
    ("user", "group_permissions", "is_taken"),
    [(os.geteuid(), 0, True), (os.geteuid() + 1, 0, False), (os.geteuid(), 4, False)],
    ids=["this user", "another user", "the group"],
)
def test_an_access_list_counts_by_whom_it_names(tmp_path: Path, user: int, group_permissions: int, is_taken: bool):
    """With a list, the group bits of the mode show its mask: 0640 may mean this user and no group."""
    write_key_file(tmp_path / "a.key", b"secret")
    try:
        os.setxattr(
            tmp_path / "a.key",
            "system.posix_acl_access",
            _access_list(user=user, group_permissions=group_permissions),
        )
    except OSError as error:
        pytest.skip(f"this file system keeps no access lists: {error.strerror}")
    assert (tmp_path / "a.key").stat().st_mode & 0o070
    if is_taken:
        assert read_key_file(tmp_path / "a.key") == b"secret"
    else:
        with pytest.raises(KeyringRefused):
            read_key_file(tmp_path / "a.key")


def test_no_repr_shows_a_key(keyring: Keyring):
    assert keyring.database_key.hex() not in repr(keyring)
    assert repr(keyring) == "Keyring()"


@given(places, places, st.binary(max_size=64))
def test_a_sealed_value_opens_at_its_own_place_only(
    place: tuple[str, str, str], other: tuple[str, str, str], value: bytes
):
    cipher = FieldCipher([Fernet.generate_key()])
    token = cipher.seal(*place, value)
    assert cipher.open(*place, token) == value
    if other != place:
        with pytest.raises(StoreError, match="another place"):
            cipher.open(*other, token)


def test_a_sealed_value_opens_with_an_older_key_of_the_ring_and_with_no_stranger():
    old, new, stranger = (Fernet.generate_key() for _ in range(3))
    token = FieldCipher([old]).seal("t", "c", "r", b"value")
    assert FieldCipher([new, old]).open("t", "c", "r", token) == b"value"
    with pytest.raises(StoreError, match="another key"):
        FieldCipher([stranger]).open("t", "c", "r", token)
    with pytest.raises(StoreError, match="another key"):
        FieldCipher([old]).open("t", "c", "r", token[:-4] + b"AAAA")
