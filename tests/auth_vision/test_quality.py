"""The rules over a look: each bound with what it still accepts, and the first thing wrong is the one that is told."""

from dataclasses import replace

import numpy as np
import pytest

from auth_contract.actions import CaptureHint
from auth_vision import quality
from auth_vision.geometry import Box
from auth_vision.look import Face, Features, Look, Pose

EDGE = quality.FACE_MAX_SHARE


def features(*, height: float = 200, width: float = 150, x: float = 100, y: float = 100) -> Features:
    """A usual face in a picture, good by every rule."""
    landmarks = np.linspace((x, y), (x + width, y + height), 68)
    return Features(
        face=Face(Box(x, y, width, height), landmarks, landmarks[:5], 0.99),
        pose=Pose(0, -12, 0),
        nose_across=0,
        nose_down=0.55,
        eye_distance_px=60,
        eyes_open=(0.9, 0.9),
        eye_ratio=0.3,
        light=120,
        detail=0.1,
    )


GOOD = features()


def look(one: Features | None = GOOD, *others: float, width: int = 640, height: int = 480) -> Look:
    heights = (one.face.height, *others) if one else ()
    return Look(width, height, heights, one)


def turned(yaw: float = 0, pitch: float = -12, roll: float = 0) -> Features:
    return replace(GOOD, pose=Pose(yaw, pitch, roll))


SPECIFICATION = [
    ("a usual face", look(), None),
    ("nobody", look(None), CaptureHint.NO_FACE),
    ("a passer-by behind", look(GOOD, 79), None),
    ("two people", look(GOOD, 80), CaptureHint.SEVERAL_FACES),
    ("a crowd", look(GOOD, 200, 10), CaptureHint.SEVERAL_FACES),
    ("two far away", look(features(height=30, width=25), 20), CaptureHint.SEVERAL_FACES),
    ("just high enough", look(features(height=48, width=36)), None),
    ("too far away", look(features(height=47, width=36)), CaptureHint.TOO_SMALL),
    ("as high as may be", look(features(y=10, height=480 * EDGE)), None),
    ("higher", look(features(y=10, height=480 * EDGE + 1)), CaptureHint.TOO_CLOSE),
    ("as wide as may be", look(features(x=10, width=640 * EDGE)), None),
    ("wider", look(features(x=10, width=640 * EDGE + 1)), CaptureHint.TOO_CLOSE),
    ("at the left edge", look(features(x=0)), None),
    ("beyond the left edge", look(features(x=-1)), CaptureHint.CUT_OFF),
    ("at the upper edge", look(features(y=0)), None),
    ("beyond the upper edge", look(features(y=-1)), CaptureHint.CUT_OFF),
    ("at the right edge", look(features(x=640 - 150)), None),
    ("beyond the right edge", look(features(x=641 - 150)), CaptureHint.CUT_OFF),
    ("at the lower edge", look(features(y=480 - 200)), None),
    ("beyond the lower edge", look(features(y=481 - 200)), CaptureHint.CUT_OFF),
    ("dim", look(replace(GOOD, light=40)), None),
    ("dark", look(replace(GOOD, light=39.9)), CaptureHint.TOO_DARK),
    ("bright", look(replace(GOOD, light=210)), None),
    ("too bright", look(replace(GOOD, light=210.1)), CaptureHint.TOO_BRIGHT),
    ("soft", look(replace(GOOD, detail=0.012)), None),
    ("blurred", look(replace(GOOD, detail=0.0119)), CaptureHint.BLURRED),
    ("looks a little left", look(turned(yaw=35)), None),
    ("looks left", look(turned(yaw=35.1)), CaptureHint.TURNED),
    ("looks right", look(turned(yaw=-35.1)), CaptureHint.TURNED),
    ("looks up a little", look(turned(pitch=20)), None),
    ("looks up", look(turned(pitch=20.1)), CaptureHint.TURNED),
    ("looks down", look(turned(pitch=-40.1)), CaptureHint.TURNED),
    ("upright enough", look(replace(GOOD, unsteadiness=0.04)), None),
    ("on its side", look(replace(GOOD, unsteadiness=0.0401)), CaptureHint.TURNED),
    ("eyes shut", look(replace(GOOD, eyes_open=(0.09, 0.09), eye_ratio=0.099)), CaptureHint.EYES_SHUT),
    ("one eye shut", look(replace(GOOD, eyes_open=(0.0, 0.1), eye_ratio=0.099)), None),
    ("narrow eyes that the model calls shut", look(replace(GOOD, eyes_open=(0.0, 0.0), eye_ratio=0.10)), None),
    ("low eyes that the model calls open", look(replace(GOOD, eyes_open=(0.9, 0.9), eye_ratio=0.05)), None),
]  # fmt: skip


@pytest.mark.parametrize(
    ("seen", "hint"), [case[1:] for case in SPECIFICATION], ids=[case[0] for case in SPECIFICATION]
)
def test_each_rule_at_its_bound(seen: Look, hint: CaptureHint | None) -> None:
    assert quality.hint_of(seen) is hint


def test_every_code_that_one_picture_can_have_is_refused_somewhere_above() -> None:
    of_a_recording = {CaptureHint.ONE_POSE, CaptureHint.MOVEMENT}
    assert {hint for _, _, hint in SPECIFICATION} == {None, *CaptureHint} - of_a_recording


def test_what_makes_the_rest_meaningless_is_told_first() -> None:
    """Everything is wrong at once; each thing that is put right uncovers the next in the order of the rules."""
    one = replace(
        features(height=40, width=600, x=-5), light=10, detail=0, pose=Pose(90, 0, 0), eyes_open=(0, 0), eye_ratio=0
    )
    allowed: set[CaptureHint] = set()
    told = []
    while hint := quality.hint_of(look(one, 40), allowed=frozenset(allowed)):
        told.append(hint)
        allowed.add(hint)
    assert told == [hint for hint in quality.RULES if hint is not CaptureHint.TOO_BRIGHT]


@pytest.mark.parametrize("hint", sorted(CaptureHint))
def test_a_moving_person_may_be_turned_blurred_cut_off_or_blink_and_nothing_else(hint: CaptureHint) -> None:
    seen = next((case[1] for case in SPECIFICATION if case[2] is hint), None)
    if seen is not None:
        assert (quality.hint_of(seen, allowed=quality.MOVING) is None) == (hint in quality.MOVING)


def test_the_most_common_hint_is_told_and_of_equals_the_first() -> None:
    dark, small = CaptureHint.TOO_DARK, CaptureHint.TOO_SMALL
    assert quality.most_common([small, dark, dark]) is dark
    assert quality.most_common([small, dark, dark, small]) is small
    with pytest.raises(ValueError, match="empty"):
        quality.most_common([])
