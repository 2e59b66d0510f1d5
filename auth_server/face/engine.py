"""The face engine: a recording in, one observation or one enrolled face out.

Every frame is looked at (detection, points, pose, eyes); at most five frontal ones and two of each movement
are embedded as well.
"""

import io
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Final

import numpy as np
from PIL import Image

from auth_contract.actions import CaptureHint
from auth_contract.limits import ENROL_FRAMES_MIN
from auth_server.domain import Evidence, Template
from auth_server.errors import FaceUnusable, Unavailable
from auth_server.face import plugins
from auth_server.face.enrolling import check_pictures, choose_pictures, places_of_one_person
from auth_server.face.glimpse import Glimpse, Portrait
from auth_server.face.judgement import Rules, fuse, judge, mean_presence, template_of
from auth_server.face.looker import Looker, Looking
from auth_server.face.observation import EnrolledFace, Observation
from auth_server.face.pipeline import Pipeline, check_names
from auth_server.face.recording import Recording, check_form, recording_of
from auth_server.face.thresholds import thresholds_of
from auth_server.metrics import FACE_CHECKS, FACE_REFUSALS
from auth_server.settings import FaceSettings
from auth_vision.geometry import CHIP_SIZE, FACE_SIZE, Picture, with_rim

__all__ = ["EnrolledFace", "FaceEngine", "FaceUnusable", "Observation", "Recording", "check"]

RETRY_AFTER_S: Final = 2
"""The default queue, of 6 submissions of three frames, is worked off in about half a second of one core."""

_ENROLLED_SIZES: Final = {(CHIP_SIZE, CHIP_SIZE), (FACE_SIZE, FACE_SIZE)}
"""Faces that were stored before had no rim."""


def check(settings: FaceSettings) -> None:
    """Check names and calibration without loading a model, so that a process may still fork afterwards.

    Raises SettingsRefused as FaceEngine does.
    """
    plugins.register(settings.models)
    check_names(settings)
    thresholds_of(settings)


class FaceEngine:
    """DeepFace with the models that the settings name. Its methods may be called from any thread.

    `model` is the name that templates carry, `embedding_size` their length in numbers. `threshold`
    is the largest cosine distance that counts as the same person, `presence_threshold` the least
    mean probability of a real face (None where the settings switch that off). `looker` looks at its frames.
    """

    def __init__(self, settings: FaceSettings) -> None:
        """Load every model once.

        Raises ModelsRefused for a missing or changed file, SettingsRefused for an unknown model,
        for a calibration of others, and for none when `face.threshold` is not set.
        """
        thresholds = thresholds_of(settings)
        self._pipeline = Pipeline(settings)
        self.model = self._pipeline.model
        self.threshold = thresholds.match
        self.presence_threshold = thresholds.presence
        self._rules = Rules(
            model=self.model,
            one_person_max=thresholds.one_person_max,
            is_active=settings.is_active,
            is_presence_asked=settings.presence != "off",
        )
        self.looker: Looking = Looker(self._pipeline)
        self._places = threading.BoundedSemaphore(settings.queue_max)
        # Also the warm-up: the first pass of a session allocates what later ones reuse.
        blank = np.full((CHIP_SIZE, CHIP_SIZE, 3), 128, np.uint8)
        self._pipeline.faces(blank)
        self.embedding_size = self._pipeline.embed_chip(blank).size

    def observe(self, frames: Recording | Sequence[bytes]) -> Observation:
        """Return what a recording shows; frames alone are one in which nothing was asked.

        Raises Unavailable when `queue_max` submissions are being looked at, Malformed for a
        frame that is not a whole JPEG within the limits, or that lacks its mark. ValueError without any frame.
        """
        return self.observe_by(self.looker, frames)

    def observe_by(self, looker: Looking, frames: Recording | Sequence[bytes]) -> Observation:
        """Return what `observe` does, with somebody else to look at the frames: trials remember what they saw."""
        with self._place():
            return self._judged(looker, recording_of(frames), "frames")[1]

    def enrol(self, pictures: Recording | Sequence[bytes], *, is_vouched: bool = True) -> EnrolledFace:
        """Return one template of all pictures, and the most typical of them as an aligned PNG.

        A recording must pass what a login's must, but for the match, and show two poses: its best three to
        five frames are taken. Of pictures alone, which an administrator brings, each must be good; where nobody
        vouches for them they must be three or more, of two poses.

        Raises FaceUnusable naming the first picture that does not show exactly one good face, or
        not the person of the others, Malformed for one that is not a whole JPEG, Unavailable as
        `observe` does, ValueError without any picture.
        """
        with self._place():
            if isinstance(pictures, Recording):
                return self._enrol_recording(pictures)
            return self._enrol_pictures(tuple(pictures), is_vouched)

    def _enrol_recording(self, recording: Recording) -> EnrolledFace:
        glimpses, seen = self._judged(self.looker, recording, "new_frames")
        if seen.capture_hint is not None:
            raise FaceUnusable(int(str(seen.evidence["unusable_frame"])), seen.capture_hint)
        if not seen.is_one_person:
            raise FaceUnusable(0, CaptureHint.SEVERAL_FACES, "the pictures show two people")
        places = choose_pictures(glimpses)
        frames, chosen = [recording.frames[place] for place in places], [glimpses[place] for place in places]
        enrolled = self._enrolled(frames, chosen, spares=len(chosen) - ENROL_FRAMES_MIN)
        # Presence is the recording's: its frames were chosen to be judged by.
        return replace(
            enrolled, presence=seen.presence, problem=seen.problem, evidence={**seen.evidence, **enrolled.evidence}
        )

    def _enrol_pictures(self, pictures: tuple[bytes, ...], is_vouched: bool) -> EnrolledFace:
        if not pictures:
            raise ValueError("there is no picture to enrol")
        glimpses = self.looker.glimpses(pictures, "pictures")
        check_pictures(glimpses, is_vouched=is_vouched)
        return self._enrolled(pictures, glimpses)

    def _enrolled(self, pictures: Sequence[bytes], glimpses: Sequence[Glimpse], *, spares: int = 0) -> EnrolledFace:
        """The template of all pictures, but for so many at most that are too far from the others."""
        portraits = self.looker.portraits(pictures, glimpses)
        _, distances = fuse([portrait.embedding for portrait in portraits])
        places = places_of_one_person(distances, self._rules.one_person_max, spares=spares)
        portraits = [portraits[place] for place in places]
        fused, distances = fuse([portrait.embedding for portrait in portraits])
        best = max(portraits, key=lambda portrait: float(portrait.embedding @ fused))
        presence = mean_presence(portraits)
        evidence: Evidence = {
            "pictures": len(portraits),
            "model": self.model,
            "spread": round(float(distances.max()), 4),
            "presence": None if presence is None else round(presence, 4),
            "face_height_px": round(min(glimpse.look.face_heights[0] for glimpse in glimpses)),
        }
        return EnrolledFace(template_of(self.model, fused), _png(best.chip), presence, evidence)

    def reembed(self, picture_png: bytes) -> Template:
        """Return the template of an enrolled picture under the model in use now.

        Raises ValueError when the PNG is not one that `enrol` made.
        """
        with Image.open(io.BytesIO(picture_png), formats=("PNG",)) as image:
            if image.size not in _ENROLLED_SIZES or image.mode != "RGB":
                raise ValueError(
                    f"an enrolled picture is RGB of {CHIP_SIZE} x {CHIP_SIZE}, "
                    f"this one is {image.mode} of {image.size[0]} x {image.size[1]}"
                )
            chip = np.ascontiguousarray(np.asarray(image, dtype=np.uint8)[:, :, ::-1])
        with self._place():
            return template_of(
                self.model, self._pipeline.embed_chip(chip if image.width == CHIP_SIZE else with_rim(chip))
            )

    def _judged(self, looker: Looking, recording: Recording, field: str) -> tuple[list[Glimpse], Observation]:
        check_form(recording)
        glimpses = looker.glimpses(recording.frames, field)

        def see(places: Sequence[int]) -> list[Portrait]:
            return looker.portraits(
                [recording.frames[place] for place in places], [glimpses[place] for place in places]
            )

        return glimpses, judge(recording, glimpses, see, self._rules)

    @contextmanager
    def _place(self) -> Iterator[None]:
        if not self._places.acquire(blocking=False):
            FACE_REFUSALS.inc()
            raise Unavailable("the face queue is full", retry_after_s=RETRY_AFTER_S)
        try:
            with FACE_CHECKS.track_inprogress():
                yield
        finally:
            self._places.release()


def _png(chip: Picture) -> bytes:
    out = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(chip[:, :, ::-1])).save(out, "PNG", optimize=True)
    return out.getvalue()
