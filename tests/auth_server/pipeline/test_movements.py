"""Movements of an attempt: drawn when it opens, kept in its row, held against what is sent; a miss counts."""

import base64
import json
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import insert

from auth_contract import paths
from auth_contract.actions import Action, CaptureHint, Movement
from auth_server.bootstrap import new_token
from auth_server.policy import POLICY
from auth_server.store.models import EXEMPTIONS
from tests.auth_server.pipeline.conftest import picture

ACTIVE = pytest.mark.parametrize("sections", [{"face": {"models": "none", "presence": "both"}}], indirect=True)
WITH_FACE = sorted(
    action for action, policy in POLICY.items() if {"face", "new_face"} & {factor.value for factor in policy.factors}
)


def shown(attempt: dict[str, Any], who: str = "ada") -> dict[str, Any]:
    """A recording of three frames for each part, of somebody who does what the attempt asks for."""
    parts = [part for part in range(len(attempt["movements"]) + 2) for _ in range(3)]
    return {
        "frames": [base64.b64encode(picture(who)).decode()] * len(parts),
        "marks": [{"at_ms": 200 * place, "part": part} for place, part in enumerate(parts)],
    }


def submit(site: Any, attempt: dict[str, Any], **changes: Any) -> Any:
    body = json.dumps(site.fields(attempt, **changes)).encode()
    return site.post(paths.LOGIN, body, nonce=attempt["nonce"])


@ACTIVE
@pytest.mark.parametrize("action", Action)
def test_every_action_with_a_face_asks_for_movements_and_no_other_does(site, action) -> None:
    movements = site.open(action=action).get("movements", [])
    assert len(movements) == (3 if action in WITH_FACE else 0)
    assert set(movements) <= set(Movement)


def test_a_site_without_active_presence_asks_for_none(site) -> None:
    assert site.open()["movements"] == []


@ACTIVE
def test_movements_differ_from_attempt_to_attempt(site) -> None:
    assert len({tuple(site.open()["movements"]) for _ in range(20)}) > 10


@ACTIVE
def test_a_recording_of_them_is_let_in_and_the_row_knows_how_many(site) -> None:
    attempt = site.open()
    site.time.moment += timedelta(seconds=5)
    reply = submit(site, attempt, **shown(attempt))
    assert reply.status_code == 200, reply.text
    assert site.last_row()["detail"]["verdicts"]["face"]["movements"] == 3


@ACTIVE
def test_movements_that_were_not_made_count_as_failures(site) -> None:
    for _ in range(5):
        attempt = site.open()
        site.time.moment += timedelta(seconds=5)
        reply = submit(site, attempt, **shown(attempt, who=CaptureHint.MOVEMENT.value))
        assert (reply.json["reason"], reply.json["capture_hint"]) == ("capture_again", "movement")
    attempt = site.open()
    assert submit(site, attempt, **shown(attempt)).json["reason"] == "locked"


def test_pictures_that_cannot_be_judged_do_not(site) -> None:
    for _ in range(6):
        assert site.login(who=CaptureHint.TOO_DARK.value).json["reason"] == "capture_again"
    assert site.login().status_code == 200


@ACTIVE
@pytest.mark.parametrize("marks", [[], [{"at_ms": 1, "part": 0}]], ids=["none", "too few"])
def test_frames_without_their_marks_are_malformed(site, marks) -> None:
    attempt = site.open()
    reply = submit(site, attempt, **{**shown(attempt), "marks": marks})
    assert (reply.status_code, reply.json["field"]) == (422, "marks")


@ACTIVE
@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda marks: marks[::-1], "out_of_order"),
        (lambda marks: [{**mark, "at_ms": mark["at_ms"] * 20} for mark in marks], "too_fast"),
    ],
    ids=["backwards", "longer than it took"],
)
def test_marks_that_no_person_made_are_denied_and_named_in_the_row_alone(site, change, problem) -> None:
    attempt = site.open()
    site.time.moment += timedelta(seconds=5)
    recording = shown(attempt)
    reply = submit(site, attempt, **{**recording, "marks": change(recording["marks"])})
    assert (reply.status_code, reply.json["reason"]) == (403, "denied")
    assert "capture_hint" not in reply.json
    assert site.last_row()["detail"]["verdicts"]["face"]["presence_problem"] == problem


@ACTIVE
def test_a_person_is_asked_for_what_they_can_do(site) -> None:
    exempt = {Movement.BLINK, Movement.LOOK_UP}
    with site.services.database.transaction() as session:
        session.connection().execute(
            insert(EXEMPTIONS), [{"username": "ada", "movement": movement.value} for movement in exempt]
        )
    for _ in range(10):
        asked = json.dumps({"action": "login", "username": "ada"}).encode()
        movements = site.post(paths.ATTEMPTS, asked, nonce=new_token()).json["movements"]
        assert len(movements) == 3
        assert not exempt & set(movements)
