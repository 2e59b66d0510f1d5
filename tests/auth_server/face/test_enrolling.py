"""Which pictures make one template."""

import random

import numpy as np
import pytest

from auth_contract.actions import Action, CaptureHint, Movement
from auth_server.asking import Asking
from auth_server.errors import FaceUnusable
from auth_server.face.enrolling import places_of_one_person
from auth_server.policy import POLICY


def apart(*places: float) -> np.ndarray:
    """Distances between pictures that lie on a line."""
    return np.abs(np.subtract.outer(places, places))


@pytest.mark.parametrize(
    ("places", "spares", "kept"),
    [
        ((0.0, 0.1, 0.2), 0, (0, 1, 2)),
        ((0.0, 0.3, 0.5, 0.7), 1, (1, 2, 3)),  # a half turn each way: one of the two is left out
        ((0.0, 0.1, 0.5, 0.9), 1, (0, 1, 2)),
        ((0.0, 0.3, 0.4, 0.5, 0.9), 2, (0, 1, 2, 3)),
    ],
)
def test_what_is_too_far_from_the_others_is_left_out_of_a_recording(places, spares, kept) -> None:
    assert places_of_one_person(apart(*places), 0.6, spares=spares) == kept


@pytest.mark.parametrize(
    ("places", "spares", "stranger"),
    [((0.0, 0.1, 0.9), 0, 2), ((0.0, 0.1, 0.9, 1.0), 1, 0), ((0.0, 0.9), 0, 0)],
)
def test_more_than_may_be_spared_is_somebody_else(places, spares, stranger) -> None:
    with pytest.raises(FaceUnusable) as refused:
        places_of_one_person(apart(*places), 0.6, spares=spares)
    assert refused.value.hint is CaptureHint.SEVERAL_FACES


TURNS = {Movement.TURN_LEFT, Movement.TURN_RIGHT}


def asking(*exempt: Movement) -> Asking:
    return Asking(policies=POLICY, count=3, exemptions=lambda _: frozenset(exempt), rng=random.Random(4))  # noqa: S311 - repeatable


@pytest.mark.parametrize("action", [Action.REGISTER, Action.RECOVER_FACE])
def test_an_enrolment_asks_for_a_turn_so_that_there_are_two_poses(action) -> None:
    assert all(TURNS & set(asking().movements(action, "ann")) for _ in range(300))
    assert all(TURNS & set(asking(Movement.TURN_LEFT).movements(action, "ann")) for _ in range(300))


def test_a_login_need_not_and_who_cannot_turn_is_not_asked_to() -> None:
    one = asking()
    assert not all(TURNS & set(one.movements(Action.LOGIN, "ann")) for _ in range(300))
    other = asking(*TURNS)
    assert not any(TURNS & set(other.movements(Action.REGISTER, "ann")) for _ in range(300))
