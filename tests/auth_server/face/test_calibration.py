"""The calibration: measured for the model in use, with the rates that the product claims."""

import json
from collections import Counter
from pathlib import Path

import pytest

from auth_server.face import calibration, evaluation
from auth_server.face.pipeline import model_name

DOCUMENT = json.loads(Path(calibration.__file__).with_name(calibration.DATA_FILE).read_text())


def test_the_recogniser_in_use_is_the_one_that_was_measured() -> None:
    found = calibration.load_calibration(model_name("4auth"))
    assert found is not None
    # 0.590 is the threshold that an independent measurement of all 13,233 pictures gave for 1e-4.
    assert 0.5 < found.threshold < 0.59 < found.one_person_max < 0.7


def test_a_model_that_was_never_measured_has_none() -> None:
    assert calibration.load_calibration(model_name("VGG-Face")) is None


@pytest.mark.parametrize(("name", "rate"), evaluation.TARGETS.items())
def test_the_claimed_rate_is_bounded_and_both_errors_are_stated(name: str, rate: float) -> None:
    measured = DOCUMENT["recognisers"][model_name("4auth")]
    point = measured["operating_points"][name]
    assert point["fmr"] < point["fmr_upper_95"] <= rate
    assert 0 < point["fnmr"] < point["fnmr_upper_95"] < 0.1
    assert measured["stranger_comparisons"] > 1_000_000
    assert measured["genuine_comparisons"] == 600
    assert measured["date"]


def test_measuring_writes_no_file_unless_one_is_named(tmp_path, models_folder, monkeypatch, capsys) -> None:
    monkeypatch.setattr(evaluation, "look_at_portraits", lambda *_: evaluation.Portraits({}, [], Counter(), 0))
    monkeypatch.setattr(evaluation, "recogniser_report", lambda *_: {"people": 0})
    package = Path(calibration.__file__).with_name(calibration.DATA_FILE)
    before, out = package.read_bytes(), tmp_path / "measured.json"
    words = ["--models", str(models_folder), "--lfw", str(tmp_path)]
    evaluation.main(words)
    assert model_name("4auth") in json.loads(capsys.readouterr().out)["recognisers"]
    assert (package.read_bytes(), list(tmp_path.iterdir())) == (before, [])
    evaluation.main([*words, "--out", str(out)])
    assert json.loads(out.read_text()) == json.loads(capsys.readouterr().out)


def test_presence_states_both_errors_and_how_little_is_known() -> None:
    presence = DOCUMENT["presence"]
    assert presence["threshold"] == calibration.presence_threshold() == evaluation.PRESENCE_THRESHOLD
    for side in ("attacks", "live"):
        assert presence[side]["error_rate"] < presence[side]["upper_95_by_presentation"]
