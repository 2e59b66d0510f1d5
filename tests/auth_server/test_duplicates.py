"""A new face is compared with all others' of its model, and with what was stored since under the write lock."""

import time
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pytest
from sqlalchemy import text, update

from auth_server import duplicates as module
from auth_server.accounts import Accounts, NewAccount
from auth_server.domain import Template
from auth_server.duplicates import Duplicates, Found, Match
from auth_server.keyring import Keyring
from auth_server.store.database import Database
from auth_server.store.models import USERS
from tests.postgres import IN_A_FILE

THRESHOLD = 0.5
Add = Callable[..., None]


def at(distance: float, size: int = 8, model: str = "m") -> Template:
    """A template at this cosine distance from `at(0)`."""
    vector = np.zeros(size)
    vector[:2] = 1 - distance, np.sqrt(1 - (1 - distance) ** 2)
    return Template(model, vector.astype("<f4").tobytes())


@pytest.fixture
def accounts(database: Database, keyring: Keyring) -> Accounts:
    return Accounts(database, keyring.field, "m", embedding_size=8)


@pytest.fixture
def add(accounts: Accounts, now: datetime) -> Add:
    def add(name: str, template: Template) -> None:
        accounts.add(
            NewAccount(
                username=name,
                password_hash=b"hash",
                totp_secret="JBSWY3DPEHPK3PXP",
                totp_last_step=0,
                template=template,
                face_png=b"png",
                mac_addresses=frozenset(),
            ),
            now,
        )

    return add


@pytest.fixture
def faces(database: Database, keyring: Keyring) -> Duplicates:
    return Duplicates(database, keyring.field, THRESHOLD)


def found(faces: Duplicates, database: Database, name: str, template: Template, looked: Any = None) -> Found:
    with database.read() as session:
        return faces.settle(session, looked or faces.look(name, template), name, template)


@pytest.mark.parametrize(
    ("others", "like"),
    [
        ({}, None),
        ({"bob": at(0.0)}, "bob"),
        ({"bob": at(0.49)}, "bob"),
        ({"bob": at(0.51)}, None),
        ({"bob": at(1.9)}, None),
        ({"bob": at(0.4), "cy": at(0.2), "dan": at(0.3)}, "cy"),
        ({"ann": at(0.0)}, None),
        ({"ann": at(0.0), "bob": at(0.3)}, "bob"),
        ({"bob": Template("m", b"\0" * 32)}, None),
        ({"bob": Template("m", np.full(8, np.nan, "<f4").tobytes())}, None),
        ({"bob": Template("m", np.full(8, np.nan, "<f4").tobytes()), "cy": at(0.1)}, "cy"),
    ],
    ids=[
        "nobody",
        "same",
        "within",
        "beyond",
        "opposite",
        "nearest",
        "own",
        "own-and-other",
        "zero",
        "nan",
        "nan-first",
    ],
)
def test_the_nearest_other_within_the_threshold(
    faces: Duplicates, database: Database, add: Add, others: dict[str, Template], like: str | None
) -> None:
    for name, template in others.items():
        add(name, template)
    seen = found(faces, database, "ann", at(0.0))
    assert (seen.match and seen.match.username) == like
    assert seen.is_refused is (like is not None)
    assert (seen.compared, seen.skipped) == (len(others.keys() - {"ann"}), 0)


@pytest.mark.parametrize("template", [at(0.0, model="other"), at(0.0, size=16)], ids=["model", "length"])
def test_what_has_no_distance_is_skipped_and_counted(
    faces: Duplicates, database: Database, add: Add, template: Template
) -> None:
    add("bob", template)
    add("cy", at(0.9))
    seen = found(faces, database, "ann", at(0.0))
    assert (seen.match, seen.compared, seen.skipped) == (None, 1, 1)
    assert seen.detail() == {"other_faces": {"compared": 1, "skipped": 1}}


def test_a_migrated_template_of_the_model_is_compared(
    faces: Duplicates, database: Database, accounts: Accounts, add: Add, now: datetime
) -> None:
    add("bob", at(0.0, model="other"))
    assert accounts.store_migrated(accounts.enrolment("bob"), at(0.2), now)
    seen = found(faces, database, "ann", at(0.0))
    assert seen.match and (seen.match.username, seen.compared, seen.skipped) == ("bob", 1, 0)
    assert seen.match.distance == pytest.approx(0.2)


def test_a_template_that_does_not_open_stops_nobody_and_is_counted(
    faces: Duplicates, database: Database, add: Add
) -> None:
    add("bob", at(0.0))
    add("cy", at(0.1))
    with database.transaction() as session:
        session.execute(update(USERS).where(USERS.c.username == "bob").values(face_template_enc=b"damaged"))
    seen = found(faces, database, "ann", at(0.0))
    assert seen.match and (seen.match.username, seen.skipped) == ("cy", 1)


def test_it_goes_through_all_pages(
    faces: Duplicates, database: Database, add: Add, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_PAGE", module._PAGE.limit(2))
    monkeypatch.setattr(module, "PAGE", 2)
    for number in range(7):
        add(f"user{number}", at(0.9 if number != 6 else 0.2))
    for looked in (None, faces.look("eve", at(0.0))):  # by a look, and all of it under the lock
        seen = found(faces, database, "ann", at(0.0), looked)
        assert seen.match and (seen.match.username, seen.compared) == ("user6", 7)


class TestSince:
    """What changed after the look."""

    def test_a_new_account_is_compared(self, faces: Duplicates, database: Database, add: Add) -> None:
        looked = faces.look("ann", at(0.0))
        add("bob", at(0.1))
        seen = found(faces, database, "ann", at(0.0), looked)
        assert seen.match and seen.match.username == "bob"

    def test_a_new_face_is_compared(
        self, faces: Duplicates, database: Database, accounts: Accounts, add: Add, now: datetime
    ) -> None:
        add("bob", at(0.9))
        looked = faces.look("ann", at(0.0))
        with database.transaction() as session:
            accounts.replace_face(session, "bob", at(0.1), b"png", now + timedelta(seconds=1))
        seen = found(faces, database, "ann", at(0.0), looked)
        assert seen.match and seen.match.username == "bob"

    @pytest.mark.parametrize("is_deleted", [True, False])
    def test_who_is_like_it_no_more_makes_the_next_the_nearest(
        self,
        faces: Duplicates,
        database: Database,
        accounts: Accounts,
        add: Add,
        now: datetime,
        is_deleted: bool,
    ) -> None:
        add("bob", at(0.1))
        add("cy", at(0.3))
        looked = faces.look("ann", at(0.0))
        if is_deleted:
            accounts.delete("bob")
        else:
            with database.transaction() as session:
                accounts.replace_face(session, "bob", at(0.9), b"png", now + timedelta(seconds=1))
        seen = found(faces, database, "ann", at(0.0), looked)
        assert seen.match and seen.match.username == "cy"

    def test_nothing_else_is_opened_again(
        self, faces: Duplicates, database: Database, add: Add, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for number in range(5):
            add(f"user{number}", at(0.9))
        looked = faces.look("ann", at(0.0))
        add("bob", at(0.1))
        opened = list[str]()
        real = Duplicates._opened
        monkeypatch.setattr(Duplicates, "_opened", lambda *args: opened.append(args[2]) or real(*args))
        found(faces, database, "ann", at(0.0), looked)
        assert opened == ["bob"]

    @pytest.mark.parametrize(("name", "template"), [("eve", at(0.0)), ("ann", at(0.9))], ids=["name", "face"])
    def test_a_look_for_another_counts_for_nothing(
        self, faces: Duplicates, database: Database, add: Add, name: str, template: Template
    ) -> None:
        add("bob", at(0.1))
        seen = found(faces, database, "ann", at(0.0), faces.look(name, template))
        assert seen.match and seen.match.username == "bob"


class TestPolicy:
    def test_it_may_let_pass_what_it_still_finds(self, database: Database, keyring: Keyring, add: Add) -> None:
        add("bob", at(0.1))
        seen = found(Duplicates(database, keyring.field, THRESHOLD, is_refused=False), database, "ann", at(0.0))
        assert seen.match and not seen.is_refused
        assert seen.detail() == {
            "other_faces": {
                "compared": 1,
                "skipped": 0,
                "like": "bob",
                "distance": 0.1,
                "strangers": 0.0,
                "refused": False,
            }
        }

    @pytest.mark.parametrize(("strangers", "is_sure"), [(0.0, True), (0.01, True), (0.011, False), (1.0, False)])
    def test_a_match_is_sure_when_chance_is_no_likely_reason(self, strangers: float, is_sure: bool) -> None:
        assert Match("bob", 0.4, strangers).is_sure is is_sure

    def test_a_large_site_refuses_nobody_for_what_chance_explains(
        self, database: Database, keyring: Keyring, add: Add
    ) -> None:
        """One in 10,000 strangers is within the threshold: of 10,000 accounts, one for each new person."""
        for number in range(11):
            add(f"user{number}", at(0.9))
        add("bob", at(0.4))
        for rate, is_refused in ((0.0008, True), (0.001, False), (None, True)):
            faces = Duplicates(database, keyring.field, THRESHOLD, false_match_rate=lambda _d, rate=rate: rate)
            seen = found(faces, database, "ann", at(0.0))
            assert seen.match and seen.match.username == "bob" and seen.is_refused is is_refused
            assert seen.match.strangers == pytest.approx((rate or 0) * 12)


@IN_A_FILE
def test_what_is_done_under_the_write_lock_is_quick(faces: Duplicates, database: Database, add: Add) -> None:
    """Nobody else can write meanwhile: 2 us of the processor for each account, of which 1,000 are made here."""
    add("bob", at(0.9))
    with database.transaction() as session:
        connection = session.connection()
        for table in ("users", "user_keys"):
            columns = [
                row[1] for row in connection.execute(text(f"PRAGMA table_info({table})")) if row[1] != "username"
            ]
            connection.execute(
                text(
                    f"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000) "  # noqa: S608
                    f"INSERT INTO {table} (username, {', '.join(columns)}) "
                    f"SELECT 'copy' || i, {', '.join(columns)} FROM {table}, n WHERE username = 'bob'"
                )
            )
    looked = faces.look("ann", at(0.0))
    assert len(looked.seen) == 1001 and len(looked.skipped) == 1000  # sealed for another name, so they do not open
    begun = time.process_time()
    with database.transaction() as session:
        faces.settle(session, looked, "ann", at(0.0))
    assert time.process_time() - begun < 0.05
