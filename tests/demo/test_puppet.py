"""The demo's puppet does what it is asked, so that what is proven with it is proven."""

import itertools
from pathlib import Path

import numpy as np
import pytest

from auth_contract.actions import Movement
from auth_vision.movement import Rest, is_done, rest_of
from auth_vision.quality import MOVING, hint_of
from auth_vision.sight import Sight
from demo.puppet import Puppet, ada, record

SEQUENCES = ((), (Movement.BLINK,), (Movement.TURN_LEFT, Movement.LOOK_UP, Movement.COME_CLOSER, Movement.BLINK))


@pytest.fixture(scope="module")
def sight(models_folder: Path) -> Sight:
    return Sight(models_folder)


@pytest.fixture(scope="module")
def puppet(models_folder: Path) -> Puppet:
    return ada(models_folder)


@pytest.fixture(scope="module")
def rest(puppet: Puppet, sight: Sight) -> Rest:
    looks = [sight.look(picture) for picture in puppet.rest(3)]
    assert [hint_of(look) for look in looks] == [None] * 3
    return rest_of([look.features for look in looks if look.features])


@pytest.mark.parametrize("movement", Movement)
def test_it_makes_the_movement_and_no_other(movement: Movement, puppet: Puppet, sight: Sight, rest: Rest) -> None:
    looks = [sight.look(picture) for picture in puppet.act(movement)]
    seen = [look.features for look in looks if look.features]
    assert [hint_of(look, allowed=MOVING) for look in looks] == [None] * len(looks)
    assert [other for other in Movement if is_done(other, rest, seen)] == [movement]


def test_at_rest_it_makes_no_movement_and_no_two_pictures_are_the_same(
    puppet: Puppet, sight: Sight, rest: Rest
) -> None:
    pictures = puppet.rest(10)
    seen = [features for picture in pictures if (features := sight.look(picture).features)]
    assert not any(is_done(movement, rest, seen) for movement in Movement)
    assert all(np.any(one != other) for one, other in itertools.pairwise(pictures))


@pytest.mark.parametrize("movements", SEQUENCES)
def test_a_recording_has_a_mark_for_each_picture(movements: tuple[Movement, ...], puppet: Puppet) -> None:
    frames, marks = record(puppet, movements)
    assert len(frames) == len(marks) == 5 + 5 * len(movements)
    assert [mark.at_ms for mark in marks] == sorted({mark.at_ms for mark in marks})
    assert {mark.part for mark in marks} == set(range(len(movements) + 2))
