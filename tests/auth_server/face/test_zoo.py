"""DeepFace's own models: any by name, where the weights are there, and never by a download."""

import socket
from pathlib import Path

import pytest

from auth_server.errors import ModelsRefused, SettingsRefused
from auth_server.face.engine import FaceEngine
from auth_server.face.pipeline import Pipeline
from auth_server.settings import FaceSettings


@pytest.fixture
def folder(models_folder: Path, tmp_path: Path) -> Path:
    """A folder of 4Auth's own models, without any weights of DeepFace's zoo."""
    for file in models_folder.glob("*.onnx"):
        (tmp_path / file.name).symlink_to(file)
    return tmp_path


class NoNetwork(Exception):
    """Somebody asked for a name or a connection."""


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise NoNetwork

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)


@pytest.mark.parametrize("name", ["ArcFace", "Facenet512", "VGG-Face", "SFace", "GhostFaceNet"])
@pytest.mark.usefixtures("no_network")
def test_weights_that_are_missing_are_named_and_not_downloaded(folder: Path, name: str) -> None:
    with pytest.raises(ModelsRefused, match=r"\.deepface/weights/[\w./-]+ is missing: the server downloads nothing"):
        Pipeline(FaceSettings(models=folder, recogniser=name))
    assert list((folder / ".deepface" / "weights").rglob("*")) == []


@pytest.mark.parametrize("name", ["yunet", "centerface"])
@pytest.mark.usefixtures("no_network")
def test_so_are_those_of_a_detector(folder: Path, name: str) -> None:
    with pytest.raises(ModelsRefused, match=r"\.deepface/weights/[\w./-]+ is missing"):
        FaceEngine(FaceSettings(models=folder, detector=name, threshold=0.5))


def test_a_package_that_a_model_needs_is_named(folder: Path) -> None:
    with pytest.raises(ModelsRefused, match=r"'Buffalo_L': DeepFace could not load it: .*insightface"):
        Pipeline(FaceSettings(models=folder, recogniser="Buffalo_L"))


def test_a_name_that_deepface_does_not_know_is_refused_with_those_it_knows(folder: Path) -> None:
    with pytest.raises(SettingsRefused, match=r"'ArcFaces': DeepFace has no such model; it has .*ArcFace"):
        Pipeline(FaceSettings(models=folder, recogniser="ArcFaces"))
