"""The keyring: made once and whole, and loaded only when nobody else could have read it."""

import os
import resource
import struct
import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest
import structlog
from cryptography.fernet import Fernet
from hypothesis import given
from hypothesis import strategies as st

from auth_server.errors import KeyringRefused, StoreError
from auth_server.key_files import changing_keys, check_folder, read_key_file, replace_key_file, write_key_file
from auth_server.key_forms import ASSERTION, AUDIT, DATABASE, FIELD, FORMS, RETIRED_AUDIT, State, taken
from auth_server.keyring import KEY_FILES, FieldCipher, Keyring, key_id, read_keys

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
    assert key_id(loaded.audit_key.public_key()) != key_id(loaded.assertion.current.public_key())
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


NOW = datetime(2026, 11, 22, 9, 30, tzinfo=UTC)


@pytest.fixture
def live(tmp_path: Path) -> Keyring:
    """A keyring of the test's own."""
    return Keyring.create(tmp_path / "keys", NOW)


def turn(folder: Path, form) -> None:
    """Put a new key into use and keep the old one, as a rotation does."""
    keys = (*read_keys(folder / form.file, form), form.new(NOW, State.NEXT))
    replace_key_file(folder / form.file, form.spelt(taken(keys, NOW)))


class TestLive:
    """A keyring follows its files while they are in use."""

    def test_every_kind_follows(self, live: Keyring):
        before = (live.database_keys, live.field.keys, live.audit.current, live.assertion.current)
        for form in FORMS.values():
            turn(live.folder, form)
        assert live.database_keys[1:] == before[0]
        assert live.field.keys[1].id == before[1][0].id
        assert live.audit.keys[1].material.private_bytes_raw() == before[2].private_bytes_raw()
        assert list(live.assertion.public)[1] == key_id(before[3].public_key())

    def test_what_the_old_field_key_sealed_opens_and_what_is_sealed_now_is_the_new_ones(self, live: Keyring):
        other = Keyring.load(live.folder)  # another process's
        token = live.field.seal("t", "c", "r", b"before")
        turn(live.folder, FIELD)
        assert other.field.open("t", "c", "r", token) == b"before"
        sealed = live.field.seal("t", "c", "r", b"after")
        assert FieldCipher([other.field.keys[0].material]).open("t", "c", "r", sealed) == b"after"
        assert other.field.open("t", "c", "r", sealed) == b"after"

    def test_a_retired_key_opens_nothing(self, live: Keyring):
        token = live.field.seal("t", "c", "r", b"before")
        turn(live.folder, FIELD)
        replace_key_file(live.folder / FIELD.file, FIELD.spelt(live.field.keys[:1]))
        with pytest.raises(StoreError, match="another key"):
            live.field.open("t", "c", "r", token)

    @pytest.mark.parametrize(
        "harm",
        [
            lambda path: path.write_bytes(b"rubbish"),
            lambda path: path.write_bytes(b""),
            lambda path: path.unlink(),
            lambda path: path.chmod(0o644),
        ],
        ids=["rubbish", "empty", "gone", "open to all"],
    )
    @pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
    def test_a_file_that_is_harmed_leaves_the_keys_and_is_told_once(self, live: Keyring, form, harm):
        token = live.field.seal("t", "c", "r", b"value")
        path, whole = live.folder / form.file, (live.folder / form.file).read_bytes()
        with structlog.testing.capture_logs() as told:
            harm(path)
            for _ in range(3):
                assert live.field.open("t", "c", "r", token) == b"value"
                assert live.database_key and live.audit.current and live.assertion.current
        assert [(line["event"], line["file"]) for line in told] == [("incident", form.file)]
        assert whole.decode().split()[-1] not in str(told)
        path.unlink(missing_ok=True)
        write_key_file(path, whole)
        turn(live.folder, form)
        assert form is not DATABASE or len(live.database_keys) == 2, "mended, it is followed again"

    def test_a_mode_that_is_mended_is_noticed(self, live: Keyring):
        path = live.folder / DATABASE.file
        turn(live.folder, DATABASE)
        path.chmod(0o644)
        with structlog.testing.capture_logs():
            assert len(live.database_keys) == 1
        path.chmod(0o600)
        assert len(live.database_keys) == 2

    def test_a_file_that_does_not_look_changed_is_read_again_when_a_value_does_not_open(self, live: Keyring):
        """As where a clock stands still and an inode is used again."""
        path = live.folder / FIELD.file
        made = FIELD.new(NOW, State.NEXT)
        token = FieldCipher([made.material]).seal("t", "c", "r", b"value")
        before, keys = path.stat(), live.field.keys
        path.write_bytes(FIELD.spelt((*keys, made)))
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
        live.field._live._seen = tuple(  # the size and the change time cannot be set otherwise
            getattr(path.stat(), name) for name in ("st_mtime_ns", "st_ctime_ns", "st_ino", "st_size")
        )
        assert live.field.open("t", "c", "r", token) == b"value"

    def test_many_threads_may_use_it_while_it_is_replaced(self, live: Keyring):
        """Whatever one thread seals, another opens, through twenty rotations."""
        ends, faults = threading.Event(), []

        def work() -> None:
            other = Keyring.load(live.folder)
            while not ends.is_set():
                try:
                    assert other.field.open("t", "c", "r", live.field.seal("t", "c", "r", b"value")) == b"value"
                    signer = live.assertion.keys[0].id
                    assert signer in other.assertion.public
                except BaseException as fault:
                    faults.append(fault)

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for _ in range(20):
            turn(live.folder, FIELD)
            turn(live.folder, ASSERTION)
        ends.set()
        for thread in threads:
            thread.join()
        assert faults == []

    def test_retired_audit_keys_still_prove_and_do_not_sign(self, live: Keyring):
        before = live.audit.keys[0]
        turn(live.folder, AUDIT)
        half = RETIRED_AUDIT.key(before.material.public_key(), State.OLD, NOW)
        replace_key_file(live.folder / RETIRED_AUDIT.file, RETIRED_AUDIT.spelt([half]))
        replace_key_file(live.folder / AUDIT.file, AUDIT.spelt(live.audit.keys[:1]))
        assert list(live.audit.public) == [live.audit.keys[0].id, before.id]
        assert [key.id for key in live.audit.keys] != [before.id]
        assert list(Keyring.load(live.folder).audit.public) == list(live.audit.public)

    def test_a_damaged_file_of_retired_keys_is_refused_by_name(self, live: Keyring):
        write_key_file(live.folder / RETIRED_AUDIT.file, b"garbage")
        with pytest.raises(KeyringRefused, match=r"audit\.pub is damaged"):
            Keyring.load(live.folder)


class TestReplacing:
    """A key file is replaced whole or not at all, and nobody else can read any of it."""

    def test_it_takes_the_place_with_the_mode_of_a_key(self, tmp_path: Path):
        write_key_file(tmp_path / "a.key", b"before")
        replace_key_file(tmp_path / "a.key", b"after")
        assert read_key_file(tmp_path / "a.key") == b"after"
        assert [(path.name, path.stat().st_mode & 0o7777) for path in tmp_path.iterdir()] == [("a.key", 0o600)]

    @pytest.mark.parametrize("call", ["fsync", "rename"])
    def test_a_failure_leaves_the_file_and_no_draft(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str):
        write_key_file(tmp_path / "a.key", b"before")
        with monkeypatch.context() as patch, pytest.raises(KeyringRefused, match=r"a\.key cannot be written.*No space"):
            patch.setattr(*{"fsync": (os, "fsync"), "rename": (Path, "rename")}[call], no_space)
            replace_key_file(tmp_path / "a.key", b"after")
        assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("a.key", b"before")]

    def test_a_draft_that_a_killed_run_left_goes_with_the_next(self, tmp_path: Path):
        write_key_file(tmp_path / "a.key", b"before")
        write_key_file(tmp_path / ".a.key.draft", b"half a ke")
        with changing_keys(tmp_path):
            assert not (tmp_path / ".a.key.draft").exists()
            replace_key_file(tmp_path / "a.key", b"after")
        assert read_key_file(tmp_path / "a.key") == b"after"

    def test_two_changes_at_once_are_refused(self, tmp_path: Path):
        with changing_keys(tmp_path):
            with pytest.raises(KeyringRefused, match="another command is changing"), changing_keys(tmp_path):
                pass
        with changing_keys(tmp_path):
            pass

    @pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
    def test_root_leaves_the_file_to_its_owner(self, tmp_path: Path):
        write_key_file(tmp_path / "a.key", b"before")
        os.chown(tmp_path / "a.key", 1, 2)
        replace_key_file(tmp_path / "a.key", b"after")
        found = (tmp_path / "a.key").stat()
        assert (found.st_uid, found.st_gid, found.st_mode & 0o7777) == (1, 2, 0o600)

    def test_an_access_list_stays(self, tmp_path: Path):
        write_key_file(tmp_path / "a.key", b"before")
        listed = _access_list(user=os.geteuid())
        try:
            os.setxattr(tmp_path / "a.key", "system.posix_acl_access", listed)
        except OSError as error:
            pytest.skip(f"this file system keeps no access lists: {error.strerror}")
        replace_key_file(tmp_path / "a.key", b"after")
        assert os.getxattr(tmp_path / "a.key", "system.posix_acl_access") == listed

    def test_a_file_that_is_too_long_is_refused_rather_than_cut(self, tmp_path: Path):
        write_key_file(tmp_path / "a.key", b"#" * 20_000)
        with pytest.raises(KeyringRefused, match="longer than"):
            read_key_file(tmp_path / "a.key")


def no_space(*_: object) -> None:
    raise OSError(28, "No space left on device")
