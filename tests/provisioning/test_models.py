"""`models fetch | check`: what the command says of folders; the fetching itself is tested with the face engine."""

import json
import shutil


def test_the_right_models_pass_and_fetch_leaves_them_alone(command, models_folder):
    assert command.json("models", "check", "--folder", models_folder) == {"models": str(models_folder), "ok": True}
    fetched = command("models", "fetch", "--folder", models_folder)
    assert fetched.exit_code == 0 and "already" in fetched.stdout


def test_a_changed_model_exits_78_and_is_named(command, models_folder, tmp_path):
    folder = tmp_path / "models"
    shutil.copytree(models_folder, folder)
    with (folder / "fr_feature.onnx").open("ab") as file:
        file.write(b"\0")
    result = command("models", "check", "--folder", folder, "--json")
    assert result.exit_code == 78
    assert json.loads(result.stdout)["error"]["kind"] == "ModelsRefused"
    assert "fr_feature.onnx: has SHA-256" in result.stderr


def test_the_folder_of_the_settings_is_checked_by_default(command):
    result = command("models", "check")
    assert result.exit_code == 78
    assert f"models in {command.settings.parent / 'models'}: fr_detect.onnx: is missing" in result.stderr


def test_another_archive_is_refused_and_nothing_is_installed(command, tmp_path):
    archive = tmp_path / "other.tgz"
    archive.write_bytes(b"not the package")
    result = command("models", "fetch", "--folder", tmp_path / "models", "--archive", archive)
    assert result.exit_code == 78
    assert "it is not faceplugin-face-recognition-js@0.0.1" in result.stderr
    assert not list((tmp_path / "models").glob("*.onnx"))
