"""A picture of a denied attempt: kept only by policy, sealed, for a time, and never at the person's cost."""

import io
import os
import random
import tempfile
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from PIL import Image
from sqlalchemy import text

from auth_contract.actions import Action
from auth_contract.messages import FrameMark
from auth_server.keyring import Keyring
from auth_server.snapshots import KIOSK_MAX, PICTURE_MAX_BYTES, Snapshots, middle_of, small
from auth_server.store.clearing import clear_out
from auth_server.store.models import SNAPSHOTS
from tests.auth_server.pipeline.conftest import picture
from tests.auth_server.pipeline.test_actions import invite, register
from tests.auth_server.test_data_keys import decrypted_pages
from tests.postgres import IN_A_FILE

KEPT: dict[str, Any] = {"face": {"models": "none", "presence": "passive", "keep_refused_days": 7}}
kept = pytest.mark.parametrize("sections", [KEPT], indirect=True)


def snapshots(site: Any) -> Snapshots:
    found: Snapshots = site.services.authenticator.snapshots
    return found


def test_none_is_kept_unless_the_site_asks_for_it(site: Any) -> None:
    assert site.login(password="Wrong horse 8").status_code == 403
    assert snapshots(site).list() == []


@kept
def test_it_is_the_picture_as_it_was_sent_with_what_was_typed_where_and_when(site: Any) -> None:
    assert site.login(who="eve").status_code == 403
    [found] = snapshots(site).list()
    assert (found.username, found.kiosk_id, found.action) == ("ada", "kiosk-1", "login")
    assert found.attempt_id == site.last_row()["detail"]["attempt"]
    assert (found.taken_at, found.expires_at) == (site.time.now(), site.time.now() + timedelta(days=7))
    assert snapshots(site).open(found.number) == (found, picture("eve"))
    assert snapshots(site).open(found.number + 1) is None


@kept
@pytest.mark.parametrize(
    ("what", "status", "count"),
    [
        (lambda site: site.login(), 200, 0),
        (lambda site: site.login(password="Wrong horse 8"), 403, 1),
        (lambda site: site.login(totp="000000"), 403, 1),
        (lambda site: site.login(who="print of ada"), 403, 1),
        (lambda site: site.login(username="nobody"), 403, 1),
        (lambda site: site.login(who="no_face"), 403, 0),
        (lambda site: site.login(who="cut short"), 422, 0),
        (lambda site: site.login(who="broken"), 403, 1),
        (lambda site: register(site, "0" * 25), 403, 1),
        (lambda site: register(site, invite(site), new_who="ada"), 403, 1),
        (lambda site: register(site, invite(site)), 200, 0),
        (lambda site: site.submit(Action.RECOVER_FACE, password="Wrong horse 8"), 403, 1),
        (lambda site: site.submit(Action.CANCEL, password="Wrong horse 8"), 403, 0),
    ],
    ids=[
        *("granted", "password", "code", "print", "unknown", "capture_again", "malformed", "broken"),
        *("no-leave", "duplicate", "registered", "recovery", "no-pictures"),
    ],
)
def test_of_a_denial_with_pictures_and_of_nothing_else(site: Any, what: Any, status: int, count: int) -> None:
    reply = what(site)
    assert (reply.status_code, len(snapshots(site).list())) == (status, count), reply.text


@kept
def test_a_wait_keeps_none(site: Any) -> None:
    codes = [site.login(password="Wrong horse 8").status_code for _ in range(7)]
    assert 423 in codes and len(snapshots(site).list()) == codes.count(403)


@kept
@pytest.mark.parametrize("fault", ["DROP TABLE snapshots", "ALTER TABLE snapshots RENAME picture_enc TO other"])
def test_what_cannot_be_kept_changes_nothing_for_the_person(site: Any, fault: str) -> None:
    right = site.login(password="Wrong horse 8")
    with site.services.database.transaction() as session:
        session.execute(text(fault))
    refused = site.login(password="Wrong horse 8")
    assert (refused.status_code, refused.json) == (right.status_code, right.json)
    assert site.last_row()["reason"] == "denied"


@IN_A_FILE
@kept
def test_it_is_never_plain_on_the_disk(
    site: Any, keyring: Keyring, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    monkeypatch.setenv("TMPDIR", str(scratch))
    noise = _noise(1600, 1200)
    made = small(noise)
    for sent in (picture("eve"), noise):  # as sent, and made smaller
        snapshots(site).keep(_denied(site, sent), site.time.now())
    assert len(snapshots(site).list()) == 2
    database = site.services.database.path
    assert clear_out(site.services.database)  # or nothing would be found in the pages of the file
    files = [Path(folder) / name for folder, _, names in os.walk(tmp_path) for name in names]
    assert database in files and not list(scratch.iterdir())
    for found in (*(file.read_bytes() for file in files), decrypted_pages(database, keyring.database_keys[0])):
        for piece in (
            b"\xff\xd8\xff\xe0\x00\x10JFIF",
            picture("eve")[:24],
            made[:24],
            made[5000:5024],
            noise[5000:5024],
        ):
            assert piece not in found


@kept
def test_housekeeping_deletes_what_has_expired(site: Any) -> None:
    site.login(who="eve")
    site.time.moment += timedelta(days=6)
    site.login(who="mallory")
    site.services.housekeeping.run()
    assert len(snapshots(site).list()) == 2
    site.time.moment += timedelta(days=1)
    site.services.housekeeping.run()
    [left] = snapshots(site).list()
    assert snapshots(site).open(left.number) == (left, picture("mallory"))


@kept
def test_a_shorter_time_holds_for_those_that_are_kept_already(site: Any, keyring: Keyring) -> None:
    site.login(who="eve")
    shorter = Snapshots(site.services.database, keyring.field, 1)
    assert shorter.prune(site.time.now() + timedelta(hours=23)) == 0
    assert shorter.prune(site.time.now() + timedelta(days=1)) == 1


@kept
def test_a_kiosk_fills_no_disk(site: Any) -> None:
    site.login(who="eve")
    with site.services.database.transaction() as session:
        one = dict(session.execute(SNAPSHOTS.select()).mappings().one())
        del one["id"]
        copies = [{**one, "attempt_id": f"copy-{n}", "picture_enc": b""} for n in range(KIOSK_MAX)]
        session.execute(SNAPSHOTS.insert(), [*copies, {**copies[0], "attempt_id": "other", "kiosk_id": "kiosk-2"}])
    site.login(who="mallory")
    found = snapshots(site).list()
    assert len([one for one in found if one.kiosk_id == "kiosk-1"]) == KIOSK_MAX
    assert snapshots(site).open(found[0].number) == (found[0], picture("mallory"))
    assert found[-1].attempt_id == "copy-1" and len(found) == KIOSK_MAX + 1


@pytest.mark.parametrize(
    ("parts", "chosen"),
    [((), 2), ((0, 0, 0, 1, 1), 1), ((0, 0, 1, 1, 2), 1), ((1, 1, 0, 2, 2), 2), ((1, 1, 1, 2, 2), 2), ((0, 0), 2)],
    ids=["no-marks", "first-three", "first-two", "one", "none-frontal", "too-few-marks"],
)
def test_the_middle_one_from_before_the_first_movement(parts: tuple[int, ...], chosen: int) -> None:
    marks = [FrameMark(at_ms=100 * place, part=part) for place, part in enumerate(parts)]
    assert middle_of([b"0", b"1", b"2", b"3", b"4"], marks) == str(chosen).encode()


class TestSmall:
    def test_one_that_is_small_stays_as_it_was_sent(self) -> None:
        assert small(picture("eve")) == picture("eve")

    def test_a_large_one_is_made_smaller(self) -> None:
        sent = _noise(1600, 1200)
        assert len(sent) > PICTURE_MAX_BYTES
        made = small(sent)
        assert len(made) <= PICTURE_MAX_BYTES
        with Image.open(io.BytesIO(made)) as image:
            assert image.format == "JPEG" and max(image.size) >= 320

    def test_one_that_stays_too_large_is_refused(self) -> None:
        with pytest.raises(ValueError, match="too large"):
            small(_noise(1600, 1200), longest_sides=(1600,))


def _noise(width: int, height: int) -> bytes:
    out = io.BytesIO()
    pixels = random.Random(1).randbytes(width * height * 3)  # noqa: S311 - a picture, no secret
    Image.frombytes("RGB", (width, height), pixels).save(out, "JPEG", quality=90)
    return out.getvalue()


def _denied(site: Any, frame: bytes) -> Any:
    """What is left of a submission that was denied."""
    attempt_id = site.open()["attempt_id"]
    return SimpleNamespace(
        action=Action.LOGIN,
        attempt=SimpleNamespace(attempt_id=attempt_id),
        kiosk=SimpleNamespace(kiosk_id="kiosk-1"),
        claims=SimpleNamespace(username="ada", frames=(frame,), new_frames=(), marks=()),
    )
