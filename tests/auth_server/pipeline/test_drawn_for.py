"""Movements are drawn for a name that is only claimed when an attempt is opened: another's are not accepted."""

import itertools
import json
import random
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auth_contract import paths
from auth_contract.actions import Action, Movement
from auth_server.accounts import NewAccount
from auth_server.bootstrap import new_token
from auth_server.domain import Template
from auth_server.exemptions import Exemptions
from auth_server.face.challenge import HEAD, draw, is_drawn_for
from tests.auth_server.pipeline.conftest import MAC, SECRET, Site, embedding
from tests.auth_server.pipeline.test_movements import shown

ACTIVE = {"face": {"models": "none", "presence": "both", "movements": 3}}
people = st.frozensets(st.sampled_from(Movement), max_size=3)


@given(people, st.integers(2, 4), st.integers(0, 2**32))
def test_what_was_drawn_for_a_person_is_the_persons(exempt: frozenset[Movement], count: int, seed: int) -> None:
    drawn = draw(tuple(Movement), count, exempt, random.Random(seed))  # noqa: S311 - repeatable
    assert is_drawn_for(drawn, exempt)
    assert not exempt & set(drawn)


@pytest.mark.parametrize("count", [2, 3, 4])
def test_nobody_else_is_asked_for_less(count: int) -> None:
    for movements in itertools.product(HEAD ^ set(Movement), repeat=count):
        assert not is_drawn_for(movements, frozenset())
    assert not is_drawn_for((Movement.TURN_LEFT, Movement.BLINK, Movement.TURN_LEFT), frozenset())


@pytest.mark.parametrize("sections", [ACTIVE], indirect=True)
@pytest.mark.parametrize(("opened_as", "status"), [("ada", 200), ("ivy", 403), (None, 200), ("nobody at all", 200)])
def test_an_attempt_opened_under_an_easier_name_is_not_granted(
    site: Site, password_hash: bytes, opened_as: str | None, status: int
) -> None:
    _add_ivy(site, password_hash)
    asked = json.dumps({"action": Action.LOGIN.value} | ({"username": opened_as} if opened_as else {})).encode()
    attempt: dict[str, Any] = dict(site.post(paths.ATTEMPTS, asked, nonce=new_token()).json or {})
    site.time.moment += timedelta(seconds=5)
    body = json.dumps(site.fields(attempt, **shown(attempt))).encode()
    reply = site.post(paths.LOGIN, body, nonce=attempt["nonce"])
    assert reply.status_code == status, reply.text
    evidence = site.last_row()["detail"]["verdicts"]["face"]
    assert evidence.get("presence_problem") == ("drawn_for_another" if status == 403 else None)


def _add_ivy(site: Site, password_hash: bytes) -> None:
    """Somebody who cannot turn the head."""
    site.services.accounts.add(
        NewAccount(
            username="ivy",
            password_hash=password_hash,
            totp_secret=SECRET,
            totp_last_step=0,
            template=Template("test-model", embedding("ivy")),
            face_png=b"png",
            mac_addresses=frozenset({MAC}),
        ),
        site.time.now(),
    )
    Exemptions(site.services.database).put("ivy", HEAD)
