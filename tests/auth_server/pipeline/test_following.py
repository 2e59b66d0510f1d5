"""A server whose templates follow good logins: what is stored with a grant, and what is not."""

import dataclasses
import math
from datetime import timedelta

import numpy as np
import pytest

from auth_contract.actions import Action
from auth_server.account_faces import FOLLOWED
from auth_server.domain import Factor, Template, Verdict
from auth_server.judging import Case, Judged
from auth_server.policy import POLICY
from tests.auth_server.pipeline.conftest import embedding

FOLLOWS = pytest.mark.parametrize("sections", [{"face": {"models": "none", "presence": "passive", "follow": True}}],
                                  indirect=True)  # fmt: skip


def changed_face(degrees: float) -> Template:
    """Ada, so many degrees from how she was enrolled."""
    ada, other = (np.frombuffer(embedding(name), "<f4").astype(np.float64) for name in ("ada", "somebody"))
    aside = other - ada * (ada @ other)
    aside /= np.linalg.norm(aside)
    vector = math.cos(math.radians(degrees)) * ada + math.sin(math.radians(degrees)) * aside
    return Template("test-model", vector.astype("<f4").tobytes())


@pytest.fixture
def looks(site, monkeypatch):
    """Sets how Ada looks from now on; the engine's threshold of 0.5 is 60 degrees."""
    engine, plain = site.services.face_engine, site.services.face_engine.observe

    def set_(degrees: float) -> None:
        monkeypatch.setattr(
            engine, "observe", lambda seen: dataclasses.replace(plain(seen), template=changed_face(degrees))
        )

    return set_


def kinds(site) -> list[str]:
    return [held.kind for held in site.services.accounts.templates("ada")]


def test_as_shipped_nothing_follows(site, looks):
    looks(20)
    assert site.login().status_code == 200
    assert kinds(site) == ["enrolled"]
    assert "template_followed" not in site.last_row()["detail"]


@FOLLOWS
def test_a_granted_login_moves_it_once_a_day(site, looks):
    looks(20)
    before = site.services.accounts.enrolment("ada")
    assert site.login().status_code == 200
    assert site.last_row()["detail"]["template_followed"] is True
    after = site.services.accounts.enrolment("ada")
    assert (after.template, after.factors_changed_at) == (before.template, before.factors_changed_at)
    assert after.followed is not None and after.followed_at == site.time.now()
    site.next_code()
    assert site.login().status_code == 200
    assert site.services.accounts.enrolment("ada").followed == after.followed
    assert site.last_row()["detail"]["verdicts"]["face"]["template"] == "followed"
    site.time.moment += timedelta(days=1)
    assert site.login().status_code == 200
    assert site.services.accounts.enrolment("ada").followed != after.followed


@FOLLOWS
@pytest.mark.parametrize("wrong", [{"password": "wrong Horse 7 battery"}, {"totp": "000000"}])
def test_a_login_that_is_denied_moves_nothing(site, looks, wrong):
    """Her face, and not all of her factors: whoever that is teaches nothing."""
    looks(20)
    assert site.login(**wrong).status_code == 403
    assert kinds(site) == ["enrolled"]


@FOLLOWS
@pytest.mark.parametrize("degrees", [50, 61, 90])
def test_a_face_that_is_not_surely_hers_moves_nothing(site, looks, degrees):
    looks(degrees)
    assert site.login().status_code == (200 if degrees < 60 else 403)
    assert kinds(site) == ["enrolled"]


@FOLLOWS
@pytest.mark.parametrize("action", [Action.RECOVER_PASSWORD, Action.RECOVER_TOTP, Action.UPDATE_MAC])
def test_no_action_but_a_login_moves_it(site, looks, action):
    """They ask for fewer factors."""
    looks(20)
    assert site.submit(action).status_code == 200
    assert kinds(site) == ["enrolled"]


@FOLLOWS
@pytest.mark.parametrize("missing", [None, Factor.PASSWORD, Factor.TOTP, Factor.FACE, Factor.DEVICE])
def test_a_login_by_fewer_factors_would_move_nothing(site, missing):
    """No site can ask for fewer; were one to, a face alone would teach itself."""
    effects, policy = site.services.authenticator.effects, POLICY[Action.LOGIN]
    weaker = dataclasses.replace(policy, factors=tuple(factor for factor in policy.factors if factor is not missing))
    judged = Judged(tuple(Verdict(factor, passed=True) for factor in weaker.factors), seen=changed_face(20))
    case = Case(None, site.services.accounts.enrolment("ada"))
    assert (effects._moved(case, judged, weaker, site.time.now()) is not None) is (missing is None)


@FOLLOWS
def test_another_face_ends_what_followed_the_one_before(site, looks):
    looks(20)
    assert site.login().status_code == 200
    accounts = site.services.accounts
    with site.services.database.transaction() as session:
        assert accounts.replace_face(session, "ada", changed_face(70), b"png", site.time.now())
    assert kinds(site) == ["enrolled"] and accounts.enrolment("ada").followed is None


@FOLLOWS
def test_a_face_changed_between_reading_and_granting_is_not_followed(site, looks, monkeypatch):
    """Nothing is granted then, and nothing kept of the face before."""
    looks(20)
    accounts = site.services.accounts
    put = type(accounts).put_further
    monkeypatch.setattr(
        type(accounts), "put_further",
        lambda self, session, name, as_read, *rest: put(self, session, name, as_read - timedelta(1), *rest),
    )  # fmt: skip
    assert site.login().status_code == 200
    assert kinds(site) == ["enrolled"]
    assert "template_followed" not in site.last_row()["detail"]


@FOLLOWS
def test_it_lets_in_nearer_to_how_she_looks_now(site, looks):
    """After months of a slow change she is let in where the enrolled template alone would not."""
    for week in range(30):
        looks(min(30.0, week * 2.0))
        site.time.moment += timedelta(days=7)
        assert site.login().status_code == 200
    looks(63)
    site.time.moment += timedelta(days=7)
    assert site.login().status_code == 200
    face = site.last_row()["detail"]["verdicts"]["face"]
    assert face["template"] == "followed" and face["distance"] < 0.5
    assert FOLLOWED in kinds(site)
    looks(100)
    site.next_code()
    assert site.login().status_code == 403
