"""APCER, BPCER and non-response: of made-up outcomes, by submission and by file."""

from datetime import date
from itertools import pairwise

import numpy as np
import pytest

from auth_contract.actions import Movement
from auth_server.errors import EvaluationRefused
from auth_server.face.calibrating import presence_section
from auth_server.face.challenge import HEAD
from auth_server.face.glimpse import Glimpse
from auth_server.face.liveness import SPECIES, Shown, figures, kind_of
from auth_server.face.repetition import problem_of_pictures
from auth_server.face.showing import Outcome, Showing, sequences, showing_of
from auth_vision.look import Look

PASS, LOOK, FLAT = Outcome("", 0.9), Outcome("", 0.2), Outcome("", 0.9, problem="flat")
AGAIN, HINT_AND_PROBLEM = Outcome("", None, hint="no_face"), Outcome("", None, hint="no_face", problem="broken")


def shown(name: str, *, passive=(), active=()) -> Shown:
    return Shown(name, name.startswith("live"), kind_of(name, SPECIES), Showing(tuple(passive), tuple(active)))


@pytest.mark.parametrize(
    ("name", "rule", "kind"),
    [
        ("replay-phone-1.mp4", SPECIES, "replay-phone"),
        ("attack-2.jpg", SPECIES, "attack"),
        ("print.jpg", SPECIES, "print"),
        ("2026-mask.jpg", SPECIES, "2026-mask.jpg"),
        ("cam3_print_7.jpg", r"\w+?_(\w+?)_", "print"),
        ("cam3_print_7.jpg", r"cam\d", "cam3"),
    ],
)
def test_a_species_is_called_by_its_files_names(name: str, rule: str, kind: str) -> None:
    assert kind_of(name, rule) == kind


def test_each_layer_judges_by_its_own() -> None:
    files = [
        shown("attack-1.jpg", passive=[LOOK, PASS, AGAIN], active=[LOOK, FLAT]),
        shown("live-1.mp4", passive=[PASS, PASS, LOOK], active=[PASS, AGAIN]),
    ]
    told = figures(files, 0.5)

    def errors(layer: str, side: str, kind: str) -> tuple[int, int]:
        error = told[layer][side]["kinds"][kind]["error"]
        return error["errors"], error["trials"]

    assert errors("passive", "attacks", "attack") == (1, 2)
    assert errors("active", "attacks", "attack") == (1, 2)
    assert errors("both", "attacks", "attack") == (0, 2)
    assert errors("passive", "live", "live") == (1, 3)
    assert errors("active", "live", "live") == errors("both", "live", "live") == (0, 1)
    attack = told["passive"]["attacks"]["kinds"]["attack"]
    assert (attack["non_response"]["errors"], attack["non_response"]["trials"]) == (1, 3)
    assert (attack["passed"], attack["shown"], attack["asked_again_for"]) == (1, 3, {"no_face": 1})


def test_one_passing_submission_is_an_attack_file_passed_and_a_live_file_fails_by_most() -> None:
    files = [
        shown("attack-1.jpg", passive=[LOOK, LOOK, LOOK, PASS]),
        shown("attack-2.jpg", passive=[LOOK]),
        shown("attack-3.jpg", passive=[AGAIN]),
        shown("live-1.mp4", passive=[PASS, PASS, LOOK]),
        shown("live-2.mp4", passive=[PASS, LOOK, LOOK]),
    ]
    told = figures(files, 0.5)["passive"]
    attack, live = told["attacks"]["kinds"]["attack"]["error_by_file"], told["live"]["kinds"]["live"]["error_by_file"]
    assert (attack["errors"], attack["trials"]) == (1, 2)  # the third was never judged
    assert (live["errors"], live["trials"]) == (1, 2)


def test_a_problem_is_a_refusal_whatever_hint_stands_beside_it() -> None:
    told = figures([shown("attack-1.mp4", active=[HINT_AND_PROBLEM])], 0.5)["active"]["attacks"]["kinds"]["attack"]
    assert told["error"]["trials"] == 1 and told["refused_for"] == {"broken": 1}


def test_a_layer_that_was_not_tried_is_left_out() -> None:
    assert list(figures([shown("live-1.jpg", passive=[PASS])], 0.5)) == ["passive"]


def test_every_sequence_that_may_be_drawn_is_shown() -> None:
    assert len(sequences(3)) == 60 and len(set(sequences(4))) == 120
    assert len(sequences(2)) == 18  # two of the twenty turn no head
    for asked in sequences(3):
        assert (
            HEAD & set(asked) and all(one is not other for one, other in pairwise(asked)) and set(asked) <= {*Movement}
        )


class TestThreshold:
    def of(self, attack: list[float], live: list[float]) -> dict:
        files = [
            shown("attack-1.jpg", passive=[Outcome("", score) for score in attack]),
            shown("live-1.jpg", passive=[Outcome("", score) for score in live]),
        ]
        return presence_section(files, "model", "made up", date(2026, 11, 27))

    @pytest.mark.parametrize(
        ("attack", "threshold"), [([0.1], 0.5), ([0.5], 0.55), ([0.72, 0.1], 0.75), ([0.94], 0.95)]
    )
    def test_the_least_that_refuses_every_species(self, attack: list[float], threshold: float) -> None:
        section = self.of(attack, [0.9, 0.99])
        assert section["threshold"] == threshold
        assert section["attacks"]["error_rate"] == 0
        assert section["live"]["error_rate"] == (0.5 if threshold > 0.9 else 0)
        assert section["model"] == "model" and section["attacks"]["species"]["attack"]["error"]["trials"] == len(attack)

    def test_attacks_that_look_like_people_leave_none(self) -> None:
        with pytest.raises(EvaluationRefused, match="at no threshold up to"):
            self.of([0.99], [0.9])

    @pytest.mark.parametrize(("attack", "live"), [([], [0.9]), ([0.1], [])])
    def test_both_sides_are_needed(self, attack: list[float], live: list[float]) -> None:
        with pytest.raises(EvaluationRefused, match="both live recordings and attacks"):
            self.of(attack, live)


def test_a_showing_comes_back_from_its_document() -> None:
    showing = Showing((PASS, AGAIN), (FLAT,))
    assert showing_of(showing.document()) == showing


def test_frames_without_any_face_are_no_repetition_of_one() -> None:
    empty = Glimpse(Look(640, 480, (), None), np.zeros((120, 160), np.uint8))
    assert problem_of_pictures([empty] * 3) is problem_of_pictures([]) is None
