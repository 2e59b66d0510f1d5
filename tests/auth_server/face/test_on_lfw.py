"""What is said of the face check holds on the pictures that it was said of, by the command's own code."""

from pathlib import Path

import pytest

from auth_server.face import calibration, crew
from auth_server.face.evaluation import Evaluation, evaluate, fnmr
from auth_server.face.lfw import find_portraits, read_pairs
from auth_server.face.survey import Plan, sightings_of
from auth_server.settings import FaceSettings

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def found(test_data: Path, models_folder: Path) -> Evaluation:
    plan = Plan(FaceSettings(models=models_folder, presence="off"), crew.cores(), None)
    portraits = find_portraits(test_data / "lfw" / "images")
    return evaluate(sightings_of(portraits, plan, lambda _: None), read_pairs(test_data / "lfw" / "pairs.txt"))


def test_few_people_are_refused_where_one_stranger_of_10_000_matches(found: Evaluation) -> None:
    threshold = found.seen_threshold(1e-4)
    assert threshold is not None
    missed = fnmr(found.genuine(), threshold)
    assert missed is not None and missed.trials == 600
    assert round(missed.value, 3) <= 0.033


def test_two_enrolled_pictures_miss_one_person_of_a_hundred_at_most(found: Evaluation) -> None:
    for threshold in (found.seen_threshold(1e-4), calibration.load().threshold):
        assert threshold is not None
        missed = fnmr(found.enrolled.third, threshold)
        assert missed is not None and missed.trials == 154 and missed.value <= 0.01


def test_a_face_is_found_in_999_of_1000_pictures(found: Evaluation) -> None:
    assert found.failures.trials == 1583
    assert found.failures.value <= 0.001


def test_the_calibration_in_use_is_what_these_pictures_give(found: Evaluation) -> None:
    claim = found.claims["1e-4"]
    assert claim is not None
    assert calibration.load().threshold == pytest.approx(claim.threshold, abs=0.002)
    assert found.every.accepted(calibration.load().threshold) / found.every.total < 1e-4
