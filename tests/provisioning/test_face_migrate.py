"""`face migrate`: everybody to another model, while the old one goes on being valid."""

import signal
import subprocess
import sys

import pytest

from auth_server.account_faces import Held
from auth_server.accounts import Accounts, NewAccount
from auth_server.domain import Template
from auth_server.face_migration import BATCH
from provisioning.user_lookup import accounts_of
from tests.postgres import IN_A_FILE

PEOPLE = [f"person {number:03}" for number in range(2 * BATCH + 20)]
NEW = "deepface-Buffalo_L"
IN_USE = "4auth-87aacdfe-2"
OLD = Template(IN_USE, b"\1" * 2048)


def new_account(name: str, template: Template = OLD) -> NewAccount:
    return NewAccount(
        username=name,
        password_hash=b"$2b$12$hash",
        totp_secret="JBSWY3DPEHPK3PXP",
        totp_last_step=0,
        template=template,
        face_png=f"face of {name}".encode(),
        mac_addresses=frozenset(),
    )


class NewEngine:
    """Embeds a picture as its own bytes, and can do something in the middle."""

    model = NEW

    def __init__(self) -> None:
        self.seen: list[bytes] = []
        self.meanwhile = lambda: None

    def reembed(self, png: bytes) -> Template:
        if not png.startswith(b"face of"):
            raise ValueError("that is no picture")
        self.seen.append(png)
        if len(self.seen) == 60:
            self.meanwhile()
        return Template(NEW, png)


@pytest.fixture
def engine():
    """The new model."""
    return NewEngine()


@pytest.fixture
def site(command, engine):
    """A site with people, of whom the old model's templates are enrolled."""
    command.parts = {"load_face_engine": lambda _settings: engine, "pause": lambda _seconds: None}
    with command.desk().site() as opened:
        accounts = accounts_of(opened)
        for name in PEOPLE:
            accounts.add(new_account(name), command.clock())
    return command


def enrolments(site, model: str) -> dict[str, Template]:
    with site.desk().site() as opened:
        accounts = Accounts(opened.database, opened.keyring.field, model)
        return {name: accounts.enrolment(name).template for name in PEOPLE}


def use_new_model(site) -> None:
    text = site.settings.read_text()
    assert "[face]\n" in text
    site.settings.write_text(text.replace("[face]\n", '[face]\nrecogniser = "Buffalo_L"\nthreshold = 0.5\n'))


def test_both_models_are_valid_until_it_is_finished(site):
    done = site("face", "migrate", "--to", "Buffalo_L")
    assert done.exit_code == 0, done.stderr
    assert f"{len(PEOPLE)} templates of {NEW} are made; those in use stay as they are." in done.stdout
    assert "no calibration is known for face.recogniser = 'Buffalo_L'" in done.stderr
    assert enrolments(site, IN_USE) == dict.fromkeys(PEOPLE, OLD)
    assert enrolments(site, NEW) == {name: Template(NEW, f"face of {name}".encode()) for name in PEOPLE}
    use_new_model(site)
    assert site.json("face", "migrate", "--finish", "--yes") == {"model": NEW, "changed": len(PEOPLE), "left": []}
    assert enrolments(site, NEW) == {name: Template(NEW, f"face of {name}".encode()) for name in PEOPLE}
    with site.desk().site() as opened:
        assert {accounts_of(opened).templates(name) for name in PEOPLE} == {(Held(NEW, "enrolled", None),)}


def test_begin_and_end_are_in_the_log(site):
    site("face", "migrate", "--to", "Buffalo_L")
    begin, end = [row for row in site.audit_rows() if row["action"] == "admin.face.migrate"]
    assert begin["success"] and begin["detail"]["step"] == "begin" and begin["detail"]["accounts"] == len(PEOPLE)
    assert end["detail"]["step"] == "end" and end["detail"]["stored"] == len(PEOPLE)
    assert end["detail"]["model"] == NEW
    assert "give everybody a template of another model" in site("audit", "why", str(end["id"])).stdout


def test_a_second_run_has_nothing_to_do(site, engine):
    site("face", "migrate", "--to", "Buffalo_L")
    engine.seen.clear()
    assert site.json("face", "migrate", "--to", "Buffalo_L")["stored"] == 0
    assert engine.seen == []


def test_one_that_breaks_in_the_middle_goes_on_where_it_was(site, engine):
    def fail():
        raise MemoryError

    engine.meanwhile = fail
    with pytest.raises(MemoryError):
        site("face", "migrate", "--to", "Buffalo_L")
    assert sum(one.model == NEW for one in enrolments(site, NEW).values()) == BATCH
    assert enrolments(site, IN_USE) == dict.fromkeys(PEOPLE, OLD)
    engine.meanwhile = lambda: None
    assert site.json("face", "migrate", "--to", "Buffalo_L")["stored"] == len(PEOPLE) - BATCH


@pytest.mark.parametrize("embedded", [1, BATCH, BATCH + 1, 2 * BATCH + 5])
def test_one_that_is_killed_leaves_whole_batches_and_everybody_with_a_template(site, embedded):
    text = (
        "import os, signal, sys; from pathlib import Path\n"
        "from provisioning.desk import Desk; from provisioning.user_lookup import accounts_of\n"
        "from auth_server.face_migration import FaceMigration; from auth_server.domain import Template\n"
        "seen = []\n"
        "def reembed(png):\n"
        "    seen.append(png)\n"
        "    if len(seen) == int(sys.argv[2]): os.kill(os.getpid(), signal.SIGKILL)\n"
        f"    return Template({NEW!r}, png)\n"
        "desk = Desk(settings_path=Path(sys.argv[1]))\n"
        "with desk.site() as opened:\n"
        f"    FaceMigration(database=opened.database, accounts=accounts_of(opened), model={NEW!r}, now=desk.now)"
        ".migrate(reembed)\n"
    )
    done = subprocess.run([sys.executable, "-c", text, str(site.settings), str(embedded)], check=False)
    assert done.returncode == -signal.SIGKILL
    assert sum(one.model == NEW for one in enrolments(site, NEW).values()) == (embedded - 1) // BATCH * BATCH
    assert enrolments(site, IN_USE) == dict.fromkeys(PEOPLE, OLD)
    assert site("face", "migrate", "--to", "Buffalo_L").exit_code == 0
    assert {one.model for one in enrolments(site, NEW).values()} == {NEW}


@pytest.mark.parametrize("place", [0, 70, len(PEOPLE) - 1])
def test_who_enrols_meanwhile_gets_a_template_of_the_new_face(site, engine, place):
    """Before, within and behind the batch at work: never one of the face before, and never none."""
    name = PEOPLE[place]

    def enrol():
        with site.desk().site() as opened, opened.database.transaction() as session:
            other = Template(IN_USE, b"\2" * 2048)
            later = site.clock().replace(minute=59)
            assert accounts_of(opened).replace_face(session, name, other, b"face of another day", later)

    engine.meanwhile = enrol
    assert site("face", "migrate", "--to", "Buffalo_L").exit_code == 0
    assert enrolments(site, NEW)[name] == Template(NEW, b"face of another day")


def test_who_is_added_or_deleted_meanwhile_is_no_fault(site, engine):
    def change():
        with site.desk().site() as opened:
            accounts_of(opened).delete(PEOPLE[70])
            accounts_of(opened).add(new_account("a new one"), site.clock())

    engine.meanwhile = change
    assert site("face", "migrate", "--to", "Buffalo_L").exit_code == 0
    with site.desk().site() as opened:
        assert accounts_of(opened).without_template(NEW) == []


@IN_A_FILE
def test_a_picture_that_cannot_be_read_is_told_and_hides_no_other(site):
    with site.desk().site() as opened, opened.database.transaction() as session:
        run = session.connection().exec_driver_sql
        run("UPDATE users SET face_image_enc = x'00' WHERE username = ?", (PEOPLE[3],))
    done = site("face", "migrate", "--to", "Buffalo_L")
    assert done.exit_code == 1 and f"picture of {PEOPLE[3]} cannot be read" in done.stderr
    with site.desk().site() as opened:
        assert accounts_of(opened).without_template(NEW) == [PEOPLE[3]]
    use_new_model(site)
    done = site("face", "migrate", "--finish", "--yes")
    assert done.exit_code == 1 and "1 have none of it yet and keep what they have" in done.stderr
    with site.desk().site() as opened:
        assert accounts_of(opened).templates(PEOPLE[3]) == (Held(IN_USE, "enrolled", None),)


def test_finish_asks_first(site):
    site("face", "migrate", "--to", "Buffalo_L")
    use_new_model(site)
    assert site("face", "migrate", "--finish", typed="n\n").exit_code == 1
    assert enrolments(site, IN_USE) == dict.fromkeys(PEOPLE, OLD)


def test_finished_before_the_new_model_is_set_it_drops_what_was_made_and_nobody_is_locked_out(site):
    site("face", "migrate", "--to", "Buffalo_L")
    asked = site("face", "migrate", "--finish", typed="n\n")
    assert f"the templates of all models but {IN_USE} go. Does every server run it?" in asked.stderr
    assert site.json("face", "migrate", "--finish", "--yes") == {"model": IN_USE, "changed": len(PEOPLE), "left": []}
    assert enrolments(site, IN_USE) == enrolments(site, NEW) == dict.fromkeys(PEOPLE, OLD)


@pytest.mark.parametrize(
    "options", [[], ["--finish", "--to", "Buffalo_L"], ["--finish", "--detector", "4auth"], ["--detector", "4auth"]]
)
def test_one_of_the_two_steps_must_be_named(site, options):
    assert site("face", "migrate", *options).exit_code == 2


def test_a_key_rotation_in_the_middle_loses_no_template(site):
    site("face", "migrate", "--to", "Buffalo_L")
    assert site("keys", "rotate", "field").exit_code == 0
    assert enrolments(site, NEW) == {name: Template(NEW, f"face of {name}".encode()) for name in PEOPLE}
    assert enrolments(site, IN_USE) == dict.fromkeys(PEOPLE, OLD)
    assert site("keys", "check").exit_code == 0
