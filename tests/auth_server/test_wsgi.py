"""The command `4auth-server`: what it says of its settings, and when it refuses to start."""

import json
import shutil
import socket
import subprocess
import sys
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from demo.site import command, free_port, toml
from provisioning.tls import make_identity

EX_CONFIG = 78


@dataclass
class Installed:
    """Everything that a server needs on the disk but for the models."""

    folder: Path
    members: dict[str, Any]

    def run(self, *words: str, **changes: Any) -> subprocess.CompletedProcess[str]:
        """Run the command with these settings; `changes` replace whole sections."""
        settings = self.folder / "server.toml"
        settings.write_text(toml({**self.members, **changes}))
        return subprocess.run(
            [command("4auth-server"), "--settings", str(settings), *words],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def files(self) -> set[str]:
        """What stands in the folder."""
        return {str(path.relative_to(self.folder)) for path in self.folder.rglob("*")} - {"server.toml"}


@pytest.fixture
def installed(tmp_path: Path, keys_folder: Path, empty_database_file: Path) -> Installed:
    made = make_identity("test", "127.0.0.1", datetime.now(UTC))
    (tmp_path / "server.crt").write_bytes(made.certificate_pem)
    (tmp_path / "server.key").touch(mode=0o600)
    (tmp_path / "server.key").write_bytes(made.key_pem)
    shutil.copytree(keys_folder, tmp_path / "keys")
    (tmp_path / "store").mkdir()
    shutil.copy(empty_database_file, tmp_path / "store" / "4auth.db")
    members = {
        "site": "test",
        "environment": "development",
        "listen": {
            "host": "127.0.0.1",
            "port": free_port(),
            "tls_certificate": str(tmp_path / "server.crt"),
            "tls_key": str(tmp_path / "server.key"),
            "workers": 1,
        },
        "health": {"port": free_port()},
        "store": {
            "database": str(tmp_path / "store" / "4auth.db"),
            "keys": str(tmp_path / "keys"),
            "checkpoints": str(tmp_path / "audit.jsonl"),
        },
        "face": {"models": str(tmp_path / "models")},
    }
    return Installed(tmp_path, members)


def test_help_has_an_example():
    done = subprocess.run([command("4auth-server"), "--help"], capture_output=True, text=True, check=True)
    assert "example: 4auth-server --settings" in done.stdout


@pytest.mark.parametrize("code", ["0", "1", "78"])
def test_help_tells_the_exit_codes(code):
    done = subprocess.run([command("4auth-server"), "--help"], capture_output=True, text=True, check=True)
    assert f"\n  {code} " in done.stdout.partition("exit codes:")[2]


def test_dump_config_prints_all_settings_in_effect_and_nothing_else(installed):
    done = installed.run("--dump-config")
    shown = json.loads(done.stdout)
    assert (done.returncode, done.stderr) == (0, "")
    assert (shown["listen"]["threads"], shown["face"]["presence"]) == (8, "both")


def test_check_config_says_that_all_is_usable_and_changes_nothing(installed, models_folder):
    before = installed.files()
    done = installed.run("--check-config", face={"models": str(models_folder)})
    assert (done.returncode, json.loads(done.stdout)["usable"]) == (0, True)
    assert installed.files() == before


def test_check_config_tells_a_site_without_movements_what_that_costs(installed, models_folder):
    done = installed.run("--check-config", face={"models": str(models_folder), "presence": "passive"})
    assert "nobody is asked to move" in json.loads(done.stdout)["warnings"][0]
    done = installed.run("--check-config", face={"models": str(models_folder), "presence": "both"})
    assert "warnings" not in json.loads(done.stdout)


def test_a_refused_setting_ends_with_78_and_names_field_value_and_rule(installed):
    done = installed.run(log_level="chatty")
    assert (done.returncode, done.stdout) == (EX_CONFIG, "")
    assert "log_level = 'chatty'" in done.stderr
    assert "Traceback" not in done.stderr


def test_production_does_not_start_without_the_real_face_check(installed):
    done = installed.run(environment="production", face={"models": "models", "presence": "off"})
    assert done.returncode == EX_CONFIG
    assert "lets a photograph pass" in done.stderr


def remove_a_key(installed, models):
    (installed.folder / "keys" / "field.keys").unlink()
    return "field.keys"


def remove_all_keys(installed, models):
    shutil.rmtree(installed.folder / "keys")
    return "key folder"


def open_a_key_to_all(installed, models):
    (installed.folder / "keys" / "audit.pem").chmod(0o644)
    return "audit.pem"


def remove_the_database(installed, models):
    (installed.folder / "store" / "4auth.db").unlink()
    return "there is no database"


def spoil_the_database(installed, models):
    (installed.folder / "store" / "4auth.db").write_bytes(b"not a database" * 1000)
    return "does not open"


def remove_a_model(installed, models):
    (models / "fr_feature.onnx").unlink()
    return "fr_feature.onnx: is missing"


def change_a_model(installed, models):
    with (models / "fr_liveness.onnx").open("r+b") as file:
        file.seek(1000)
        file.write(b"changed")
    return "fr_liveness.onnx: has SHA-256"


def remove_the_certificate(installed, models):
    (installed.folder / "server.crt").unlink()
    return "listen.tls_certificate"


def spoil_the_tls_key(installed, models):
    (installed.folder / "server.key").write_text("no key")
    return "listen.tls_key"


def open_the_tls_key_to_all(installed, models):
    (installed.folder / "server.key").chmod(0o644)
    return "server.key has mode 0644"


@pytest.mark.parametrize(
    "spoil",
    [
        remove_a_key,
        remove_all_keys,
        open_a_key_to_all,
        remove_the_database,
        spoil_the_database,
        remove_a_model,
        change_a_model,
        remove_the_certificate,
        spoil_the_tls_key,
        open_the_tls_key_to_all,
    ],
)
def test_what_is_missing_or_changed_ends_with_78_and_nothing_is_made_in_its_place(
    installed, models_folder, tmp_path, spoil
):
    models = tmp_path / "models"
    shutil.copytree(models_folder, models)
    named = spoil(installed, models)
    before = installed.files()
    done = installed.run()
    assert (done.returncode, done.stdout) == (EX_CONFIG, ""), done.stderr
    assert named in done.stderr
    assert "Traceback" not in done.stderr
    assert installed.files() == before


@pytest.mark.parametrize("words", [("--check-config",), ()])
def test_a_database_that_does_not_answer_is_no_reason_not_to_try_again(installed, models_folder, words):
    """As after a power cut, when this machine is up before the database's."""
    away = {"kind": "postgresql", "hosts": [f"127.0.0.1:{free_port()}"]}
    store = {**installed.members["store"], "database": away}
    done = installed.run(*words, store=store, face={"models": str(models_folder)})
    assert (done.returncode, done.stdout) == (1, ""), done.stderr
    assert done.stderr.startswith("4auth-server: the database fourauth on 127.0.0.1:")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("environment", "threshold", "code"),
    [("production", 1.99, EX_CONFIG), ("production", 0.5, 0), ("development", 1.99, 0)],
)
def test_production_lets_in_no_more_strangers_than_was_measured(installed, models_folder, environment, threshold, code):
    face = {"models": str(models_folder), "threshold": threshold}
    done = installed.run("--check-config", face=face, environment=environment)
    assert done.returncode == code, done.stderr
    assert ("face.threshold = 1.99" in done.stderr) == (code == EX_CONFIG)


@pytest.mark.parametrize("words", [("--check-config",), ()])
@pytest.mark.parametrize(
    ("chosen", "said"),
    [
        ({"recogniser": "Nope"}, "face.recogniser = 'Nope': DeepFace has no such model; it has 4auth"),
        ({"detector": "Nope"}, "face.detector = 'Nope': DeepFace has no such model"),
        ({"recogniser": "Dlib"}, "no calibration is known for face.recogniser = 'Dlib'"),
    ],
)
def test_a_model_that_cannot_be_used_is_named_before_any_worker_is_made(installed, models_folder, words, chosen, said):
    done = installed.run(*words, face={"models": str(models_folder), **chosen})
    assert (done.returncode, done.stdout) == (EX_CONFIG, "")
    assert done.stderr.startswith("4auth-server: ")
    assert said in done.stderr


def test_names_are_checked_without_loading_a_model_before_the_fork(models_folder):
    program = (
        "import sys; from pathlib import Path; from auth_server.face import engine, runtime; "
        "from auth_server.settings import FaceSettings; engine.check(FaceSettings(models=Path(sys.argv[1]))); "
        "sys.exit(hasattr(runtime.modeling, 'cached_models'))"  # DeepFace makes it with the first model
    )
    done = subprocess.run([sys.executable, "-c", program, str(models_folder)], capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.slow
def test_what_only_a_worker_finds_ends_the_command_with_its_sentence_and_78(installed, models_folder, tmp_path):
    """DeepFace knows this recogniser and lacks its library, which shows when it is loaded."""
    models = tmp_path / "models"
    shutil.copytree(models_folder, models)
    done = installed.run(face={"models": str(models), "recogniser": "Dlib", "threshold": 0.1})
    assert done.returncode == EX_CONFIG, done.stderr
    assert "\n4auth-server: face.recogniser = 'Dlib': DeepFace could not load it" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    ("section", "said", "code"), [("listen", "Connection in use", 1), ("health", "health.port", EX_CONFIG)]
)
def test_a_port_in_use_is_named_and_the_server_ends(installed, models_folder, section, said, code):
    with closing(socket.create_server(("127.0.0.1", 0))) as holder:
        port = holder.getsockname()[1]
        changes = {section: {**installed.members[section], "port": port}}
        done = installed.run(**{"face": {"models": str(models_folder)}, **changes})
    assert done.returncode == code
    assert "Traceback" not in done.stderr
    assert said in done.stderr
    assert str(port) in done.stderr
