"""The model files: trusted by checksum alone, whole or not there, and nothing else is ever written."""

import hashlib
import io
import os
import resource
import stat
import tarfile
from pathlib import Path

import pytest

from auth_vision import models
from auth_vision.errors import ModelsRefused
from auth_vision.models import ModelFile, ModelSource

ONE, TWO = b"first model", b"second model"
FILES = {"package/model/one.onnx": ONE, "package/model/two.onnx": TWO, "package/model/unused.onnx": b"x"}


def archive_of(path: Path, files: dict[str, bytes], links: dict[str, str] | None = None) -> Path:
    with tarfile.open(path, "w:gz") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
        for name, target in (links or {}).items():
            member = tarfile.TarInfo(name)
            member.type, member.linkname = tarfile.SYMTYPE, target
            tar.addfile(member)
    return path


def source_of(archive: Path) -> ModelSource:
    one, two = (
        ModelFile(name, hashlib.sha256(content).hexdigest(), len(content))
        for name, content in (("one.onnx", ONE), ("two.onnx", TWO))
    )
    return ModelSource("made-up@1.0.0", hashlib.sha256(archive.read_bytes()).hexdigest(), (one, two), "MIT")


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    return archive_of(tmp_path / "archive.tgz", FILES)


def test_exactly_the_named_files_are_installed_and_the_second_fetch_does_nothing(tmp_path: Path, archive: Path) -> None:
    folder, said = tmp_path / "deep" / "models", list[str]()
    models.fetch(folder, archive, said.append, source_of(archive))
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == {"one.onnx": ONE, "two.onnx": TWO}
    assert all(stat.S_IMODE(path.stat().st_mode) == 0o644 for path in folder.iterdir())
    assert len(said) == 2
    before = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    models.fetch(folder, tmp_path / "not needed", said.append, source_of(archive))
    assert {path: path.stat().st_mtime_ns for path in folder.iterdir()} == before
    assert said[-1] == f"All 2 model files are in {folder} already."


def test_a_changed_file_is_named_and_replaced(tmp_path: Path, archive: Path) -> None:
    folder, source = tmp_path / "models", source_of(archive)
    models.fetch(folder, archive, source=source)
    (folder / "two.onnx").write_bytes(b"another model")
    (folder / "one.onnx").unlink()
    with pytest.raises(ModelsRefused, match=r"one\.onnx: is missing; two\.onnx: has SHA-256 .*models fetch"):
        models.check(folder, source)
    models.fetch(folder, archive, source=source)
    models.check(folder, source)


def test_an_archive_with_another_checksum_is_not_opened(tmp_path: Path, archive: Path) -> None:
    source = source_of(archive)
    archive.write_bytes(archive.read_bytes() + b"\0")
    with pytest.raises(ModelsRefused, match=r"it is not made-up@1\.0\.0"):
        models.fetch(tmp_path / "models", archive, source=source)
    assert not (tmp_path / "models").exists()


def test_a_folder_that_cannot_be_made_is_refused_in_a_sentence(tmp_path: Path, archive: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(ModelsRefused, match=r"cannot be put into .*Not a directory: name a folder"):
        models.fetch(tmp_path / "file" / "models", archive, source=source_of(archive))


def test_a_full_disk_is_refused_in_a_sentence_and_leaves_no_part_of_a_file(tmp_path: Path, archive: Path) -> None:
    """The disk is played by the limit of a file's size, which the kernel answers by an error of its own."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4, hard))
    try:
        with pytest.raises(ModelsRefused, match=r"cannot be put into .*File too large: name a folder"):
            models.fetch(tmp_path / "models", archive, source=source_of(archive))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list((tmp_path / "models").iterdir()) == []


def test_an_absent_archive_is_named(tmp_path: Path, archive: Path) -> None:
    with pytest.raises(ModelsRefused, match=r"nowhere\.tgz: No such file"):
        models.fetch(tmp_path / "models", tmp_path / "nowhere.tgz", source=source_of(archive))


@pytest.mark.parametrize(
    ("files", "links"),
    [
        pytest.param({"package/model/one.onnx": ONE}, {}, id="a file is missing"),
        pytest.param({**FILES, "package/model/two.onnx": TWO + b"!"}, {}, id="a file is longer"),
        pytest.param({**FILES, "package/model/two.onnx": b"another one!"}, {}, id="a file is another"),
        pytest.param({"package/model/one.onnx": ONE}, {"package/model/two.onnx": "/etc/passwd"}, id="a link outside"),
        pytest.param({"package/model/one.onnx": ONE}, {"package/model/two.onnx": "one.onnx"}, id="a link inside"),
    ],
)
def test_an_archive_that_holds_something_else_is_refused(
    tmp_path: Path, files: dict[str, bytes], links: dict[str, str]
) -> None:
    archive = archive_of(tmp_path / "archive.tgz", files, links)
    with pytest.raises(ModelsRefused, match=r"two\.onnx in .* is not the file"):
        models.fetch(tmp_path / "models", archive, source=source_of(archive))
    assert not (tmp_path / "models" / "two.onnx").exists()


def test_paths_in_an_archive_are_never_written_to(tmp_path: Path) -> None:
    hostile = {"../escaped": b"x", "/tmp/4auth-escaped": b"x", "package/../../escaped": b"x"}  # noqa: S108
    archive = archive_of(tmp_path / "archive.tgz", {**hostile, **FILES})
    models.fetch(tmp_path / "site" / "models", archive, source=source_of(archive))
    assert sorted(path.name for path in tmp_path.rglob("*")) == [
        "archive.tgz",
        "models",
        "one.onnx",
        "site",
        "two.onnx",
    ]
    assert not Path("/tmp/4auth-escaped").exists()  # noqa: S108


class FakeNpm:
    """An npm on PATH that runs this shell script; `$archive` is what the registry would send."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
        folder.mkdir()
        program = folder / "npm"
        program.write_text(f'#!/bin/sh\necho "$@" > {folder}/arguments\n{script}\n')
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
        self.arguments = folder / "arguments"


def test_npm_is_asked_for_the_package_by_name_and_runs_no_script_of_it(
    tmp_path: Path, archive: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    npm = FakeNpm(tmp_path / "bin", monkeypatch, f'for last; do :; done; cp {archive} "$last/made-up-1.0.0.tgz"')
    models.fetch(tmp_path / "models", source=source_of(archive))
    models.check(tmp_path / "models", source_of(archive))
    asked = npm.arguments.read_text().split()
    assert asked[:2] == ["pack", "made-up@1.0.0"]
    assert "--ignore-scripts" in asked
    assert not Path(asked[-1]).exists(), "the temporary folder is left behind"


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("echo 'E404 no such package' >&2; exit 1", r"exit 1\): E404 no such package"),
        ("exit 0", "npm left 0 archives"),
        ('for last; do :; done; echo other > "$last/made-up.tgz"', "it is not made-up"),
    ],
)
def test_what_npm_could_not_do_is_said(
    tmp_path: Path, archive: Path, monkeypatch: pytest.MonkeyPatch, script: str, message: str
) -> None:
    FakeNpm(tmp_path / "bin", monkeypatch, script)
    with pytest.raises(ModelsRefused, match=message):
        models.fetch(tmp_path / "models", source=source_of(archive))
    assert not (tmp_path / "models").exists()


def test_the_installed_models_are_the_pinned_ones(models_folder: Path) -> None:
    models.check(models_folder)
    assert {file.name for file in models.SOURCE.files} == {
        "fr_detect.onnx", "fr_landmark.onnx", "fr_pose.onnx", "fr_eye.onnx", "fr_feature.onnx", "fr_liveness.onnx"
    }  # fmt: skip
