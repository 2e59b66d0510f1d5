"""`make demo` as anybody runs it: one grant, every refusal, the chain verified."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from demo.cases import CASES
from demo.pictures import PicturesMissing, prepare


@pytest.mark.slow
def test_the_demo_performs_every_case_as_it_should(project_folder: Path, models_folder: Path):
    if models_folder != project_folder / ".cache" / "models":
        pytest.skip("the demo takes its models from .cache/models: run `make models`")
    try:
        prepare(project_folder / ".cache" / "people", models_folder)
    except PicturesMissing as error:
        pytest.skip(f"no picture of a second person, run `make demo` where pip reaches its registry: {error}")
    done = subprocess.run(
        [sys.executable, "-m", "demo"], cwd=project_folder, capture_output=True, text=True, timeout=900, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    titles = re.findall(r"^✓ +\d+ (.+)$", done.stdout, re.MULTILINE)
    assert titles == [case.title for case in CASES]
    assert "✗" not in done.stdout
    assert done.stdout.count("the person reads") == len(CASES)
    assert done.stdout.count("the audit says") == len(CASES)
    assert "The audit log is whole" in done.stdout
    assert re.search(r"^All \d+ cases ended as they should\.$", done.stdout, re.MULTILINE)
