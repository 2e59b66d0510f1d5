"""`face evaluate | liveness | calibrate | compare`: on a handful of made-up pictures, which every machine can have."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import skimage.data
from click.testing import CliRunner
from PIL import Image

from provisioning.__main__ import cli

PROJECT = Path(__file__).resolve().parents[2]

PAIRS = "1\t2\nada\t1\t2\nada\t1\t3\nada\t1\tbea\t1\nada\t2\tbea\t2\n"


def pictures() -> Iterator[tuple[str, Image.Image]]:
    """A portrait in the public domain as four pictures of one person, and pulled wide as two of another."""
    portrait = Image.fromarray(skimage.data.astronaut()).crop((90, 0, 380, 290))
    yield "ada_0001", portrait
    yield "ada_0002", portrait.point(lambda grey: int(grey * 0.8))
    yield "ada_0003", portrait.rotate(6, Image.Resampling.BICUBIC).crop((20, 20, 270, 270))
    yield "ada_0004", portrait.resize((250, 250))
    yield "bea_0001", portrait.resize((420, 290))
    yield "bea_0002", portrait.resize((400, 290)).point(lambda grey: int(grey * 0.9))
    yield "cat_0001", Image.fromarray(np.full((250, 250, 3), 128, np.uint8))


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with pairs.txt and images/, in LFW's form."""
    folder = tmp_path_factory.mktemp("people")
    for name, picture in pictures():
        home = folder / "images" / name.partition("_")[0]
        home.mkdir(parents=True, exist_ok=True)
        picture.save(home / f"{name}.jpg", quality=92)
    (folder / "pairs.txt").write_text(PAIRS)
    return folder


@pytest.fixture
def measured(people: Path, models_folder: Path) -> tuple[str | Path, ...]:
    """The arguments that measure those people without a site."""
    return ("--pairs", people / "pairs.txt", "--images", people / "images", "--models", models_folder, "--jobs", "1")


class TestEvaluate:
    def test_it_counts_what_it_was_given(self, command, measured) -> None:
        told = command.json("face", "evaluate", *measured)
        assert (told["pictures"], told["people"], told["genuine_comparisons"]) == (7, 2, 2)
        assert told["failure_to_enrol"] == {"errors": 1, "trials": 7, "rate": 0.143, "low": 0.00361, "high": 0.579}
        assert told["refused_by_quality"] == {"no_face": 1}
        assert told["stranger_comparisons"] == {"one_each": 1, "every": 8}
        assert told["in_use"]["fnmr"]["errors"] == 0
        assert told["in_use"]["fnmr_two_enrolled"]["later"]["trials"] == 2
        assert told["operating_points"]["1e-4"] == {"seen": None, "claimed": None}
        assert told["lfw_accuracy"]["is_held_out"] is False

    def test_it_tells_a_person_the_same(self, command, measured) -> None:
        told = command("face", "evaluate", *measured).stdout
        assert "7 pictures of 2 people" in told
        assert "No face found (failure to enrol): 14.3 % (0.361 to 57.9; 1 of 7)" in told
        assert re.search(r"login, now +0\.\d{4} ", told)
        assert "FMR 1e-6 claimed  -" in told

    def test_it_reads_no_settings_where_models_are_named(self, command, measured) -> None:
        command.settings.unlink()
        assert command("face", "evaluate", *measured).exit_code == 0

    def test_without_them_it_takes_the_sites_own(self, command, people) -> None:
        result = command("face", "evaluate", "--pairs", people / "pairs.txt", "--images", people / "images")
        assert result.exit_code == 78 and "fr_detect.onnx: is missing" in result.stderr

    def test_processes_find_what_one_does(self, command, measured) -> None:
        alone, together = (command.json("face", "evaluate", *measured, "--jobs", jobs) for jobs in ("1", "2"))
        assert alone == together

    def test_a_second_run_looks_at_nothing_again(self, command, measured, tmp_path, monkeypatch) -> None:
        from auth_server.face import survey

        first = command.json("face", "evaluate", *measured, "--work", tmp_path / "work")

        def look_again(*_: object) -> None:
            raise AssertionError("a picture was looked at twice")

        monkeypatch.setattr(survey, "_look", look_again)
        assert command.json("face", "evaluate", *measured, "--work", tmp_path / "work") == first

    def test_a_killed_run_is_gone_on_with(self, people, models_folder, tmp_path) -> None:
        crowd = tmp_path / "images" / "ada"
        crowd.mkdir(parents=True)
        source = (people / "images" / "ada" / "ada_0001.jpg").read_bytes()
        for number in range(1, 61):  # bytes after a JPEG's end make another file of the same picture
            (crowd / f"ada_{number:04d}.jpg").write_bytes(source + bytes([number]))
        (tmp_path / "images" / "bea").symlink_to(people / "images" / "bea")
        work = tmp_path / "work"
        words = [sys.executable, "-m", "provisioning", "face", "evaluate", "--json", "--jobs", "2"]
        words += ["--pairs", str(people / "pairs.txt"), "--images", str(tmp_path / "images")]
        words += ["--models", str(models_folder), "--work", str(work)]
        running = subprocess.Popen(words, cwd=PROJECT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        while running.poll() is None and lines(work) < 5:
            os.sched_yield()
        running.send_signal(signal.SIGKILL)
        running.wait()
        assert running.stderr is not None
        running.stderr.close()
        before = lines(work)
        assert 5 <= before < 62
        done = subprocess.run(words, cwd=PROJECT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["pictures"] == 62
        (file,) = work.glob("pictures-*.jsonl")
        keys = [json.loads(line)["key"] for line in file.read_text().splitlines() if line.endswith("}")]
        assert len(keys) == len(set(keys)) == 62  # what stood there before was not looked at again

    @pytest.mark.parametrize(
        ("pairs", "said"),
        [
            ("ada 1 9\n", "a pair names ada 9, and there is no such picture"),
            ("ada 1\n", "line 1: a pair is"),
            ("2 300\nada 1 2\n", "its first line announces 1200"),
        ],
    )
    def test_what_does_not_fit_is_refused_in_a_sentence(self, command, people, measured, tmp_path, pairs, said) -> None:
        (tmp_path / "pairs.txt").write_text(pairs)
        result = command("face", "evaluate", *measured, "--pairs", tmp_path / "pairs.txt")
        assert result.exit_code == 1
        assert said in result.stderr and "Traceback" not in result.stderr

    def test_an_unknown_recogniser_is_named(self, command, measured) -> None:
        result = command("face", "evaluate", *measured, "--recogniser", "Nope")
        assert result.exit_code == 78 and "DeepFace has no such model" in result.stderr


def lines(work: Path) -> int:
    return sum(path.read_bytes().count(b"\n") for path in work.glob("*.jsonl"))


_OUTSIDE = re.compile(
    r"""(?:src|href|action|data|poster)\s*=\s*(?!["']?data:)|url\(|@import|<script|<link|<iframe|//\w""", re.IGNORECASE
)


@pytest.fixture(scope="module")
def page(people, models_folder, tmp_path_factory) -> str:
    """A report of those people."""
    path = tmp_path_factory.mktemp("report") / "report.html"
    words = ["face", "evaluate", "--pairs", people / "pairs.txt", "--images", people / "images", "--jobs", "1"]
    result = CliRunner().invoke(cli, [*map(str, words), "--models", str(models_folder), "--report", str(path)])
    assert result.exit_code == 0, result.stderr
    assert f"The report is in {path}" in result.stdout
    return path.read_text()


class TestReport:
    def test_nothing_of_it_lies_outside(self, page) -> None:
        assert _OUTSIDE.findall(re.sub(r"base64,[A-Za-z0-9+/=]+", "", page)) == []
        assert "default-src 'none'" in page

    def test_it_draws_the_curve_the_spread_and_the_calibration_in_use(self, page) -> None:
        assert page.count("<svg") == 3
        assert "false match rate (FMR)" in page and "false non-match rate (FNMR)" in page
        assert page.count("login, now: 0.5") == 2

    def test_it_shows_the_worst_pairs(self, page) -> None:
        assert page.count('class="pair"') == 2 + 8
        assert page.count('src="data:image/jpeg;base64,') == 20
        assert "$" not in re.sub(r"base64,[A-Za-z0-9+/=]+", "", page)

    def test_a_name_cannot_write_into_it(self, command, people, models_folder, tmp_path) -> None:
        home = tmp_path / "images" / "<b>x"
        home.mkdir(parents=True)
        for number in (1, 2):
            source = people / "images" / "ada" / f"ada_000{number}.jpg"
            (home / f"<b>x_000{number}.jpg").write_bytes(source.read_bytes())
        (tmp_path / "images" / "bea").symlink_to(people / "images" / "bea")
        (tmp_path / "pairs.txt").write_text("<b>x 1 2\n")
        path = tmp_path / "report.html"
        words = ("--pairs", tmp_path / "pairs.txt", "--images", tmp_path / "images", "--models", models_folder)
        assert command("face", "evaluate", *words, "--jobs", "1", "--report", path).exit_code == 0
        assert "<b>x" not in path.read_text() and "&lt;b&gt;x" in path.read_text()


class TestCompare:
    def test_one_person_is_explained(self, command, people, models_folder) -> None:
        pair = [people / "images" / "ada" / f"ada_000{number}.jpg" for number in (1, 2)]
        told = command.json("face", "compare", *pair, "--models", models_folder)
        assert told["is_match"] is True and told["distance"] < 0.1 < told["threshold"]
        assert told["false_match_rate"] is None and told["rarity"].startswith("No stranger of the calibration")
        assert told["verdict"].startswith("One person")
        assert [look["code"] for look in told["pictures"]] == [None, None]
        words = command("face", "compare", *pair, "--models", models_folder).stdout
        assert "login would say" in words and "good" in words and told["verdict"] in words

    def test_a_picture_without_a_face_has_no_verdict(self, command, people, models_folder) -> None:
        pair = (people / "images" / "ada" / "ada_0001.jpg", people / "images" / "cat" / "cat_0001.jpg")
        told = command.json("face", "compare", *pair, "--models", models_folder)
        assert told["is_match"] is told["distance"] is None
        assert told["verdict"] == "No verdict: a picture shows no face."
        assert told["pictures"][1]["code"] == "no_face"

    def test_what_is_no_picture_is_refused(self, command, people, models_folder, tmp_path) -> None:
        (tmp_path / "a.jpg").write_text("no picture")
        good = people / "images" / "ada" / "ada_0001.jpg"
        result = command("face", "compare", good, tmp_path / "a.jpg", "--models", models_folder)
        assert result.exit_code == 1 and "is not a picture" in result.stderr


class TestLiveness:
    @pytest.fixture
    def still(self, people: Path, tmp_path: Path) -> Callable[[str], Path]:
        def put(name: str) -> Path:
            path = tmp_path / name
            path.write_bytes((people / "images" / "ada" / "ada_0001.jpg").read_bytes())
            return path

        return put

    def test_a_still_picture_passes_no_sequence_of_movements(self, command, models_folder, still, tmp_path) -> None:
        still("print-1.jpg")
        words = ("--attack", tmp_path / "print-*", "--models", models_folder, "--jobs", "1", "--movements", "2")
        told = command.json("face", "liveness", *words)
        assert (told["sequences"], told["movements"]) == (18, 2)
        for layer in ("active", "both"):
            rates = told["layers"][layer]["attacks"]["kinds"]["print"]
            assert (rates["passed"], rates["shown"]) == (0, 18)
        table = command("face", "liveness", *words).stdout
        assert "By movements alone (active):" in table and "0 of 18" in table

    def test_its_report_is_whole_in_itself(self, command, models_folder, still, tmp_path) -> None:
        still("print-1.jpg")
        still("live-1.jpg")
        path = tmp_path / "report.html"
        words = ("--attack", tmp_path / "print-*", "--live", tmp_path / "live-*", "--models", models_folder)
        assert command("face", "liveness", *words, "--jobs", "1", "--movements", "2", "--report", path).exit_code == 0
        page = path.read_text()
        assert _OUTSIDE.findall(page) == [] and page.count("<svg") == 1 and "print-1.jpg" in page

    @pytest.mark.parametrize(
        ("words", "code", "said"),
        [
            ((), 1, "name recordings by --live GLOB or --attack GLOB"),
            (("--live", "no-such-*"), 1, "no-such-* names no file"),
            (("--species", "("), 2, "it is no regular expression"),
        ],
    )
    def test_what_names_nothing_is_refused(self, command, models_folder, words, code, said) -> None:
        result = command("face", "liveness", *words, "--models", models_folder)
        assert (result.exit_code, said in result.stderr) == (code, True)

    def test_a_file_that_is_no_video_is_refused_by_its_name(self, command, models_folder, tmp_path) -> None:
        (tmp_path / "live-1.mp4").write_text("no video")
        result = command("face", "liveness", "--live", tmp_path / "live-*", "--models", models_folder, "--jobs", "1")
        assert result.exit_code == 1 and "neither a JPEG nor a video" in result.stderr


class TestCalibrate:
    def test_two_people_calibrate_nothing_and_write_nothing(self, command, measured, tmp_path) -> None:
        to = tmp_path / "calibration.json"
        result = command("face", "calibrate", *measured, "--to", to)
        assert result.exit_code == 1 and "8 comparisons of 2 people cannot show" in result.stderr
        assert not to.exists()

    @pytest.mark.parametrize(
        "words", [(), ("--live", "x"), ("--attack", "x"), ("--pairs", PROJECT / "README.md"), ("--images", PROJECT)]
    )
    def test_half_a_measurement_is_wrong_usage(self, command, models_folder, tmp_path, words) -> None:
        result = command("face", "calibrate", *words, "--models", models_folder, "--to", tmp_path / "c.json")
        assert result.exit_code == 2 and "measure the match by --pairs and --images" in result.stderr

    def test_presence_is_measured_and_the_match_stays(self, command, models_folder, people, tmp_path) -> None:
        from auth_server.face.calibration import load

        portrait = Image.open(people / "images" / "ada" / "ada_0001.jpg")
        portrait.save(tmp_path / "live-1.jpg")
        screen = Image.new("RGB", (640, 480), (20, 20, 24))
        screen.paste(portrait.resize((200, 200)).rotate(8, expand=True), (200, 120))
        screen.save(tmp_path / "attack-1.jpg")
        to = tmp_path / "calibration.json"
        words = ("--live", tmp_path / "live-*", "--attack", tmp_path / "attack-*", "--to", to, "--data", "made up")
        result = command("face", "calibrate", *words, "--models", models_folder, "--jobs", "1")
        if result.exit_code:  # an astronaut on a made-up screen may look as real as before
            assert "at no threshold up to 0.95" in result.stderr
            assert not to.exists()
            return
        found = load(to)
        assert found.document["match"] == load().document["match"]
        assert found.document["presence"]["data"] == "made up"
        assert found.document["presence"]["attacks"]["presentations"] == 1


def test_no_other_command_waits_for_the_face_libraries() -> None:
    program = "import sys, provisioning.__main__; sys.exit(bool({'deepface', 'onnxruntime', 'cv2'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", program], cwd=PROJECT, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
