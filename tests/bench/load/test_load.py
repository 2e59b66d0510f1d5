"""The whole of `make load`, small: two real servers, a PostgreSQL, kiosks that are let in, figures that agree."""

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bench.load import __main__ as load
from tests import postgres

pytestmark = pytest.mark.slow

SECONDS = 3.0


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory, project_folder: Path, models_folder: Path) -> dict[str, Any]:
    """What a run wrote."""
    if (why := postgres.lacking()) is not None:
        pytest.skip(why)
    folder = tmp_path_factory.mktemp("load")
    words = ["--quick", "--seconds", str(SECONDS), "--json", str(folder / "load.json"), "--plot", str(folder / "l.png")]
    done = subprocess.run(
        [sys.executable, "-m", "bench.load", *words], cwd=project_folder, capture_output=True, text=True, timeout=400
    )
    assert done.returncode == 0, done.stderr
    written = json.loads((folder / "load.json").read_text())
    return {**written, "output": done.stdout, "plot": (folder / "l.png").read_bytes()}


def steps(found: dict[str, Any]) -> list[dict[str, Any]]:
    return [*found["ramp"], *found["rounds"], *found["opened"]]


def test_every_step_is_there_and_lets_people_in(found: dict[str, Any]) -> None:
    assert [(step["kiosks"], step["servers"]) for step in found["ramp"]] == [(1, 1), (1, 2), (4, 1), (4, 2)]
    assert [(step["kiosks"], step["servers"]) for step in found["rounds"]] == [(4, 1), (8, 2)]
    assert [(step["kiosks"], step["servers"]) for step in found["opened"]] == [(4, 1), (4, 2)]
    for step in steps(found):
        seen = step["seen"]
        assert seen["granted"] and seen["rate"] > 0, step
        assert seen["granted"] + sum(seen["refusals"].values()) == seen["tried"], step
        assert 0 < seen["p50"] <= seen["p95"] <= seen["p99"], step
        assert 0 < step["used"] < 1.1, "a server took more than its share"


def test_servers_have_granted_what_kiosks_were_told(found: dict[str, Any]) -> None:
    granted = found["outcomes"]["granted"]
    assert granted <= found["granted_by_servers"] <= granted + found["outcomes"].get("reply lost", 0)
    assert granted >= sum(step["seen"]["granted"] for step in steps(found))


def test_one_kiosk_alone_is_let_in_as_often_as_its_waits_say(found: dict[str, Any]) -> None:
    alone = found["ramp"][0]["seen"]
    assert 0.5 < alone["rate"] * alone["p50"] < 2, "within what one slow login of a few does to a mean"


def test_the_output_tells_the_shares_the_bar_and_every_step(found: dict[str, Any]) -> None:
    output = found["output"]
    assert "each server has " in output and "passive presence" in output
    assert "2 shares let in" in output and "(bar: 0.95)" in output
    assert sum(line.startswith(("closed ", "open ")) for line in output.splitlines()) == len(steps(found))
    assert found["plot"].startswith(b"\x89PNG\r\n")


@pytest.mark.parametrize(
    ("kiosks", "rates", "seconds"),
    [
        (1, [], 8.0),
        (4, [1.0], 8.0),
        (16, [1.0, 2.0], 16.0),
        (256, [1.0, 2.0], 40.0),
        (2, [0.0], 8.0),
    ],
)
def test_a_step_is_longer_where_people_wait_for_long(kiosks: int, rates: list[float], seconds: float) -> None:
    before = [SimpleNamespace(seen=SimpleNamespace(rate=rate)) for rate in rates]
    assert load._long_enough(8.0, kiosks, before) == seconds  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("words", "plan"),
    [
        ([], load.Plan()),
        (["--quick"], load.QUICK),
        (["--kiosks", "16,1,4", "--seconds", "20", "--rounds", "5"], load.Plan(steps=(1, 4, 16), seconds=20, rounds=5)),
    ],
)
def test_what_is_asked_for_is_measured(words: list[str], plan: load.Plan) -> None:
    assert load._plan(load._parser().parse_args(words)) == plan
