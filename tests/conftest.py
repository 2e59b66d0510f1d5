"""What every test may rely on: where models and pictures lie, and a quiet onnxruntime."""

import os
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

from tests import postgres

# Before anything imports onnxruntime, which would write a device id to the disk.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

PROJECT = Path(__file__).resolve().parent.parent

# Two shared cores make single examples slow now and then, which says nothing about the code.
hypothesis.settings.register_profile("project", deadline=None, print_blob=True)
hypothesis.settings.register_profile("ci", deadline=None, print_blob=True, derandomize=True)
hypothesis.settings.register_profile("nightly", deadline=None, print_blob=True)
hypothesis.settings.load_profile("ci" if os.environ.get("CI") else "project")


@pytest.fixture(scope="session")
def project_folder() -> Path:
    """The root of the source tree."""
    return PROJECT


@pytest.fixture(scope="session")
def models_folder() -> Path:
    """The face models that `make models` fetches, or a skip that says so."""
    folder = Path(os.environ.get("FOURAUTH_MODELS", PROJECT / ".cache" / "models"))
    if not (folder / "fr_detect.onnx").is_file():
        pytest.skip(f"no face models in {folder}: run `make models`, or set FOURAUTH_MODELS")
    return folder


@pytest.fixture(scope="session")
def test_data() -> Path:
    """The pictures and videos that lie beside the project, or a skip that says so."""
    folder = Path(os.environ.get("FOURAUTH_TEST_DATA", PROJECT.parent / "shared" / "data"))
    if not (folder / "lfw" / "pairs.txt").is_file():
        pytest.skip(f"no test pictures in {folder}: set FOURAUTH_TEST_DATA to the folder that holds lfw/ and liveness/")
    return folder


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[postgres.Server]:
    """A PostgreSQL server of the tests' own, or a skip that says why there is none."""
    if (why := postgres.lacking()) is not None:
        pytest.skip(why)
    with postgres.running() as server:
        yield server
