"""A face that is enrolled under another name: refused at the kiosk without a word of whose it is, and told."""

import json
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import update

from auth_contract.actions import Action
from auth_server.domain import Template
from auth_server.notifications import Notifications
from auth_server.store.models import USERS
from tests.auth_server.pipeline.conftest import embedding
from tests.auth_server.pipeline.test_actions import COOLING_OFF, SECOND_PERSON, account, confirm, invite, register

NOTIFY: dict[str, Any] = {"notify": {"kind": "command", "argv": ["/bin/true"]}}
LENIENT: dict[str, Any] = {"face": {"models": "none", "presence": "passive", "refuse_duplicates": False}}


def told(site: Any) -> list[dict[str, Any]]:
    waiting = [json.loads(one.body) for one in Notifications(site.services.database).list()]
    return [one for one in waiting if one["event"] == "duplicate_face"]


def other_faces(site: Any) -> dict[str, Any]:
    return dict(site.last_row()["detail"]["other_faces"])


@pytest.mark.parametrize("sections", [NOTIFY], indirect=True)
class TestRefused:
    def test_a_registration(self, site: Any) -> None:
        refused = register(site, invite(site), new_who="ada")
        assert (refused.status_code, refused.json["reason"]) == (403, "denied")
        wrong = register(site, "0" * 25, new_who="bob")
        assert refused.json == wrong.json, "the person reads what anybody reads who is denied"
        assert account(site, "bob") is None and site.services.authenticator.changes.pending("bob") is None

    def test_the_row_names_the_other_account_and_the_site_is_told(self, site: Any) -> None:
        register(site, invite(site), new_who="ada")
        assert site.last_row()["reason"] == "denied" and site.last_row()["username"] == "bob"
        found = other_faces(site)
        assert (found["like"], found["refused"], found["compared"]) == ("ada", True, 1)
        assert abs(found["distance"]) < 0.001
        [word] = told(site)
        assert (word["username"], word["like"], word["is_refused"]) == ("bob", "ada", True)
        assert "like that of ada. It was refused." in word["message"]

    def test_a_new_face_of_somebody_else(self, site: Any, sue: Any) -> None:
        before = site.services.accounts.enrolment("ada").template
        refused = site.submit(Action.RECOVER_FACE, new_who="sue")
        assert (refused.status_code, refused.json["reason"]) == (403, "denied") and "sue" not in refused.text
        assert other_faces(site)["like"] == "sue" and [one["username"] for one in told(site)] == ["ada"]
        assert site.services.accounts.enrolment("ada").template == before

    def test_one_s_own_face_is_no_duplicate(self, site: Any, sue: Any) -> None:
        assert site.submit(Action.RECOVER_FACE, new_who="ada").status_code == 200
        assert told(site) == [] and "other_faces" not in site.last_row()["detail"]

    def test_it_counts_as_a_failure(self, site: Any) -> None:
        """Else a ticket were leave to ask, as often as one likes, whose faces are enrolled."""
        ticket = invite(site)
        codes = [register(site, ticket, new_who="ada").status_code for _ in range(12)]
        assert 423 in codes and codes[0] == 403

    def test_a_registration_whose_face_was_enrolled_while_it_waited(self, site: Any) -> None:
        first, second = (
            register(site, invite(site), new_who="cy"),
            register(site, invite(site, "cy"), username="cy", new_who="cy"),
        )
        assert (first.status_code, second.status_code) == (200, 200), "neither is an account yet"
        assert confirm(site, second).status_code == 200
        refused = confirm(site, first)
        assert refused.status_code == 403 and other_faces(site)["like"] == "cy"
        assert account(site, "bob") is None and account(site, "cy") is not None

    def test_an_account_of_another_model_is_counted_in_the_row(self, site: Any) -> None:
        with site.services.database.transaction() as session:
            session.execute(update(USERS).values(face_model="old-model"))
        assert register(site, invite(site), new_who="ada").status_code == 200
        assert other_faces(site) == {"compared": 0, "skipped": 1}


@pytest.mark.parametrize("sections", [NOTIFY | COOLING_OFF], indirect=True)
def test_a_change_that_waited_for_time_is_dropped_with_a_row_and_word_of_it(site: Any, sue: Any) -> None:
    assert site.submit(Action.RECOVER_FACE, new_who="cy").status_code == 200
    with site.services.database.transaction() as session:
        template = Template("test-model", embedding("cy"))
        site.services.accounts.replace_face(session, "sue", template, b"png", site.time.now() + timedelta(seconds=1))
    site.time.moment += timedelta(hours=2)
    site.services.housekeeping.run()
    assert site.last_row()["action"] == "change_in_force" and site.last_row()["reason"] == "denied"
    assert other_faces(site)["like"] == "sue" and [one["username"] for one in told(site)] == ["ada"]
    assert site.services.authenticator.changes.pending("ada") is None
    assert site.services.accounts.enrolment("ada").template.embedding == embedding("ada")


@pytest.mark.parametrize("sections", [NOTIFY | SECOND_PERSON], indirect=True)
def test_an_approval_does_not_put_it_in_force(site: Any, sue: Any) -> None:
    assert site.submit(Action.RECOVER_FACE, new_who="cy").status_code == 200
    with site.services.database.transaction() as session:
        template = Template("test-model", embedding("cy"))
        site.services.accounts.replace_face(session, "sue", template, b"png", site.time.now() - timedelta(hours=1))
    site.next_code()
    approval = {"username": "sue", "who": "cy", "person": "ada", "kiosk": site.other_kiosk}
    refused = site.submit(Action.APPROVE, **approval)
    assert refused.status_code == 403 and other_faces(site)["like"] == "sue"
    assert [one["username"] for one in told(site)] == ["ada"]
    assert site.services.accounts.enrolment("ada").template.embedding == embedding("ada")


@pytest.mark.parametrize("sections", [NOTIFY | LENIENT], indirect=True)
def test_where_the_policy_lets_it_pass_the_row_and_the_word_of_it_stay(site: Any) -> None:
    pending = register(site, invite(site), new_who="ada")
    assert pending.status_code == 200
    assert other_faces(site)["like"] == "ada" and other_faces(site)["refused"] is False
    assert told(site) == [], "like every change, it is told of once a first code was shown"
    assert confirm(site, pending).status_code == 200
    assert other_faces(site)["like"] == "ada" and account(site, "bob") is not None
    [word] = told(site)
    assert word["is_refused"] is False and "It was let pass." in word["message"]
