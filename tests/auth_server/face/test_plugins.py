"""The engine is DeepFace: its tables hold the plug-ins, and its own functions work with them."""

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from auth_server import face
from auth_server.errors import ModelsRefused, SettingsRefused
from auth_server.face import plugins, runtime
from auth_server.face.engine import FaceEngine
from auth_server.face.frames import decode_frame
from auth_server.face.pipeline import Pipeline
from auth_server.settings import FaceSettings
from auth_vision import errors as vision_errors
from auth_vision import models, sessions
from auth_vision.geometry import CHIP_SIZE, align

PACKAGE = Path(face.__file__).parent


def child(code: str, *arguments: str, **environment: str) -> str:
    """Run a program of its own; return what it printed."""
    kept = {name: value for name, value in os.environ.items() if name not in {"ORT_DISABLE_TELEMETRY", "DEEPFACE_HOME"}}
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        env=kept | {"PYTHONPATH": str(PACKAGE.parent.parent), "PYTHONDONTWRITEBYTECODE": "1"} | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout


def linked(models_folder: Path, folder: Path) -> Path:
    """A folder with the same models, into which DeepFace may write."""
    folder.mkdir()
    for file in models_folder.glob("*.onnx"):
        (folder / file.name).symlink_to(file.resolve())
    return folder


@pytest.mark.parametrize("task", ["face_detector", "facial_recognition", "spoofing"])
def test_deepface_builds_each_plugin_once(engine: FaceEngine, task: str) -> None:
    assert engine.model.startswith("4auth-")
    built = runtime.modeling.build_model(task, "4auth")
    assert type(built).__module__ == plugins.__name__
    assert runtime.modeling.build_model(task, "4auth") is built


def test_landmarks_follow_deepfaces_convention(engine: FaceEngine, portrait: bytes) -> None:
    assert engine.model.startswith("4auth-")
    (region,) = runtime.modeling.build_model("face_detector", "4auth").detect_faces(decode_frame(portrait, "frames.0"))
    assert region.left_eye[0] > region.nose[0] > region.right_eye[0], "left is the person's own left"
    assert region.mouth_left[0] > region.mouth_right[0]
    assert region.x < region.nose[0] < region.x + region.w
    assert region.left_eye[1] < region.nose[1] < region.mouth_left[1] < region.y + region.h
    assert region.confidence > 0.99


def test_the_recogniser_gets_rgb_as_it_was_trained_in_two_views(engine: FaceEngine, models_folder: Path) -> None:
    bgr = np.random.default_rng(4).integers(0, 255, (CHIP_SIZE, CHIP_SIZE, 3), dtype=np.uint8)
    session = sessions.load_session(models_folder, models.FEATURE)
    expected = np.zeros(512)
    face = bgr[8:120, 8:120].astype(np.float32)
    for view in (face, 255 * (face / 255) ** (np.log(118 / 255) / np.log(face.mean() / 255))):
        rgb = (view[..., ::-1].astype(np.float32) - 127) / 128
        one = sessions.run(session, np.ascontiguousarray(rgb.transpose(2, 0, 1)[None]))[0][0]
        expected += one / np.linalg.norm(one)
    found = runtime.modeling.build_model("facial_recognition", "4auth").forward(bgr / np.float32(255))
    assert engine.embedding_size == len(found)
    assert np.linalg.norm(found) == pytest.approx(1)
    assert found @ expected / np.linalg.norm(expected) > 0.9999


@pytest.mark.parametrize("share", [0.0, 0.15, 0.5, 1.0, 1.6, 3.0])
def test_even_light_is_the_same_for_a_face_in_any_light(astronaut: np.ndarray, share: float) -> None:
    dim = np.clip(astronaut[60:172, 170:282] * share, 0, 255)
    even = plugins.in_even_light(dim)
    assert even.shape == dim.shape and np.isfinite(even).all()
    assert 0 <= even.min() and even.max() <= 255
    if 0.5 <= share <= 1.0:
        assert even.mean() == pytest.approx(118, abs=20)


def test_a_batch_is_its_pictures_one_by_one(engine: FaceEngine) -> None:
    chips = np.random.default_rng(4).random((3, CHIP_SIZE, CHIP_SIZE, 3), dtype=np.float32)
    recogniser = runtime.modeling.build_model("facial_recognition", "4auth")
    assert engine.embedding_size == 512
    assert recogniser.forward(chips) == [recogniser.forward(chip) for chip in chips]


def test_deepfaces_own_call_gives_the_embedding_that_the_server_compares(
    engine: FaceEngine, models_folder: Path, astronaut: np.ndarray
) -> None:
    assert engine.model.startswith("4auth-")
    pipeline = Pipeline(FaceSettings(models=models_folder))
    picture = np.ascontiguousarray(astronaut[:, :, ::-1])
    (face,) = pipeline.faces(picture)
    chip = align(picture, face.points)
    assert np.allclose(pipeline.embed_by_deepface(chip), pipeline.embed(picture, face), atol=1e-6)


@pytest.mark.parametrize("degrees", [0, -20, 30])
def test_deepfaces_own_call_finds_and_aligns_a_face_nearly_as_the_server_does(
    engine: FaceEngine, models_folder: Path, astronaut: np.ndarray, degrees: int
) -> None:
    """It turns a face by its eyes alone and cuts it out by whole pixels, in a picture with a black border."""
    assert engine.model.startswith("4auth-")
    turn = cv2.getRotationMatrix2D((225, 110), degrees, 1) + np.array([[0, 0, 31], [0, 0, 146]])
    picture = np.ascontiguousarray(cv2.warpAffine(astronaut, turn, (512, 512))[:, :, ::-1])
    pipeline = Pipeline(FaceSettings(models=models_folder))
    (face,) = pipeline.faces(picture)
    (one,) = runtime.represent(picture, model_name="4auth", detector_backend="4auth")
    assert one["face_confidence"] == round(face.confidence, 2)
    assert 1 - np.asarray(one["embedding"]) @ pipeline.embed(picture, face) < 0.02


@pytest.mark.parametrize("shape", [(301, 400), (400, 301), (40, 40), (3, 3)])
def test_a_face_is_where_it_is_also_in_a_picture_with_deepfaces_border(
    engine: FaceEngine, astronaut: np.ndarray, shape: tuple[int, int]
) -> None:
    assert engine.model.startswith("4auth-")
    detector = runtime.modeling.build_model("face_detector", "4auth")
    picture = np.ascontiguousarray(astronaut[: shape[0], 50 : 50 + shape[1], ::-1])
    y, x = (int(0.5 * side) for side in picture.shape[:2])
    within = detector.detect_faces(picture)
    bordered = detector.detect_faces(np.pad(picture, ((y, y), (x, x), (0, 0))))
    assert len(within) == len(bordered) == (min(shape) > 100)
    for one, other in zip(within, bordered, strict=True):
        assert np.allclose(one.face.points + np.array([x, y]), other.face.points, atol=0.5)


BY_DEEPFACE = """
import json, sys
from pathlib import Path
from auth_server.face import plugins
from auth_server.face.frames import decode_frame
plugins.register(Path(sys.argv[1]))
picture = decode_frame(Path(sys.argv[2]).read_bytes(), "frames.0")
from deepface import DeepFace
(one,) = DeepFace.represent(picture, model_name="4auth", detector_backend="4auth", align=False)
print(json.dumps(one))
"""


def test_deepface_represents_with_the_plugins_and_prints_nothing(
    models_folder: Path, portrait: bytes, tmp_path: Path
) -> None:
    (tmp_path / "portrait.jpg").write_bytes(portrait)
    folder = linked(models_folder, tmp_path / "models")
    out = child(BY_DEEPFACE, str(folder), str(tmp_path / "portrait.jpg"), HOME=str(tmp_path / "home"))
    found = json.loads(out)
    assert len(found["embedding"]) == 512
    assert found["face_confidence"] > 0.99
    assert not (tmp_path / "home").exists()


AT_WORK = """
import sys
from pathlib import Path
from auth_server.face.engine import FaceEngine
from auth_server.settings import FaceSettings
engine = FaceEngine(FaceSettings(models=sys.argv[1]))
assert engine.observe([Path(sys.argv[2]).read_bytes()]).template
"""


def test_nothing_is_written_and_nothing_printed(models_folder: Path, portrait: bytes, tmp_path: Path) -> None:
    (tmp_path / "portrait.jpg").write_bytes(portrait)
    places = {
        name: tmp_path / name for name in ("HOME", "TMPDIR", "XDG_CACHE_HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME")
    }
    for place in places.values():
        place.mkdir()
    before = {path.name for path in models_folder.iterdir()}
    out = child(
        AT_WORK,
        str(models_folder),
        str(tmp_path / "portrait.jpg"),
        **{name: str(place) for name, place in places.items()},
    )
    assert out == ""
    assert [path for place in places.values() for path in place.rglob("*")] == []
    assert {path.name for path in models_folder.iterdir()} == before


def imports_of(path: Path) -> set[str]:
    tree = ast.parse(path.read_text())
    named = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    named |= {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    return {name.split(".")[0] for name in named}


def test_only_the_runtime_imports_what_reads_the_environment() -> None:
    importers = {path.name for path in PACKAGE.glob("*.py") if imports_of(path) & {"onnxruntime", "deepface"}}
    assert importers == {"runtime.py"}
    vision = Path(sessions.__file__).parent
    assert {path.name for path in vision.glob("*.py") if "onnxruntime" in imports_of(path)} == {"sessions.py"}


@pytest.mark.parametrize("name", sorted(file.name for file in models.SOURCE.files))
def test_each_model_that_is_missing_stops_the_start(models_folder: Path, tmp_path: Path, name: str) -> None:
    folder = linked(models_folder, tmp_path / "models")
    (folder / name).unlink()
    with pytest.raises(ModelsRefused, match=rf"{name}: is missing; run"):
        FaceEngine(FaceSettings(models=folder))


def test_a_missing_model_stops_the_start(tmp_path: Path) -> None:
    with pytest.raises(ModelsRefused, match=r"fr_detect\.onnx: is missing.*4auth-provision models fetch"):
        FaceEngine(FaceSettings(models=tmp_path))


def test_a_changed_model_is_never_loaded(models_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "fr_detect.onnx").write_bytes((models_folder / "fr_detect.onnx").read_bytes() + b"\0")
    with pytest.raises(vision_errors.ModelsRefused, match=r"fr_detect\.onnx has SHA-256"):
        sessions.load_session(tmp_path, models.DETECT)


@pytest.mark.parametrize(
    ("chosen", "message"),
    [
        ({"recogniser": "ArcFace"}, "face.threshold is not set.*'ArcFace'"),
        ({"recogniser": "no such", "threshold": 0.4}, "face.recogniser = 'no such': DeepFace has no.*ArcFace"),
        ({"detector": "no such", "threshold": 0.4}, "face.detector = 'no such': DeepFace has no.*yunet"),
    ],
)
def test_settings_that_cannot_work_are_refused(models_folder: Path, chosen: dict[str, object], message: str) -> None:
    with pytest.raises(SettingsRefused, match=message):
        FaceEngine(FaceSettings(models=models_folder, **chosen))


class Recogniser:
    """A recogniser of somebody else in DeepFace's table: another input size, grey mean per row."""

    input_shape = (40, 50)

    def forward(self, img: np.ndarray) -> list[float]:
        assert img.shape == (1, 50, 40, 3)
        return img.mean(axis=(0, 2, 3)).tolist()


class Detector:
    """A detector that gives boxes only, as several of DeepFace's do."""

    def detect_faces(self, img: np.ndarray) -> list[object]:
        found = runtime.modeling.build_model("face_detector", "4auth").detect_faces(img)
        boxes = [region.face.box for region in found]
        return [
            runtime.FacialAreaRegion(x=int(box.x), y=int(box.y), w=int(box.width), h=int(box.height)) for box in boxes
        ]


def test_any_model_in_deepfaces_tables_can_be_chosen(
    models_folder: Path, portrait: bytes, engine: FaceEngine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for task, plugin in (("facial_recognition", Recogniser), ("face_detector", Detector)):
        monkeypatch.setitem(
            runtime.modeling.AVAILABLE_MODELS[task], "theirs", {"any": f"{plugin.__module__}.{plugin.__name__}"}
        )
        monkeypatch.setitem(runtime.modeling.cached_models[task], "theirs", plugin())
    folder = linked(models_folder, tmp_path / "models")
    other = FaceEngine(FaceSettings(models=folder, recogniser="theirs", detector="theirs", threshold=0.25))
    assert (other.model, other.threshold, other.embedding_size) == ("deepface-theirs", 0.25, 50)
    seen = other.observe([portrait])
    assert seen.template is not None
    assert len(seen.template.embedding) == 4 * 50
