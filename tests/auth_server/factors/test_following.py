"""The template follows slow change, and nobody can draw it away from the enrolled face."""

import dataclasses
import itertools
import math
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from auth_server.domain import Enrolment, Template
from auth_server.factors.face import distance_between
from auth_server.factors.following import BOUND, EVERY, NEAR, followed

NOW = datetime(2026, 11, 22, 9, 30, tzinfo=UTC)
MODEL, THRESHOLD = "4auth-87aacdfe-2", 0.578
DAY, SIZE = timedelta(days=1), 8


def unit(vector: np.ndarray) -> Template:
    return Template(MODEL, (vector / np.linalg.norm(vector)).astype("<f4").tobytes())


def at(degrees: float, side: int = 1) -> Template:
    """A face so many degrees from the enrolled one, towards one of several sides."""
    vector = np.zeros(SIZE)
    vector[0], vector[side] = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return unit(vector)


def angle(distance: float) -> float:
    return math.degrees(math.acos(1 - distance))


def enrolled(**changes: object) -> Enrolment:
    plain = Enrolment(
        username="ada",
        password_hash=b"",
        totp_secret="",
        totp_last_step=0,
        template=at(0),
        mac_addresses=frozenset(),
        enabled=True,
        face_enabled=True,
        factors_changed_at=NOW,
    )
    return dataclasses.replace(plain, **changes)


def follow(enrolment: Enrolment, seen: Template, now: datetime = NOW) -> Template | None:
    return followed(enrolment=enrolment, seen=seen, threshold=THRESHOLD, now=now)


def apart(one: Template, other: Template) -> float:
    distance = distance_between(one, other)
    assert isinstance(distance, float)
    return distance


def test_a_good_login_moves_it_by_a_tenth():
    seen = at(30)
    moved = follow(enrolled(), seen)
    assert moved is not None
    expected = 0.9 * np.frombuffer(at(0).embedding, "<f4") + 0.1 * np.frombuffer(seen.embedding, "<f4")
    assert moved == unit(expected.astype(np.float64)) or apart(moved, unit(expected)) < 1e-6
    further = follow(enrolled(followed=moved, followed_at=NOW - EVERY), seen)
    assert further is not None and apart(further, at(0)) > apart(moved, at(0))


@pytest.mark.parametrize(
    ("degrees", "moves"),
    [
        (0, True),
        (angle(NEAR * THRESHOLD) - 0.1, True),
        (angle(NEAR * THRESHOLD) + 0.1, False),
        (angle(THRESHOLD) - 0.1, False),  # lets the person in, and is not near enough to be learnt from
        (90, False),
        (180, False),
    ],
)
def test_only_a_login_near_the_enrolled_face_moves_it(degrees, moves):
    assert (follow(enrolled(), at(degrees)) is not None) is moves
    drawn = enrolled(followed=at(30), followed_at=NOW - DAY)
    assert (follow(drawn, at(degrees)) is not None) is moves, "the enrolled one is measured from, not the followed"


def test_a_step_beyond_the_bound_is_not_made():
    edge = at(angle(BOUND * THRESHOLD) - 0.01)
    assert follow(enrolled(followed=edge, followed_at=NOW - DAY), at(angle(NEAR * THRESHOLD) - 0.1)) is None
    assert follow(enrolled(followed=edge, followed_at=NOW - DAY), at(10)) is not None, "back is always allowed"


@pytest.mark.parametrize(
    ("since", "moves"),
    [
        (timedelta(0), False),
        (EVERY - timedelta(seconds=1), False),
        (EVERY, True),
        (30 * DAY, True),
        (-DAY, False),  # the clock was set back
    ],
)
def test_it_moves_once_a_day(since, moves):
    assert (follow(enrolled(followed=at(5), followed_at=NOW - since), at(10)) is not None) is moves


@pytest.mark.parametrize(
    ("enrolment", "seen"),
    [
        (enrolled(is_decoy=True), at(10)),
        (enrolled(), Template("another", at(10).embedding)),
        (enrolled(template=Template("another", at(0).embedding)), at(10)),
        (enrolled(followed=Template("another", at(5).embedding), followed_at=NOW - DAY), at(10)),
        (enrolled(followed=Template(MODEL, bytes(4 * SIZE)), followed_at=NOW - DAY), at(10)),
        (enrolled(followed=Template(MODEL, b""), followed_at=NOW - DAY), at(10)),
        (enrolled(), Template(MODEL, bytes(4 * SIZE))),
        (enrolled(), Template(MODEL, np.full(SIZE, np.nan, "<f4").tobytes())),
        (enrolled(), Template(MODEL, b"")),
    ],
)
def test_what_cannot_be_compared_moves_nothing(enrolment, seen):
    assert follow(enrolment, seen) is None


numbers = st.lists(st.floats(-1, 1, width=32), min_size=SIZE, max_size=SIZE).filter(lambda one: any(one))


@settings(max_examples=200)
@given(st.lists(st.tuples(numbers, st.floats(0, 1), st.integers(0, 72)), max_size=60))
def test_no_logins_whatsoever_draw_it_beyond_the_bound(logins):
    """Of any faces, blended towards the enrolled one by any share so that many are near enough, at any times."""
    state, now, steps = enrolled(), NOW, []
    for towards, share, hours in logins:
        now += timedelta(hours=hours)
        vector = (1 - share) * np.frombuffer(at(0).embedding, "<f4") + share * np.asarray(towards)
        if not np.linalg.norm(vector) > 0:
            continue
        seen = unit(vector)
        moved = follow(state, seen, now)
        if moved is None:
            continue
        assert apart(seen, at(0)) <= NEAR * THRESHOLD < THRESHOLD, "whoever does not pass never moves it"
        assert apart(moved, at(0)) <= BOUND * THRESHOLD
        steps.append(now)
        state = dataclasses.replace(state, followed=moved, followed_at=now)
    assert all(later - earlier >= EVERY for earlier, later in itertools.pairwise(steps))


def test_a_patient_stranger_who_passes_daily_draws_it_to_the_bound_and_no_farther():
    """Ten years of the worst login that is still learnt from."""
    state, now, worst = enrolled(), NOW, at(angle(NEAR * THRESHOLD) - 0.01)
    for _ in range(3650):
        now += DAY
        moved = follow(state, worst, now)
        if moved is not None:
            state = dataclasses.replace(state, followed=moved, followed_at=now)
    assert state.followed is not None
    assert 0.4 * THRESHOLD < apart(state.followed, at(0)) <= BOUND * THRESHOLD
