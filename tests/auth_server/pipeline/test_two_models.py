"""Two servers of different face models over one store: everybody logs in at both, before, during and after."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from auth_contract.actions import Action
from auth_server.account_faces import Held
from auth_server.app import create_app
from auth_server.bootstrap import Opened, wire
from auth_server.domain import Template
from auth_server.face.observation import Observation
from auth_server.face.recording import Recording
from auth_server.face_migration import FaceMigration
from auth_server.keyring import Keyring
from auth_server.store.database import Database
from tests.auth_server.pipeline.conftest import NamedFaces, Site, embedding, quick_hash, settings

NEWER = "newer-model"


class NewerFaces(NamedFaces):
    """The same people by another model, whose templates cannot be compared with those of the first."""

    model = NEWER

    def __init__(self) -> None:
        self.embedded = 0

    def observe(self, recording: Recording) -> Observation:
        seen = super().observe(recording)
        return replace(seen, template=seen.template and replace(seen.template, model=NEWER))

    def enrol(self, recording):
        enrolled = super().enrol(recording)
        return replace(enrolled, template=replace(enrolled.template, model=NEWER))

    def reembed(self, png: bytes) -> Template:
        self.embedded += 1
        return Template(NEWER, embedding("ada" if png == b"png" else png.removeprefix(b"png of ").decode()))


@pytest.fixture
def newer(site: Site, database: Database, keyring: Keyring, tmp_path: Path) -> Iterator[Site]:
    """A second server of the same site, which runs the newer model already."""
    opened = Opened(keyring, database, NewerFaces(), site.time, hash_password=quick_hash)
    services = wire(settings(tmp_path), opened)
    yield Site(services, create_app(services).test_client(), site.time, site.kiosk, site.other_kiosk)
    services.executor.shutdown()


def test_a_login_makes_the_template_that_is_missing_and_leaves_the_enrolled_one(site: Site, newer: Site):
    before = site.services.accounts.enrolment("ada")
    for at in (newer, site, newer):
        assert at.login().status_code == 200
        assert at.login(who="eve").status_code == 403
        site.next_code()
    assert newer.services.face_engine.embedded == 1, "it is made once and kept"
    assert site.services.accounts.enrolment("ada").template == before.template
    assert [held.kind for held in site.services.accounts.templates("ada")] == ["enrolled", "migrated"]


def test_nobody_is_locked_out_at_any_stage_of_a_migration(site: Site, newer: Site):
    accounts, engine = newer.services.accounts, newer.services.face_engine
    migration = FaceMigration(
        database=newer.services.database, accounts=accounts, model=NEWER, now=newer.services.time.now
    )
    stages = (
        ([site], lambda: migration.migrate(engine.reembed).stored),
        ([site, newer], migration.finish),
        ([newer], lambda: 1),
    )
    for servers, next_stage in stages:
        for at in servers:
            assert at.login().status_code == 200
            site.next_code()
        assert next_stage() == 1
    assert accounts.templates("ada") == (Held(NEWER, "enrolled", None),)


def test_a_face_that_is_enrolled_at_one_server_ends_the_template_that_the_other_made(site: Site, newer: Site):
    """The person is another one now: by no server's model may the face of before get in."""
    assert newer.login().status_code == 200
    site.next_code()
    assert site.submit(Action.RECOVER_FACE, new_who="older ada").status_code == 200
    site.time.moment += timedelta(seconds=30)
    for at in (newer, site):
        assert at.login(who="ada").status_code == 403
        assert at.login(who="older ada").status_code == 200
        site.next_code()
