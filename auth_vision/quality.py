"""Whether a picture can be judged at all: one rule for each code, over what was measured. Pure functions.

The bounds were measured on the 600 genuine pairs of the LFW test folder, one picture of each degraded;
"missed" is the share above the distance for a false-match rate of 1e-4, 3 to 6 % for undegraded ones.
"""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Final

from auth_contract.actions import CaptureHint
from auth_vision.look import Features, Look

FACE_MIN_CONFIDENCE: Final = 0.9
"""Below it the detector sees faces in lettering and ties; 2 of 1,583 LFW portraits score less."""

RIVAL_MIN_RATIO: Final = 0.4
"""A second face this high, relative to the largest, could be meant as well; smaller ones are passers-by."""

FACE_MIN_HEIGHT: Final = 48
"""Pixels. Missed: 7 % at 65, 7.5 % at 53, 14 % at 40, 57 % at 27."""

FACE_MAX_SHARE: Final = 0.85
"""Of the picture's height or width; above it forehead or chin are cut off by the next nod."""

DARK_MEAN: Final = 40
"""Grey level of the face, 0 to 255. Missed: 10 % at 39, 16 % at 26; presence fails before that."""

BRIGHT_MEAN: Final = 210
"""Missed: 7 % at 175, 11 % at 207, 19 % at 222."""

BLURRED_DETAIL: Final = 0.012
"""Of `light.detail`. Medians: 0.10 as it
is, 0.015 after a Gaussian blur of 2 pixels (missed: 15 %), 0.0085 after one of 3 (missed: 64 %)."""

YAW_MAX: Final = 35.0
PITCH_RANGE: Final = (-40.0, 20.0)
"""Degrees of the pose model, by which a usual frontal face has a pitch of about -12."""

UNSTEADY: Final = 0.04
"""A cat's face moves its points by 0.057 and more; a head on its side or upside down does so in 9 of 10 pictures
where it is taken for a face at all. Of 1,583 LFW portraits 7 are above, half covered or blurred."""

SHUT_PROBABILITY: Final = 0.1
SHUT_RATIO: Final = 0.10
"""Both must be below for eyes to count as shut. The eye model alone takes sunglasses, downcast and narrow eyes for
shut ones (33 of 1,583), and the ratio takes laughing ones for them: at 0.14 Nelson Mandela's smile was refused. So
this rule finds eyes that are surely shut and no more; that a person is awake is for the movements to show. 3 of
1,583 are refused, one of them laughing."""

Rule = Callable[[Look, Features], bool]
"""Whether something is wrong with a picture that shows a face."""


def _is_cut_off(look: Look, features: Features) -> bool:
    points = features.face.landmarks
    low, high = points.min(axis=0), points.max(axis=0)
    return bool(low.min() < 0 or high[0] > look.width or high[1] > look.height)


RULES: Final[Mapping[CaptureHint, Rule]] = MappingProxyType(
    {
        CaptureHint.SEVERAL_FACES: lambda look, _: (
            len(look.face_heights) > 1 and look.face_heights[1] >= RIVAL_MIN_RATIO * look.face_heights[0]
        ),
        CaptureHint.TOO_SMALL: lambda _, features: features.face.height < FACE_MIN_HEIGHT,
        CaptureHint.TOO_CLOSE: lambda look, features: (
            features.face.height > FACE_MAX_SHARE * look.height or features.face.box.width > FACE_MAX_SHARE * look.width
        ),
        CaptureHint.CUT_OFF: _is_cut_off,
        CaptureHint.TOO_DARK: lambda _, features: features.light < DARK_MEAN,
        CaptureHint.TOO_BRIGHT: lambda _, features: features.light > BRIGHT_MEAN,
        CaptureHint.BLURRED: lambda _, features: features.detail < BLURRED_DETAIL,
        CaptureHint.TURNED: lambda _, features: (
            abs(features.pose.yaw) > YAW_MAX
            or not PITCH_RANGE[0] <= features.pose.pitch <= PITCH_RANGE[1]
            or features.unsteadiness > UNSTEADY
        ),
        CaptureHint.EYES_SHUT: lambda _, features: (
            max(features.eyes_open) < SHUT_PROBABILITY and features.eye_ratio < SHUT_RATIO
        ),
    }
)
"""In the order in which a person is told of them: first what makes the others meaningless."""

MOVING: Final = frozenset({CaptureHint.TURNED, CaptureHint.EYES_SHUT, CaptureHint.BLURRED, CaptureHint.CUT_OFF})
"""What may be while a person moves as asked; everything else is wrong in any picture."""


def hint_of(look: Look, *, allowed: frozenset[CaptureHint] = frozenset()) -> CaptureHint | None:
    """Return the first thing that is wrong with a picture and not `allowed`, or None where it can be judged."""
    features = look.features
    if features is None:
        return CaptureHint.NO_FACE
    return next((hint for hint, is_wrong in RULES.items() if hint not in allowed and is_wrong(look, features)), None)


def most_common(hints: Sequence[CaptureHint]) -> CaptureHint:
    """Return the hint that most pictures have; of equals the first. Raises ValueError without any."""
    return max(hints, key=hints.count)
