"""Accounts, the decoy that stands in for an unknown name, and the code that may be used once."""

import dataclasses
import io
import math
import struct
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import bcrypt
import pyotp
import pytest
from cryptography.fernet import Fernet, MultiFernet
from PIL import Image
from skimage.data import astronaut
from sqlalchemy import event

from auth_server.account_faces import FOLLOWED
from auth_server.accounts import Account, Accounts, NewAccount, _decoy_hash
from auth_server.domain import Enrolment, Template
from auth_server.errors import StoreError
from auth_server.keyring import FieldCipher, Keyring
from auth_server.password_policy import BCRYPT_COST
from auth_server.store.database import Database
from auth_vision.geometry import CHIP_SIZE

MACS = frozenset({"02:00:5e:10:00:01", "02:00:5e:10:00:02"})


@pytest.fixture
def accounts(database: Database, keyring: Keyring) -> Accounts:
    """No account yet."""
    return Accounts(database, keyring.field, "4auth")


@pytest.fixture
def new_account() -> NewAccount:
    """What alice brings."""
    return NewAccount(
        username="alice",
        password_hash=b"$2b$12$hash",
        totp_secret="JBSWY3DPEHPK3PXP",
        totp_last_step=100,
        template=Template("4auth", struct.pack("<2f", 0.6, 0.8)),
        face_png=b"\x89PNG picture",
        mac_addresses=MACS,
    )


def test_an_added_account_is_found_and_listed(accounts: Accounts, new_account: NewAccount, now: datetime):
    expected = Account(
        username="alice", enabled=True, face_enabled=True, face_model="4auth", mac_addresses=MACS, created_at=now
    )
    assert accounts.add(new_account, now) == expected
    assert accounts.find("alice") == expected
    assert (
        accounts.add(dataclasses.replace(new_account, username="Zoë", mac_addresses=frozenset()), now).username == "zoë"
    )
    assert [account.username for account in accounts.list()] == ["alice", "zoë"]
    assert accounts.list()[1].mac_addresses == frozenset()
    assert accounts.find("nobody") is None
    assert accounts.list()[0].created_at.tzinfo is UTC


def test_an_enrolment_has_all_that_the_factors_compare_with(accounts: Accounts, new_account: NewAccount, now: datetime):
    accounts.add(new_account, now)
    enrolment = accounts.enrolment("alice")
    assert enrolment.password_hash == new_account.password_hash
    assert enrolment.totp_secret == new_account.totp_secret
    assert enrolment.totp_last_step == 100
    assert enrolment.template == new_account.template
    assert enrolment.mac_addresses == MACS
    assert (enrolment.enabled, enrolment.face_enabled, enrolment.is_decoy) == (True, True, False)
    assert accounts.face_picture("alice") == enrolment.face_png == new_account.face_png


def test_a_name_is_taken_once_whatever_its_spelling(accounts: Accounts, new_account: NewAccount, now: datetime):
    accounts.add(new_account, now)
    with pytest.raises(StoreError, match="already"):
        accounts.add(dataclasses.replace(new_account, username="ALICE", totp_secret="OTHER"), now)
    assert accounts.enrolment("alice").totp_secret == new_account.totp_secret


@pytest.mark.parametrize(
    "wrong", [{"username": ""}, {"username": "a\x00b"}, {"mac_addresses": frozenset({"ff:ff:ff:ff:ff:ff"})}]
)
def test_an_account_of_the_wrong_form_is_refused(
    accounts: Accounts, new_account: NewAccount, now: datetime, wrong: dict[str, object]
):
    with pytest.raises(ValueError):
        accounts.add(dataclasses.replace(new_account, **wrong), now)
    assert accounts.list() == []


def test_no_repr_shows_a_secret(new_account: NewAccount):
    told = repr(new_account)
    assert "alice" in told
    assert not [secret for secret in ("JBSWY3DPEHPK3PXP", "$2b$12", "PNG") if secret in told]


class TestDecoy:
    """What is handed out for a name that no account has."""

    def test_it_has_the_shape_of_an_enrolment(self, accounts: Accounts):
        decoy = accounts.enrolment("nobody")
        assert decoy.is_decoy
        assert (decoy.username, decoy.enabled, decoy.face_enabled) == ("nobody", False, False)
        assert decoy.mac_addresses == frozenset()
        assert decoy.template.model == "4auth"
        numbers = struct.unpack("<512f", decoy.template.embedding)
        assert math.isclose(sum(number * number for number in numbers), 1.0, abs_tol=1e-5)
        assert len(pyotp.TOTP(decoy.totp_secret).now()) == 6
        with Image.open(io.BytesIO(decoy.face_png), formats=("PNG",)) as picture:
            picture.load()
            assert (picture.size, picture.mode) == ((CHIP_SIZE, CHIP_SIZE), "RGB")
        assert 0.7 < len(decoy.face_png) / len(_aligned_portrait()) < 1.5

    def test_its_hash_costs_what_a_real_one_costs(self, accounts: Accounts):
        assert accounts.enrolment("nobody").password_hash.startswith(f"$2b${BCRYPT_COST}$".encode())
        assert not bcrypt.checkpw(b"password", accounts.enrolment("nobody").password_hash)

    def test_it_is_made_once_so_that_handing_it_out_costs_no_hash(self, accounts: Accounts):
        assert accounts.enrolment("nobody").password_hash is accounts.enrolment("somebody").password_hash

    def test_only_a_login_or_a_server_that_prepares_for_one_makes_the_hash(self, database: Database, keyring: Keyring):
        _decoy_hash.cache_clear()
        accounts = Accounts(database, keyring.field, "4auth")
        assert accounts.list() == [] and accounts.find("alice") is None
        assert _decoy_hash.cache_info().misses == 0
        accounts.prepare_decoy()
        accounts.enrolment("nobody")
        assert _decoy_hash.cache_info().misses == 1

    def test_unprepared_the_first_login_pays_whatever_its_name(
        self, accounts: Accounts, new_account: NewAccount, now: datetime
    ):
        accounts.add(new_account, now)
        _decoy_hash.cache_clear()
        accounts.enrolment("alice")
        assert _decoy_hash.cache_info().misses == 1

    @pytest.mark.parametrize(("is_following", "decryptions"), [(False, 4), (True, 5)])
    def test_it_costs_the_same_statements_and_decryptions(
        self,
        database: Database,
        keyring: Keyring,
        new_account: NewAccount,
        now: datetime,
        monkeypatch: pytest.MonkeyPatch,
        is_following: bool,
        decryptions: int,
    ):
        accounts = Accounts(database, keyring.field, "4auth", is_following=is_following)
        accounts.prepare_decoy()
        accounts.add(new_account, now)
        followed = dataclasses.replace(new_account, username="followed")
        accounts.add(followed, now)
        with database.transaction() as session:
            accounts.put_further(session, "followed", now, FOLLOWED, followed.template, now)
        costs: list[list[str]] = []
        decrypt = MultiFernet.decrypt
        monkeypatch.setattr(
            MultiFernet, "decrypt", lambda ring, token: costs[-1].append("decryption") or decrypt(ring, token)
        )
        event.listen(database.engine, "before_cursor_execute", lambda *execution: costs[-1].append(execution[2]))
        for name in ("alice", "followed", "nobody"):
            costs.append([])
            accounts.enrolment(name)
        assert costs[0] == costs[1] == costs[2]
        assert costs[0].count("decryption") == decryptions and len(costs[0]) == decryptions + 3

    def test_it_is_made_anew_when_the_key_that_sealed_it_was_retired(
        self, database: Database, new_account: NewAccount, now: datetime
    ):
        """Else an unknown name would break after a rotation, and so tell that it is unknown."""
        ring = _Ring([Fernet.generate_key()])
        accounts = Accounts(database, ring, "4auth")
        accounts.add(new_account, now)
        before = accounts.enrolment("nobody")
        ring.keys = [Fernet.generate_key()]
        after = accounts.enrolment("nobody")
        assert after == before
        with pytest.raises(StoreError, match="sealed by another key"):
            accounts.enrolment("alice")

    def test_two_servers_do_not_share_a_decoy(self, database: Database, keyring: Keyring, accounts: Accounts):
        other = Accounts(database, keyring.field, "4auth").enrolment("nobody")
        assert other.totp_secret != accounts.enrolment("nobody").totp_secret
        assert other.template != accounts.enrolment("nobody").template


class _Ring(FieldCipher):
    """A cipher whose keys are changed while it is in use."""

    def __init__(self, keys: list[bytes]) -> None:
        self.keys = keys

    def seal(self, table: str, column: str, row: str, plaintext: bytes) -> bytes:
        return FieldCipher(self.keys).seal(table, column, row, plaintext)

    def open(self, table: str, column: str, row: str, token: bytes) -> bytes:
        return FieldCipher(self.keys).open(table, column, row, token)


class TestSpend:
    """A code's time step is used up by the one statement that lets it pass."""

    @pytest.mark.parametrize(("step", "is_burnt"), [(99, False), (100, False), (101, True), (10**9, True)])
    def test_only_a_later_step_passes(
        self, accounts: Accounts, database: Database, new_account: NewAccount, now: datetime, step: int, is_burnt: bool
    ):
        accounts.add(new_account, now)
        with database.transaction() as session:
            assert accounts.spend(session, "alice", step=step, opened_at=now, now=now) is is_burnt
            assert accounts.spend(session, "alice", step=step, opened_at=now, now=now) is False
        assert accounts.enrolment("alice").totp_last_step == (step if is_burnt else 100)

    def test_nobody_has_no_step(self, accounts: Accounts, database: Database, now: datetime):
        with database.transaction() as session:
            assert accounts.spend(session, "nobody", step=1, opened_at=now, now=now) is False

    def test_without_a_step_it_only_looks(
        self, accounts: Accounts, database: Database, new_account: NewAccount, now: datetime
    ):
        accounts.add(new_account, now)
        with database.transaction() as session:
            assert accounts.spend(session, "alice", step=None, opened_at=now, now=now)
            assert not accounts.spend(session, "nobody", step=None, opened_at=now, now=now)
        assert accounts.enrolment("alice").totp_last_step == 100

    @pytest.mark.parametrize("step", [None, 101])
    @pytest.mark.parametrize(
        ("opened_s", "now_s", "is_granted"),
        [
            (-1, 0, False),  # opened before the change
            (0, 0, True),
            (1, 1, True),
            (-90, -60, False),  # the change was noted by a request that read the clock a minute later
            (-90, -61, True),  # beyond that the clock was set back: waiting for it would lock the person out
        ],
    )
    def test_an_attempt_that_was_opened_before_a_factor_changed_gets_nothing(
        self, accounts, database, new_account, now, step, opened_s, now_s, is_granted
    ):
        accounts.add(new_account, now - timedelta(days=1))
        with database.transaction() as session:
            assert accounts.replace_password(session, "alice", b"another hash", now)
            moments = {"opened_at": now + timedelta(seconds=opened_s), "now": now + timedelta(seconds=now_s)}
            assert accounts.spend(session, "alice", step=step, **moments) is is_granted

    @pytest.mark.parametrize("standing", ["disabled", "face disabled"])
    def test_an_account_disabled_meanwhile_is_not_let_in(
        self, accounts: Accounts, database: Database, new_account: NewAccount, now: datetime, standing: str
    ):
        accounts.add(new_account, now)
        with database.transaction() as session:
            (accounts.disable if standing == "disabled" else accounts.disable_face)(session, "alice")
            assert accounts.spend(session, "alice", step=101, opened_at=now, now=now) is False

    def test_a_step_is_burnt_only_if_the_transaction_commits(
        self, accounts: Accounts, database: Database, new_account: NewAccount, now: datetime
    ):
        accounts.add(new_account, now)
        with pytest.raises(RuntimeError), database.transaction() as session:
            accounts.spend(session, "alice", step=101, opened_at=now, now=now)
            raise RuntimeError
        assert accounts.enrolment("alice").totp_last_step == 100

    def test_of_fifty_at_once_in_five_processes_one_wins(
        self,
        accounts: Accounts,
        new_account: NewAccount,
        now: datetime,
        run_in_processes: Callable[[int, str], list[str]],
    ):
        accounts.add(new_account, now)
        lines = run_in_processes(
            5,
            """
from auth_server.accounts import Accounts
accounts = Accounts(database, keyring.field, "4auth")
wait_for_all()
def work(_):
    with database.transaction() as session:
        return accounts.spend(session, "alice", step=101, opened_at=now, now=now)
for won in in_threads(10, work):
    print(won)
""",
        )
        assert sorted(lines) == ["False"] * 49 + ["True"]


def test_standing_is_changed_by_admin_and_by_lockout(
    accounts: Accounts, database: Database, new_account: NewAccount, now: datetime
):
    accounts.add(new_account, now)
    accounts.add(dataclasses.replace(new_account, username="bob"), now)
    assert accounts.set_enabled("alice", False)
    assert not accounts.enrolment("alice").enabled
    assert accounts.set_enabled("alice", True)
    assert accounts.enrolment("alice").enabled
    assert not accounts.set_enabled("nobody", True)
    with database.transaction() as session:
        assert accounts.disable_face(session, "alice")
        assert not accounts.disable_face(session, "nobody")
    assert not accounts.enrolment("alice").face_enabled
    with database.transaction() as session:
        assert accounts.enable(session, "alice")
    assert accounts.enrolment("alice").face_enabled
    bob = accounts.find("bob")
    assert bob is not None
    assert bob.enabled
    assert bob.face_enabled


def test_nobody_has_no_picture(accounts: Accounts):
    with pytest.raises(StoreError, match="nobody"):
        accounts.face_picture("nobody")


class TestReplace:
    """One factor takes the place of another; the others stay."""

    def test_a_password(self, accounts: Accounts, database: Database, new_account: NewAccount, now: datetime):
        before = _added(accounts, new_account, now)
        with database.transaction() as session:
            assert accounts.replace_password(session, "alice", b"$2b$12$new", now)
        assert accounts.enrolment("alice") == dataclasses.replace(before, password_hash=b"$2b$12$new")

    @pytest.mark.parametrize("step", [0, 99, 100, 101])
    def test_a_second_factor_of_which_only_its_own_first_code_is_used(self, accounts, database, new_account, now, step):
        before = _added(accounts, new_account, now)
        with database.transaction() as session:
            assert accounts.replace_totp(session, "alice", "KRSXG5CTMVRXEZLU", step, now)
        changed = dataclasses.replace(before, totp_secret="KRSXG5CTMVRXEZLU", totp_last_step=step)
        assert accounts.enrolment("alice") == changed

    def test_a_face_with_its_picture(self, accounts, database, new_account, now):
        before = _added(accounts, new_account, now)
        with database.transaction() as session:
            assert accounts.replace_face(session, "alice", Template("next", b"\0" * 8), b"new picture", now)
        changed = dataclasses.replace(before, template=Template("next", b"\0" * 8), face_png=b"new picture")
        assert accounts.enrolment("alice") == changed
        assert accounts.face_picture("alice") == b"new picture"

    def test_devices(self, accounts, database, new_account, now):
        before = _added(accounts, new_account, now)
        with database.transaction() as session:
            assert accounts.replace_devices(session, "alice", ["02-00-5E-10-00-09"], now)
        assert accounts.enrolment("alice") == dataclasses.replace(before, mac_addresses={"02:00:5e:10:00:09"})

    def test_nobody_has_nothing_to_replace(self, accounts, database, now):
        with database.transaction() as session:
            assert not accounts.replace_password(session, "nobody", b"hash", now)
            assert not accounts.replace_totp(session, "nobody", "SECRET", 1, now)
            assert not accounts.replace_face(session, "nobody", Template("4auth", b""), b"", now)
            assert not accounts.replace_devices(session, "nobody", MACS, now)

    def test_nothing_is_replaced_when_the_transaction_does_not_commit(self, accounts, database, new_account, now):
        before = _added(accounts, new_account, now)
        with pytest.raises(RuntimeError), database.transaction() as session:
            accounts.replace_totp(session, "alice", "KRSXG5CTMVRXEZLU", 101, now)
            accounts.replace_password(session, "alice", b"new", now)
            raise RuntimeError
        assert accounts.enrolment("alice") == before


class TestDevices:
    """An account may be bound to several kiosks."""

    def test_bind_and_unbind(self, accounts: Accounts, new_account: NewAccount, now: datetime):
        accounts.add(new_account, now)
        third = "02:00:5e:10:00:03"
        assert accounts.bind("alice", third, now)
        assert not accounts.bind("alice", third, now), "it was bound already"
        assert accounts.enrolment("alice").mac_addresses == MACS | {third}
        for mac in sorted(MACS):
            assert accounts.unbind("alice", mac, now)
        assert not accounts.unbind("alice", min(MACS), now)
        assert accounts.enrolment("alice").mac_addresses == {third}

    def test_nobody(self, accounts: Accounts, now: datetime):
        with pytest.raises(StoreError, match="there is no account 'nobody'"):
            accounts.bind("nobody", "02:00:5e:10:00:03", now)
        with pytest.raises(StoreError, match="there is no account 'nobody'"):
            accounts.unbind("nobody", "02:00:5e:10:00:03", now)

    def test_both_end_the_attempts_that_are_open(self, accounts, database, new_account, now):
        accounts.add(new_account, now)
        for change in (accounts.bind, accounts.unbind):
            now += timedelta(minutes=1)
            change("alice", "02:00:5e:10:00:03", now)
            with database.transaction() as session:
                before = now - timedelta(seconds=1)
                assert not accounts.spend(session, "alice", step=None, opened_at=before, now=now)


def _added(accounts: Accounts, new_account: NewAccount, now: datetime) -> Enrolment:
    accounts.add(new_account, now)
    return accounts.enrolment("alice")


def _aligned_portrait() -> bytes:
    """A face of a photograph, cut and stored as an enrolled one is."""
    out = io.BytesIO()
    face = Image.fromarray(astronaut()[20:200, 130:310])
    face.resize((CHIP_SIZE, CHIP_SIZE), Image.Resampling.BICUBIC).save(out, "PNG", optimize=True)
    return out.getvalue()
