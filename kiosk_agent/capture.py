"""Taking the pictures of one attempt: some that can be judged, or a recording in which movements are made.

Where models guide, a picture that could not be judged is not sent but told of while the person still
stands there, and each movement is asked for until it is seen. Without them pictures are taken by time
alone. Either way the server decides; nothing that is seen here is sent but the pictures themselves.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import ceil
from typing import Final

from auth_client.client import Surroundings
from auth_contract.actions import CaptureHint, Movement
from auth_contract.limits import BODY_MAX_BYTES, FRAME_MAX_BYTES, FRAMES_MAX
from auth_contract.messages import FrameMark
from auth_vision.movement import Rest, is_done, rest_of
from auth_vision.quality import MOVING, hint_of
from kiosk_agent.camera import Camera
from kiosk_agent.camera.jpeg import Form, encode_jpeg, fit
from kiosk_agent.effects import Capture
from kiosk_agent.errors import CameraFault, NobodyWaits, PicturesUnfit
from kiosk_agent.events import Captured, Event, Guided, Pictured
from kiosk_agent.guide import Guide
from kiosk_agent.recording import (
    AFTER,
    BEFORE,
    PART_MIN,
    Shot,
    features_of,
    fitted,
    is_back,
    part_max,
    shows,
    telling,
    thinned,
    with_faces,
)
from kiosk_agent.settings import CaptureSettings

_PICTURES_MAX_BYTES: Final = (BODY_MAX_BYTES - 64 * 1024) // 4 * 3
"""Of all pictures of one submission, which base64 makes larger by a third; the rest of it is small."""

_RECORDED_SIDE: Final = 640
_SETTLE_S: Final = 3.0
"""After the last movement, to look into the camera again; a face that is still moving is sent as it is."""

_MOVEMENT_MIN_S: Final = 0.5
"""A movement that was seen at once goes on for so long: the server believes nothing quicker."""

_UNGUIDED_INTERVAL_S: Final = 0.4
"""Six pictures in 2.4 s: time to read, to move and to look back."""

_STOP_WITHIN_S: Final = 0.25

Tell = Callable[[Event], None]
IsWanted = Callable[[], bool]


@dataclass(frozen=True, slots=True)
class Capturer:
    """Takes pictures with a camera; `guide` is None where nobody guides."""

    camera: Camera
    settings: CaptureSettings
    guide: Guide | None
    around: Surroundings

    def take(self, errand: Capture, tell: Tell, is_wanted: IsWanted) -> Captured:
        """Return the pictures of an attempt; `tell` hears meanwhile of what the person should know.

        Raises CameraFault, PicturesUnfit, and NobodyWaits as soon as they are wanted no more.
        """
        self.camera.prepare()
        self.camera.follow(None)
        take = _Take(self, errand, tell, is_wanted)
        return take.recording() if errand.movements else take.pictures()


class _Take:
    """One errand under way."""

    def __init__(self, parts: Capturer, errand: Capture, tell: Tell, is_wanted: IsWanted) -> None:
        self._camera, self._settings, self._guide, self._around = (
            parts.camera,
            parts.settings,
            parts.guide,
            parts.around,
        )
        self._errand, self._tell, self._is_wanted = errand, tell, is_wanted
        self._form = self._form_of(errand)
        self._told = Guided(errand.ticket, 0)
        self._grabbed_s = -1e9
        self._at_ms = -1

    # --- pictures without movements

    def pictures(self) -> Captured:
        """Some frontal pictures, or those of an enrolment, between which the pose changes."""
        settings = self._settings
        if self._errand.is_enrolment:
            shots = self._good(settings.enrol_frames, settings.enrol_interval_s, is_enrolment=True)
        else:
            shots = self._good(settings.frames, settings.interval_s)
        return Captured(self._errand.ticket, tuple(shot.jpeg for shot in shots))

    def _good(self, count: int, interval_s: float, *, is_enrolment: bool = False) -> list[Shot]:
        """So many pictures that can be judged, one after the other; raises PicturesUnfit when it takes too long."""
        good: list[Shot] = []
        ends_s = self._around.monotonic() + self._settings.patience_s + (count - 1) * interval_s
        wait_s = interval_s
        while len(good) < count:
            if is_enrolment and good:
                self._tell(Pictured(self._errand.ticket, len(good)))
            shot = self._shot(0, wait_s)
            wait_s = interval_s if shot.hint is None else self._settings.interval_s
            if shot.hint is None:
                good.append(shot)
                continue
            if self._around.monotonic() >= ends_s:
                raise PicturesUnfit(shot.hint)
            if not is_enrolment:
                good.clear()  # what is sent belongs together
        return good

    # --- a recording

    def recording(self) -> Captured:
        """Frontal pictures, each movement, frontal pictures; in one go and with marks."""
        movements = self._errand.movements
        before = self._good(BEFORE, self._settings.interval_s)
        rest = rest_of(features_of(before)) if self._guide is not None else None
        parts: list[list[Shot]] = [before]
        for number, movement in enumerate(movements, 1):
            parts.append(self._movement(number, movement, rest, parts))
        after = self._settle(rest)
        parts[-1] += [replace(shot, part=len(movements)) for shot in after[:-AFTER]]
        shots = fitted([before, *self._all_sent(rest, parts[1:]), after[-AFTER:]])
        marks = tuple(FrameMark(at_ms=shot.at_ms, part=shot.part) for shot in shots)
        return Captured(self._errand.ticket, tuple(shot.jpeg for shot in shots), marks)

    def _all_sent(self, rest: Rest | None, parts: list[list[Shot]]) -> list[list[Shot]]:
        """What is sent of the movements' pictures: of each as many as all leave room for."""
        movements = self._errand.movements
        for most in range(part_max(len(movements)), PART_MIN - 1, -1):
            sent = [self._sent(movement, rest, part, most) for movement, part in zip(movements, parts, strict=True)]
            # A slow movement needs more, which the others must spare: `fitted` would cut gaps into it.
            if sum(map(len, sent)) <= FRAMES_MAX - BEFORE - AFTER:
                break
        return sent

    @staticmethod
    def _sent(movement: Movement, rest: Rest | None, part: list[Shot], most: int) -> list[Shot]:
        """What is sent of a movement's pictures."""
        if rest is None:
            return thinned(part, [], [], most)
        seen = with_faces(part)
        return thinned(seen, *telling(movement, rest, seen), most)

    def _movement(self, number: int, movement: Movement, rest: Rest | None, parts: list[list[Shot]]) -> list[Shot]:
        """The pictures of a movement. Those at its beginning that show it already are the part's before."""
        self._camera.follow(movement)
        began_s = self._around.monotonic()
        frontal = features_of(parts[0])[-1:]
        shots: list[Shot] = []
        hint, past_s = None, 0.0
        while not self._is_over(movement, rest, shots, past_s):
            self._say(number, hint, None if rest is None else max(1, ceil(self._settings.movement_s - past_s)))
            shot = self._shot(number, self._recorded_interval_s)
            hint, past_s = shot.hint, self._around.monotonic() - began_s
            is_first = not shots and number > 1 and past_s < self._settings.movement_s / 2
            if rest is not None and is_first and shows(movement, rest, frontal[0], shot):
                parts[-1].append(replace(shot, part=number - 1))
            else:
                shots.append(shot)
        return shots

    def _is_over(self, movement: Movement, rest: Rest | None, shots: list[Shot], past_s: float) -> bool:
        if rest is None:
            return len(shots) >= PART_MIN
        if not shots:
            return False
        # One more after the picture that shows it: the server measures anew, and what is at the edge could fall.
        is_seen = past_s >= _MOVEMENT_MIN_S and is_done(movement, rest, features_of(shots[:-1]))
        return is_seen or past_s >= self._settings.movement_s

    def _settle(self, rest: Rest | None) -> list[Shot]:
        """The pictures until the person looks into the camera again; the last `AFTER` are good, if any are."""
        self._camera.follow(None)
        number = len(self._errand.movements) + 1
        ends_s = self._around.monotonic() + _SETTLE_S
        shots: list[Shot] = []
        while not self._is_settled(rest, shots) and (len(shots) < AFTER or self._around.monotonic() < ends_s):
            self._say(number, shots[-1].hint if shots else None, is_good=bool(shots) and shots[-1].hint is None)
            shots.append(self._shot(number, self._recorded_interval_s))
        return shots

    @staticmethod
    def _is_settled(rest: Rest | None, shots: list[Shot]) -> bool:
        if rest is None:
            return len(shots) >= 2 * AFTER
        return len(shots) >= AFTER and all(is_back(rest, shot) for shot in shots[-AFTER:])

    # --- one picture

    def _shot(self, part: int, interval_s: float) -> Shot:
        """The next picture, so long after the last one."""
        self._wait_until(self._grabbed_s + interval_s)
        self._grabbed_s = self._around.monotonic()
        picture = fit(self._camera.grab(), self._form)
        at_s = self._around.monotonic() - self._errand.opened_s
        self._at_ms = max(self._at_ms + 1, round(at_s * 1000))
        try:
            shot = Shot(encode_jpeg(picture, self._form), self._at_ms, part)
        except ValueError as error:
            raise CameraFault("picture", str(error), "look at what the camera gives") from error
        if self._guide is None:
            return shot
        look = self._guide.look(picture)
        is_moving = 0 < part <= len(self._errand.movements)
        hint = hint_of(look, allowed=MOVING if is_moving else frozenset())
        if not is_moving:
            self._say(part, hint, is_good=hint is None)
        return replace(shot, look=look, hint=hint)

    def _wait_until(self, moment_s: float) -> None:
        """Wait, and look now and then whether anybody still waits for the pictures; raises NobodyWaits."""
        while True:
            if not self._is_wanted():
                raise NobodyWaits
            left_s = moment_s - self._around.monotonic()
            if left_s <= 0:
                return
            self._around.sleep(min(left_s, _STOP_WITHIN_S))

    def _say(
        self, part: int, hint: CaptureHint | None, seconds_left: int | None = None, *, is_good: bool = False
    ) -> None:
        said = Guided(self._errand.ticket, part, hint, seconds_left, is_good)
        if said != self._told:
            self._told = said
            self._tell(said)

    @property
    def _recorded_interval_s(self) -> float:
        return _UNGUIDED_INTERVAL_S if self._guide is None else self._settings.movement_interval_s

    def _form_of(self, errand: Capture) -> Form:
        """As large as all of the submission's pictures may be."""
        quality = self._settings.quality
        if errand.movements:
            return Form(quality, _RECORDED_SIDE, _RECORDED_SIDE, _PICTURES_MAX_BYTES // FRAMES_MAX)
        count = self._settings.enrol_frames if errand.is_enrolment else self._settings.frames
        return Form(quality, bytes_max=min(FRAME_MAX_BYTES, _PICTURES_MAX_BYTES // count))
