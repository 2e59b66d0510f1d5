"""`import-original`: what an original 4Auth holds is taken over, or named with the reason."""

import base64
import hashlib
import io
import json
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import bcrypt
import numpy as np
import pyotp
import pytest
import skimage.data
from cryptography.fernet import Fernet
from PIL import Image, ImageEnhance

from auth_contract import paths
from auth_contract.actions import CaptureHint
from auth_server.accounts import Accounts
from auth_server.app import create_app
from auth_server.bootstrap import Opened, new_token, wire
from auth_server.domain import Template
from auth_server.errors import FaceUnusable
from auth_server.face.engine import FaceEngine
from auth_server.face.observation import EnrolledFace
from auth_server.settings import FaceSettings
from demo.puppet import ada
from provisioning.params import encode_public_key
from tests.auth_server.pipeline.conftest import FakeKiosk, ManualTime

LOBBY, GATE = "b8:27:eb:12:34:56", "b8:27:eb:00:00:02"
SCHEMA = """
CREATE TABLE users (
    username TEXT PRIMARY KEY, password_hash BLOB, face_image_enc BLOB, totp_secret_enc BLOB, mac_address TEXT
);
CREATE TABLE access_logs (
    id INTEGER PRIMARY KEY AUTOINCREMENT, ts_utc TEXT, username TEXT, action TEXT, success INTEGER, detail TEXT
);
"""


def encoded(image: Image.Image, form: str = "PNG") -> bytes:
    out = io.BytesIO()
    image.save(out, form, **({"quality": 90} if form == "JPEG" else {}))
    return out.getvalue()


@pytest.fixture(scope="session")
def astronaut() -> Image.Image:
    """A portrait in the public domain."""
    return Image.fromarray(np.asarray(skimage.data.astronaut()))


@pytest.fixture(scope="session")
def engine(models_folder: Path) -> FaceEngine:
    """The engine as shipped, but that it takes photographs for people."""
    return FaceEngine(FaceSettings(models=models_folder, presence="off"))


@dataclass
class Person:
    """What somebody has: the original knew no more."""

    name: str
    enrolled: Image.Image = field(repr=False)
    mac: str = LOBBY
    shown: Image.Image | None = field(default=None, repr=False)
    secret: str = field(default_factory=pyotp.random_base32, repr=False)

    @property
    def password(self) -> str:
        return f"Old horse of {self.name}"

    @property
    def frame(self) -> bytes:
        """What the kiosk's camera sees of this person."""
        return encoded(self.shown or self.enrolled, "JPEG")


@dataclass
class OldSite:
    """An original 4Auth's files, written as that program wrote them."""

    folder: Path
    key: bytes = field(default_factory=Fernet.generate_key, repr=False)

    def __post_init__(self) -> None:
        self.folder.mkdir()
        self.key_file.write_bytes(self.key)
        with self.connection() as connection:
            connection.executescript(SCHEMA)

    @property
    def db(self) -> Path:
        return self.folder / "users.db"

    @property
    def key_file(self) -> Path:
        return self.folder / "fernet.key"

    @contextmanager
    def connection(self) -> Iterator[sqlite3.Connection]:
        with closing(sqlite3.connect(self.db)) as connection:
            yield connection
            connection.commit()

    def add(self, person: Person, **changes: object) -> Person:
        """One row of `users`, with changes to its columns."""
        seal = Fernet(self.key).encrypt
        row = {
            "username": person.name,
            "password_hash": bcrypt.hashpw(person.password.encode(), bcrypt.gensalt(4)),
            "face_image_enc": seal(encoded(person.enrolled)),
            "totp_secret_enc": seal(person.secret.encode()),
            "mac_address": person.mac,
            **changes,
        }
        with self.connection() as connection:
            connection.execute("INSERT INTO users VALUES (?, ?, ?, ?, ?)", tuple(row.values()))
        return person

    def log(self, username: str | None, action: str, success: int, detail: str = "") -> None:
        """One row of `access_logs`."""
        values = ("2025-01-02T03:04:05", username, action, success, detail)
        with self.connection() as connection:
            connection.execute(
                "INSERT INTO access_logs (ts_utc, username, action, success, detail) VALUES (?, ?, ?, ?, ?)", values
            )

    def stamps(self) -> dict[str, tuple[str, int]]:
        """Every file's bytes and time."""
        return {
            path.name: (hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_mtime_ns)
            for path in self.folder.iterdir()
        }


@pytest.fixture
def old(tmp_path: Path) -> OldSite:
    """An original 4Auth that nobody is in."""
    return OldSite(tmp_path / "old")


@pytest.fixture
def kiosks() -> dict[str, FakeKiosk]:
    """The kiosks of the new site, and their keys."""
    clock = lambda: datetime(2026, 11, 22, 9, 30, 5, tzinfo=UTC)  # noqa: E731 - one line says it
    return {mac: FakeKiosk(name, mac, clock) for name, mac in (("lobby-1", LOBBY), ("gate-1", GATE))}


class QuickEngine:
    """Finds one face in every picture that is not all of one colour, whoever it is; for what is not about faces."""

    model = "quick"

    def enrol(self, pictures: list[bytes], *, is_vouched: bool) -> EnrolledFace:
        assert is_vouched, "an original has one picture of each person"
        with Image.open(io.BytesIO(pictures[0])) as picture:
            if len(set(picture.convert("L").getextrema())) == 1:
                raise FaceUnusable(0, CaptureHint.NO_FACE)
        return EnrolledFace(Template(self.model, b"\1" * 16), b"aligned face")


@pytest.fixture
def new(command, kiosks):
    """The new site with two kiosks and a quick engine."""
    command.parts["load_face_engine"] = lambda _settings: QuickEngine()
    for kiosk in kiosks.values():
        key = encode_public_key(kiosk.key.public_key().public_bytes_raw())
        added = command("kiosk", "add", kiosk.kiosk_id, "--public-key", key, "--mac", kiosk.mac)
        assert added.exit_code == 0, added.stderr
    return command


@pytest.fixture
def real(new, engine):
    """The new site with the real engine."""
    new.parts["load_face_engine"] = lambda _settings: engine
    return new


@pytest.fixture
def take_over(new, old: OldSite) -> Callable[..., dict]:
    """Runs the command and gives its document, `exit_code` added."""

    def run(*more: str) -> dict:
        result = new("import-original", "--db", old.db, "--fernet-key", old.key_file, *more, "--json")
        return {**json.loads(result.stdout), "exit_code": result.exit_code, "said": result.stderr}

    return run


def accounts(command) -> list[str]:
    with command.desk().site() as site:
        return [account.username for account in Accounts(site.database, site.keyring.field, "").list()]


def photographs(astronaut: Image.Image, models: Path) -> list[Person]:
    """Twenty people, who are one astronaut in twenty lights and croppings, seen on another day at either kiosk."""
    people, seen = [], ada(models, day=1)
    for number in range(20):
        taken = astronaut.crop((number, number, 512 - number, 512 - 2 * number))
        taken = ImageEnhance.Brightness(taken).enhance(0.8 + number / 50)
        shown = Image.fromarray(np.ascontiguousarray(seen.picture()[:, :, ::-1]))
        people.append(Person(f"Person {number}", taken, GATE if number % 2 else LOBBY, shown))
    return people


def strangers(folder: Path, engine: FaceEngine) -> list[Person]:
    """Twenty people of whom there are two photographs that can be judged, of different days."""
    people: list[Person] = []
    for place in sorted((folder / "lfw" / "images").iterdir()):
        files = sorted(place.iterdir())[:2]
        if len(files) == 2 and all(engine.observe([path.read_bytes()]).capture_hint is None for path in files):
            enrolled, shown = (Image.open(path).convert("RGB") for path in files)
            people.append(Person(place.name.replace("_", " "), enrolled, GATE if len(people) % 2 else LOBBY, shown))
        if len(people) == 20:
            break
    return people


class Door:
    """The new site's server in this process: the real store, engine, pipeline and application."""

    def __init__(self, command, engine: FaceEngine, kiosks: dict[str, FakeKiosk]) -> None:
        found = command.desk().settings
        face = found.face.model_copy(update={"presence": "passive"})
        settings = found.model_copy(update={"environment": "development", "face": face})
        self._site = command.desk().site()
        site = self._site.__enter__()
        self.time = ManualTime(datetime(2026, 11, 22, 9, 30, 5, tzinfo=UTC))
        self.services = wire(settings, Opened(site.keyring, site.database, engine, self.time))
        self.client = create_app(self.services).test_client()
        self.kiosks = kiosks
        for kiosk in kiosks.values():
            kiosk.clock = self.time.now

    def close(self) -> None:
        self.services.executor.shutdown()
        self._site.__exit__(None, None, None)

    def log_in(self, person: Person, **changes: object) -> str:
        """Try to log in at the person's own kiosk and return the outcome."""
        kiosk = self.kiosks[person.mac]
        opened = self._post(kiosk, paths.ATTEMPTS, {"action": "login"}, new_token())
        submission = {
            "attempt_id": opened["attempt_id"],
            "username": person.name,
            "password": person.password,
            "totp": pyotp.TOTP(person.secret).at(self.time.now()),
            "frames": [base64.b64encode(person.frame).decode()],
            "mac": kiosk.mac,
            "client_ts_utc": self.time.now().isoformat(),
            **changes,
        }
        return str(self._post(kiosk, paths.LOGIN, submission, opened["nonce"])["outcome"])

    def _post(self, kiosk: FakeKiosk, path: str, document: dict[str, object], nonce: str) -> dict:
        body = json.dumps(document).encode()
        return self.client.post(path, data=body, headers=kiosk.headers(path, body, nonce)).json


@pytest.fixture
def door(real, engine, kiosks) -> Iterator[Callable[[], Door]]:
    """Opens the new site's door."""
    opened: list[Door] = []

    def make() -> Door:
        opened.append(Door(real, engine, kiosks))
        return opened[-1]

    yield make
    for one in opened:
        one.close()


class TestTwentyUsers:
    def test_they_log_in_with_their_old_password_authenticator_and_face(
        self, real, old, take_over, door, astronaut, models_folder
    ):
        people = [old.add(person) for person in photographs(astronaut, models_folder)]
        done = take_over()
        assert (done["exit_code"], len(done["taken"]), done["left_out"]) == (0, 20, []), done["said"]
        at_door = door()
        assert [at_door.log_in(person) for person in people] == ["granted"] * 20

    def test_of_twenty_different_people_none_gets_in_as_another(
        self, real, old, take_over, door, engine, test_data: Path
    ):
        people = [old.add(person) for person in strangers(test_data, engine)]
        assert len(people) == 20
        assert len(take_over()["taken"]) == 20
        at_door = door()
        outcomes = [at_door.log_in(person) for person in people]
        # Two news photographs of one person match in 96 of 100 cases.
        assert outcomes.count("granted") >= 17, outcomes
        at_door.time.moment += timedelta(minutes=5)
        for person, other in zip(people[:6], people[2:8], strict=True):
            face = [base64.b64encode(other.frame).decode()]
            assert at_door.log_in(person, frames=face) == "refused"

    def test_a_wrong_password_an_old_code_and_another_kiosk_stay_out(
        self, real, old, take_over, door, astronaut, kiosks
    ):
        person = old.add(Person("ann", astronaut))
        take_over()
        at_door = door()
        assert at_door.log_in(person, password="Another horse 7") == "refused"
        assert at_door.log_in(person) == "granted"
        assert at_door.log_in(person) == "refused", "a code was accepted twice"
        at_door.time.moment += timedelta(seconds=60)
        person.mac = GATE
        assert at_door.log_in(person) == "refused"


def test_the_source_is_not_touched_and_nothing_is_made_beside_it(old, take_over, astronaut):
    old.add(Person("ann", astronaut))
    old.log("ann", "100", 1)
    before = old.stamps()
    assert take_over()["exit_code"] == 0
    assert old.stamps() == before


def test_rows_that_only_the_originals_write_ahead_log_holds_are_seen(old, take_over, astronaut):
    with old.connection() as connection:
        connection.execute("PRAGMA journal_mode = WAL")
    text = (
        "import os, sqlite3, sys\n"
        "connection = sqlite3.connect(sys.argv[1])\n"
        "connection.execute(\"INSERT INTO access_logs VALUES (1, 't', 'ann', '100', 1, '')\")\n"
        "connection.commit()\n"
        "os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", text, old.db])
    assert (old.folder / "users.db-wal").stat().st_size > 0
    before = old.stamps()
    assert take_over()["log_rows"] == 1
    assert old.stamps() == before


def two_faces(astronaut: Image.Image) -> Image.Image:
    both = Image.new("RGB", (1024, 512))
    both.paste(astronaut, (0, 0))
    both.paste(astronaut, (512, 0))
    return both


LEFT_OUT = [
    ({"username": ""}, "name"),
    ({"username": "a\x1b[2Jb"}, "name"),
    ({"username": "x" * 65}, "name"),
    ({"username": b"\xff"}, "name"),
    ({"username": None}, "name"),
    ({"password_hash": b"$2b$12$too-short"}, "password_hash"),
    ({"password_hash": "plain"}, "password_hash"),
    ({"password_hash": None}, "password_hash"),
    ({"password_hash": b"$2b$31$" + b"a" * 53}, "password_hash"),
    ({"totp_secret_enc": Fernet(Fernet.generate_key()).encrypt(b"x")}, "totp_sealed"),
    ({"totp_secret_enc": b""}, "totp_sealed"),
    ({"totp_secret_enc": None}, "totp_sealed"),
    ({"face_image_enc": b"no token"}, "face_sealed"),
    ({"mac_address": ""}, "mac"),
    ({"mac_address": None}, "mac"),
    ({"mac_address": "00:00:00:00:00:00"}, "mac"),
    ({"mac_address": "b827eb123456"}, "mac"),
]
LEFT_OUT_BY_CONTENT = [
    ({"totp_secret_enc": b"JBSWY3DPEHPK3PXP"}, "totp_secret"),
    ({"totp_secret_enc": b"no base32!"}, "totp_secret"),
    ({"face_image_enc": b"no picture"}, "face_picture"),
]


class TestLeftOut:
    @pytest.mark.parametrize(("changes", "kind"), LEFT_OUT)
    def test_a_row_that_cannot_be_taken_is_named_with_its_kind_and_the_others_come(
        self, new, old, take_over, astronaut, changes, kind
    ):
        old.add(Person("bad", astronaut), **changes)
        old.add(Person("good", astronaut))
        done = take_over()
        assert done["exit_code"] == 1
        assert [(lost["kind"], bool(lost["why"])) for lost in done["left_out"]] == [(kind, True)]
        assert accounts(new) == ["good"]
        assert not set("\x1b\r") & set(done["said"])

    @pytest.mark.parametrize(("changes", "kind"), LEFT_OUT_BY_CONTENT)
    def test_what_is_wrong_inside_a_seal_is_named_too(self, new, old, take_over, astronaut, changes, kind):
        seal = Fernet(old.key).encrypt
        old.add(Person("bad", astronaut), **{column: seal(data) for column, data in changes.items()})
        assert [lost["kind"] for lost in take_over()["left_out"]] == [kind]
        assert accounts(new) == []

    @pytest.mark.parametrize(
        ("picture", "kind"),
        [
            (lambda astronaut: Image.new("RGB", (400, 400), "grey"), "face_no_face"),
            (two_faces, "face_several_faces"),
            (lambda astronaut: astronaut.resize((60, 60)), "face_too_small"),
            (lambda astronaut: astronaut.point(lambda value: value // 8), "face_too_dark"),
        ],
    )
    def test_a_picture_that_cannot_be_enrolled_is_named(self, real, old, take_over, astronaut, picture, kind):
        old.add(Person("bad", picture(astronaut)))
        done = take_over()
        assert [lost["kind"] for lost in done["left_out"]] == [kind], done["said"]
        assert accounts(real) == []

    def test_two_spellings_of_one_name_are_both_left_out(self, new, old, take_over, astronaut):
        for name in ("Zoë", "zoe\u0308", "ann"):
            old.add(Person(name, astronaut))
        done = take_over()
        assert [lost["kind"] for lost in done["left_out"]] == ["name_collision"] * 2
        assert accounts(new) == ["ann"]

    def test_a_name_that_is_in_use_here_is_left_out_and_its_account_stays(self, with_ann, old, astronaut):
        with_ann.parts["load_face_engine"] = lambda _settings: QuickEngine()
        old.add(Person("ANN", astronaut))
        result = with_ann("import-original", "--db", old.db, "--fernet-key", old.key_file)
        assert result.exit_code == 1
        assert ["ANN", "name_in_use"] == result.stdout.splitlines()[1].split()[:2]
        with with_ann.desk().site() as site:
            assert Accounts(site.database, site.keyring.field, "").enrolment("ann").template.embedding == b"\0" * 2048

    def test_without_a_valid_device_a_kiosk_can_be_named(self, new, old, take_over, astronaut):
        old.add(Person("bad", astronaut), mac_address="")
        old.add(Person("good", astronaut, GATE))
        done = take_over("--kiosk", "lobby-1")
        macs = {account["username"]: account["mac_addresses"] for account in done["taken"]}
        assert macs == {"bad": [LOBBY], "good": [GATE, LOBBY]}
        assert done["exit_code"] == 0

    def test_devices_that_are_no_kiosks_and_cheap_hashes_are_told(self, old, take_over, astronaut):
        old.add(Person("ann", astronaut, "02:00:5E:10:00:09"))
        (taken,) = take_over()["taken"]
        assert taken["mac_addresses"] == ["02:00:5e:10:00:09"]
        told = " ".join(taken["notes"])
        assert "02:00:5e:10:00:09 is no registered kiosk's" in told
        assert "cost 4, below 10: have the password changed" in told


class TestRefused:
    def test_another_sites_key_takes_nothing(self, new, old, astronaut):
        old.add(Person("ann", astronaut))
        old.log("ann", "100", 1)
        old.key_file.write_bytes(Fernet.generate_key())
        refused = new("import-original", "--db", old.db, "--fernet-key", old.key_file)
        assert refused.exit_code == 1
        assert "opens the TOTP secret of none of the 1 accounts" in refused.stderr
        assert new.audit_rows()[-1]["action"] == "admin.import_original"
        assert new.audit_rows()[-1]["success"] is False

    @pytest.mark.parametrize(
        ("text", "says"),
        [
            (b"", "is no plain SQLite database"),
            (b"encrypted as a whole" * 100, "is no plain SQLite database"),
            (b"SQLite format 3\0" + b"x" * 4096, "cannot be read"),
        ],
    )
    def test_a_file_that_is_no_original(self, new, old, text, says):
        old.db.write_bytes(text)
        refused = new("import-original", "--db", old.db, "--fernet-key", old.key_file)
        assert (refused.exit_code, says in refused.stderr) == (1, True), refused.stderr

    def test_a_table_that_lacks_a_column(self, new, old):
        with old.connection() as connection:
            connection.execute("ALTER TABLE users DROP COLUMN totp_secret_enc")
        refused = new("import-original", "--db", old.db, "--fernet-key", old.key_file)
        assert "its table users has no totp_secret_enc" in refused.stderr

    def test_a_key_file_that_holds_none_is_not_quoted(self, new, old):
        old.key_file.write_text("hunter2 is my key")
        refused = new("import-original", "--db", old.db, "--fernet-key", old.key_file)
        assert (refused.exit_code, "hunter2" in refused.output) == (1, False)

    def test_an_unknown_kiosk(self, new, old):
        refused = new("import-original", "--db", old.db, "--fernet-key", old.key_file, "--kiosk", "attic-1")
        assert "there is no kiosk attic-1" in refused.stderr


class TestLog:
    @pytest.fixture
    def told(self, new, old, take_over):
        """The rows that the import wrote for these old ones."""
        for row in [
            ("Ann", "100", 1, "Access granted"),
            ("Ann", "310", 0, "Wrong MAC"),
            (None, "200", 1, "by admin"),
            ("x" * 500, "frobnicate\x1b[2J", 0, "y" * 9000),
        ]:
            old.log(*row)
        assert take_over()["log_rows"] == 4
        return [row for row in new.audit_rows() if row["action"].startswith("import.")]

    def test_each_old_row_is_one_of_ours_that_says_whose_word_it_is(self, told):
        assert [(row["username"], row["action"], row["success"], row["reason"]) for row in told[:3]] == [
            ("ann", "import.login", True, "imported"),
            ("ann", "import.recover_password", False, "imported"),
            (None, "import.register", True, "imported"),
        ]
        assert told[0]["detail"]["original"] == {
            "id": 1,
            "ts_utc": "2025-01-02T03:04:05",
            "username": "Ann",
            "action": "100",
            "success": 1,
            "detail": "Access granted",
        }

    def test_its_time_in_our_chain_is_the_time_of_the_import(self, told):
        assert {row["ts_utc"] for row in told} == {"2026-11-22T09:30:00+00:00"}

    def test_odd_values_are_bounded_and_the_chain_verifies(self, new, told):
        assert len(told[3]["username"]) == 65
        assert new("audit", "verify").exit_code == 0

    def test_the_first_row_names_the_file_by_its_hash(self, new, old, told):
        (begun,) = [row for row in new.audit_rows() if row["action"] == "admin.import_original"]
        assert begun["detail"]["sha256"] == hashlib.sha256(old.db.read_bytes()).hexdigest()
        assert begun["id"] < told[0]["id"]


class TestAgain:
    def test_a_second_run_takes_nothing_twice_and_what_is_new(self, new, old, take_over, astronaut):
        old.add(Person("ann", astronaut))
        old.log("ann", "100", 1)
        take_over()
        old.add(Person("bob", astronaut))
        old.log("bob", "100", 1)
        done = take_over()
        assert (done["exit_code"], done["already"], done["log_rows"]) == (0, ["ann"], 1)
        assert [taken["username"] for taken in done["taken"]] == ["bob"]
        done = take_over()
        assert (done["already"], done["taken"], done["log_rows"]) == (["ann", "bob"], [], 0)
        imported = [row for row in new.audit_rows() if row["action"] == "import.login"]
        assert [row["username"] for row in imported] == ["ann", "bob"]

    def test_who_was_deleted_here_does_not_come_back(self, new, old, take_over, astronaut):
        old.add(Person("ann", astronaut))
        take_over()
        with new.desk().site() as site:
            assert Accounts(site.database, site.keyring.field, "").delete("ann")
        assert [lost["kind"] for lost in take_over()["left_out"]] == ["deleted"]
        assert accounts(new) == []

    def test_who_changed_in_the_original_is_told_and_not_touched_here(self, new, old, take_over, astronaut):
        old.add(Person("ann", astronaut))
        take_over()
        with old.connection() as connection:
            connection.execute("UPDATE users SET mac_address = ?", (GATE,))
        assert [lost["kind"] for lost in take_over()["left_out"]] == ["changed"]

    def test_another_original_with_the_same_name_is_another_person(self, new, old, take_over, tmp_path, astronaut):
        old.add(Person("ann", astronaut))
        take_over()
        second = OldSite(tmp_path / "second")
        second.add(Person("ann", astronaut))
        second.log("ann", "100", 1)
        result = new("import-original", "--db", second.db, "--fernet-key", second.key_file, "--json")
        done = json.loads(result.stdout)
        assert [lost["kind"] for lost in done["left_out"]] == ["name_in_use"]
        assert done["log_rows"] == 1

    def test_a_dry_run_tells_the_same_and_changes_nothing(self, new, old, take_over, astronaut):
        old.add(Person("ann", astronaut))
        old.add(Person("bob", Image.new("RGB", (400, 400))))
        old.log("ann", "100", 1)
        rows = new.audit_rows()
        dry = take_over("--dry-run")
        assert (accounts(new), new.audit_rows()) == ([], rows)
        assert (dry["dry_run"], dry["exit_code"], dry["log_rows"]) == (True, 1, 1)
        done = take_over()
        assert [done[part] for part in ("taken", "left_out", "log_rows")] == [
            dry[part] for part in ("taken", "left_out", "log_rows")
        ]


DRIVER = """
import os, signal, sys
from datetime import UTC, datetime
from pathlib import Path
from auth_server.face.engine import FaceEngine
from auth_server.settings import FaceSettings
from provisioning import importing
from provisioning.desk import Desk
from provisioning.original import OriginalKey, original

settings, db, key, models, accounts, pages = sys.argv[1:]
desk = Desk(settings_path=Path(settings))
engine = FaceEngine(FaceSettings(models=Path(models), presence="off"))
with desk.site() as site, original(Path(db), desk.settings.store.folder) as opened:
    run = importing.Import(
        site=site,
        original=opened,
        key=OriginalKey.read(Path(key)),
        engine=lambda: engine,
        now=datetime(2026, 11, 22, tzinfo=UTC),
    )
    for number, _ in enumerate(run.users(), start=1):
        if number == int(accounts):
            os.kill(os.getpid(), signal.SIGKILL)
    for number, _ in enumerate(run.log(), start=1):
        if number == int(pages):
            os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.slow
@pytest.mark.parametrize(("at_account", "at_page"), [(1, 0), (3, 0), (0, 1), (0, 2)])
def test_a_killed_run_is_gone_on_with_and_takes_each_row_once(
    real, old, take_over, astronaut, models_folder, at_account, at_page
):
    names = ["ann", "bob", "cleo", "dan"]
    for name in names:
        old.add(Person(name, astronaut))
    with old.connection() as connection:
        connection.executemany(
            "INSERT INTO access_logs (ts_utc, username, action, success, detail) VALUES ('t', 'ann', '100', 1, ?)",
            [(str(number),) for number in range(1200)],
        )
    script = [sys.executable, "-c", DRIVER, real.settings, old.db, old.key_file, models_folder]
    done = subprocess.run([*script, str(at_account), str(at_page)], capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert take_over()["exit_code"] == 0
    assert accounts(real) == names
    rows = real.json("audit", "list", "--limit", "10000", "--action", "import.login")["rows"]
    assert sorted(int(row["detail"]["original"]["detail"]) for row in rows) == list(range(1200))
    store = real.settings.parent / "store"
    assert [path.name for path in store.glob(".*")] == []
