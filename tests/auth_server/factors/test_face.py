"""The face factor: near enough, one person, really there; everything else fails, and says why."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from auth_contract.actions import CaptureHint
from auth_server.domain import Factor, Template, Verdict
from auth_server.face.observation import EnrolledFace, Observation
from auth_server.factors import face

MODEL = "4auth-87aacdfe"


def template(angle: float, model: str = MODEL) -> Template:
    """A unit vector at an angle in degrees: two of them are 1 - cos(difference) apart."""
    vector = np.zeros(512, "<f4")
    vector[0], vector[1] = math.cos(math.radians(angle)), math.sin(math.radians(angle))
    return Template(model, vector.tobytes())


def observation(
    seen: Template | None = None,
    *,
    hint: CaptureHint | None = None,
    presence: float | None = 0.9,
    is_one_person: bool = True,
) -> Observation:
    return Observation(
        template=None if hint else seen or template(0),
        capture_hint=hint,
        presence=presence,
        is_one_person=is_one_person,
        evidence={"frames": 3, "model": MODEL},
    )


def verify(claim: Observation, enrolment: Template | None = None, presence_threshold: float | None = 0.5) -> Verdict:
    return face.verify(
        claim=claim, enrolment=enrolment or template(0), threshold=0.5, presence_threshold=presence_threshold
    )


@pytest.mark.parametrize(
    ("degrees", "passed"), [(0, True), (30, True), (59.9, True), (60.1, False), (90, False), (180, False)]
)
def test_the_distance_decides(degrees: float, passed: bool) -> None:
    verdict = verify(observation(template(degrees)))
    assert verdict.factor is Factor.FACE
    assert verdict.passed is passed
    assert verdict.capture_hint is None
    assert verdict.evidence["distance"] == pytest.approx(1 - math.cos(math.radians(degrees)), abs=1e-4)


@pytest.mark.parametrize(
    ("presence", "threshold", "passed"),
    [
        (0.5, 0.5, True),
        (0.49, 0.5, False),
        (0.0, 0.5, False),
        (None, 0.5, False),
        (None, None, True),
        (0.0, None, True),
    ],
)
def test_presence_is_required_unless_it_is_off(presence: float | None, threshold: float | None, passed: bool) -> None:
    assert verify(observation(presence=presence), presence_threshold=threshold).passed is passed


def test_frames_of_two_people_fail_however_near_their_mean() -> None:
    verdict = verify(observation(is_one_person=False))
    assert not verdict.passed
    assert verdict.evidence["is_one_person"] is False


@pytest.mark.parametrize("hint", [None, CaptureHint.NO_FACE])
def test_what_speaks_against_a_recording_fails_without_a_hint_and_is_named(hint: CaptureHint | None) -> None:
    verdict = verify(replace(observation(hint=hint), problem="broken"))
    assert (verdict.passed, verdict.capture_hint) == (False, None)
    assert verdict.evidence["presence_problem"] == "broken"
    assert "presence_problem" not in verify(observation()).evidence


def test_a_new_face_of_a_broken_recording_fails() -> None:
    claim = EnrolledFace(template(0), b"png", 0.9, {}, problem="broken")
    verdict = face.verify_new(claim=claim, presence_threshold=0.5)
    assert not verdict.passed
    assert verdict.evidence["presence_problem"] == "broken"


@pytest.mark.parametrize("hint", CaptureHint)
def test_a_hint_passes_through_and_is_no_match(hint: CaptureHint) -> None:
    verdict = verify(observation(hint=hint))
    assert (verdict.passed, verdict.capture_hint) == (False, hint)
    assert "distance" not in verdict.evidence


def test_an_observation_without_template_or_hint_fails() -> None:
    nothing = Observation(template=None, capture_hint=None, presence=0.9, is_one_person=True, evidence={})
    assert not verify(nothing).passed


@pytest.mark.parametrize(
    ("enrolment", "problem"),
    [
        (template(0, model="deepface-ArcFace"), "is of model deepface-ArcFace"),
        (Template(MODEL, template(0).embedding[:400]), "has 400 bytes"),
        (Template(MODEL, b""), "has 0 bytes"),
        (Template(MODEL, bytes(2048)), "no direction"),
        (Template(MODEL, np.full(512, np.nan, "<f4").tobytes()), "no direction"),
        (Template(MODEL, np.full(512, np.inf, "<f4").tobytes()), "no direction"),
    ],
)
def test_templates_that_cannot_be_compared_fail_and_say_why(enrolment: Template, problem: str) -> None:
    verdict = verify(observation(), enrolment)
    assert not verdict.passed
    assert problem in str(verdict.evidence["problem"])


def test_two_empty_templates_are_not_alike() -> None:
    empty = Template(MODEL, b"")
    assert not verify(observation(empty), empty).passed


def test_the_evidence_has_what_an_auditor_needs_and_no_embedding() -> None:
    evidence = verify(observation()).evidence
    assert evidence == {
        "frames": 3,
        "model": MODEL,
        "distance": 0.0,
        "template": "enrolled",
        "threshold": 0.5,
        "presence_threshold": 0.5,
        "is_one_person": True,
    }


@pytest.mark.parametrize(
    ("followed", "seen", "passed", "nearer", "distance"),
    [
        (30, 50, True, "followed", 20),
        (30, 10, True, "enrolled", 10),
        (30, 15, True, "enrolled", 15),  # alike near: the enrolled one is named
        (30, 89, True, "followed", 59),
        (30, 91, False, "followed", 61),
        (-30, 61, False, "enrolled", 61),
    ],
)
def test_the_nearer_of_enrolled_and_followed_counts_by_the_same_threshold(followed, seen, passed, nearer, distance):
    verdict = face.verify(
        claim=observation(template(seen)),
        enrolment=template(0),
        followed=template(followed),
        threshold=0.5,
        presence_threshold=0.5,
    )
    assert (verdict.passed, verdict.evidence["template"]) == (passed, nearer)
    assert verdict.evidence["distance"] == pytest.approx(1 - math.cos(math.radians(distance)), abs=1e-4)


@pytest.mark.parametrize("followed", [template(70, "another"), Template(MODEL, b""), Template(MODEL, bytes(2048))])
def test_a_followed_template_that_cannot_be_compared_counts_for_nothing(followed):
    claim = observation(template(70))
    verdict = face.verify(claim=claim, enrolment=template(0), followed=followed, threshold=0.5, presence_threshold=0.5)
    assert not verdict.passed and verdict.evidence["template"] == "enrolled"


@given(st.floats(0.001, 1000), st.floats(0, 180))
def test_length_does_not_count(length: float, degrees: float) -> None:
    scaled = np.frombuffer(template(degrees).embedding, "<f4") * np.float32(length)
    verdict = verify(observation(Template(MODEL, scaled.astype("<f4").tobytes())))
    assert float(str(verdict.evidence["distance"])) == pytest.approx(1 - math.cos(math.radians(degrees)), abs=1e-3)


@example(b"\x00\x00\xa0\x7f", b"\x00\x00\x80\x3f")  # a signalling NaN
@example(b"\x00\x00\x80\x7f", bytes(4))  # infinity beside nothing
@given(st.binary(max_size=64), st.binary(max_size=64))
def test_no_bytes_raise_or_pass_by_accident(seen: bytes, enrolled: bytes) -> None:
    verdict = verify(observation(Template(MODEL, seen)), Template(MODEL, enrolled))
    assert not verdict.passed or "distance" in verdict.evidence


class TestNewFace:
    """A face that is to be enrolled: good enough, and a real person's."""

    @pytest.mark.parametrize(
        ("presence", "threshold", "passed"),
        [
            (0.5, 0.5, True),
            (0.49, 0.5, False),
            (0.0, 0.5, False),
            (None, 0.5, False),
            (math.nan, 0.5, False),
            (None, None, True),
            (0.0, None, True),
        ],
    )
    def test_presence_is_required_unless_it_is_off(
        self, presence: float | None, threshold: float | None, passed: bool
    ) -> None:
        claim = EnrolledFace(template(0), b"png", presence, {"frames": 5})
        verdict = face.verify_new(claim=claim, presence_threshold=threshold)
        assert (verdict.factor, verdict.passed, verdict.capture_hint) == (Factor.NEW_FACE, passed, None)
        assert verdict.evidence == {"frames": 5, "presence_threshold": threshold}

    @pytest.mark.parametrize("hint", CaptureHint)
    def test_pictures_that_cannot_be_enrolled_pass_their_hint_on(self, hint: CaptureHint) -> None:
        verdict = face.verify_new(claim=hint, presence_threshold=None)
        assert (verdict.passed, verdict.capture_hint) == (False, hint)

    def test_no_evidence_holds_the_face(self) -> None:
        claim = EnrolledFace(template(0), b"png of a face", 0.9)
        assert "png of a face" not in repr(face.verify_new(claim=claim, presence_threshold=0.5)) + repr(claim)
