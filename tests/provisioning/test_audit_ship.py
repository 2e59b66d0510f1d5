"""`audit ship` and `audit verify --shipped`: nothing twice, nothing left out, and proved where there is no site."""

import json
import os
import shutil
import signal
from pathlib import Path

import pytest

import provisioning.audit_ship as shipping
from auth_server.audit import AuditLog
from auth_server.checkpoints import Checkpoints
from auth_server.domain import AuditEntry
from auth_server.keyring import Keyring
from auth_server.store.database import open_database


@pytest.fixture
def to(tmp_path) -> Path:
    folder = tmp_path / "shipped"
    folder.mkdir()
    return folder


def happen(command, count: int, *, is_signed: bool = True) -> None:
    """So many rows more, as a server writes them: it signs from time to time."""
    settings = command.desk().settings
    keyring = Keyring.load(settings.store.keys)
    database = open_database(settings.store.database, keyring)
    try:
        log = AuditLog(database)
        for number in range(count):
            command.clock.pass_(seconds=1)
            log.record(AuditEntry("login", False, "denied", "ann", "lobby-1", None, {"n": number}), command.clock())
        if is_signed:
            Checkpoints(settings.store.checkpoints, keyring.audit).write(log, command.clock())
    finally:
        database.close()


def head(command) -> int:
    with command.desk().site() as site:
        return AuditLog(site.database).head().sequence


def rows_in(folder: Path) -> list[int]:
    """The rows of all files, in the order of their names."""
    lines = [line for path in sorted(folder.glob("audit-*")) for line in path.read_text().splitlines()]
    return [row["id"] for row in map(json.loads, lines) if row["kind"] == "row"]


def test_each_run_ships_what_is_new_and_all_of_it(with_kiosk, to):
    for count in (1, 5, 3):
        happen(with_kiosk, count)
        told = with_kiosk.json("audit", "ship", "--to", to)
        assert Path(told["file"]).stat().st_mode & 0o777 == 0o600
        assert told["last"]["row"] == head(with_kiosk)
    assert rows_in(to) == list(range(1, head(with_kiosk) + 1))
    assert len(list(to.iterdir())) == 3, "and nothing else lies there"


def test_where_nothing_is_new_nothing_is_written(with_kiosk, to):
    happen(with_kiosk, 2)
    with_kiosk.json("audit", "ship", "--to", to)
    before = sorted(to.iterdir())
    assert with_kiosk.json("audit", "ship", "--to", to)["file"] is None
    assert sorted(to.iterdir()) == before


def test_what_no_checkpoint_has_signed_waits(with_kiosk, to):
    happen(with_kiosk, 2)
    signed = head(with_kiosk)
    happen(with_kiosk, 3, is_signed=False)
    with_kiosk.json("audit", "ship", "--to", to)
    assert rows_in(to) == list(range(1, signed + 1)) and head(with_kiosk) == signed + 3
    happen(with_kiosk, 1)
    with_kiosk.json("audit", "ship", "--to", to)
    assert rows_in(to) == list(range(1, head(with_kiosk) + 1))


def test_older_files_may_be_taken_away(with_kiosk, to, tmp_path):
    """The newest says where to go on."""
    for _ in range(2):
        happen(with_kiosk, 2)
        with_kiosk.json("audit", "ship", "--to", to)
    sorted(to.iterdir())[0].rename(tmp_path / "elsewhere")
    happen(with_kiosk, 2)
    with_kiosk.json("audit", "ship", "--to", to)
    assert rows_in(to)[-1] == head(with_kiosk)
    told = with_kiosk("audit", "verify", "--shipped", to)
    assert told.exit_code == 0 and "are not here" in told.stderr


def test_a_log_that_does_not_go_on_from_what_was_shipped_is_refused(with_kiosk, to):
    happen(with_kiosk, 2)
    with_kiosk.json("audit", "ship", "--to", to)
    (newest,) = to.iterdir()
    lines = newest.read_text().splitlines(keepends=True)
    lines[0] = lines[0].replace(json.loads(lines[0])["last"]["hash"], "0" * 64)
    newest.write_text("".join(lines))
    happen(with_kiosk, 2)
    told = with_kiosk("audit", "ship", "--to", to)
    assert told.exit_code == 1 and "does not go on from" in told.stderr and "ship to a new folder" in told.stderr
    assert list(to.iterdir()) == [newest]


STEPS = ("write_chained", "flush_file", "digest_of", "part_name", "link", "flush_folder")


def killed_after(command, to: Path, step: str) -> None:
    """Ship in a process that ends itself, by SIGKILL, when a step is done."""
    child = os.fork()
    if child == 0:
        module = os if step == "link" else shipping
        real = getattr(module, step)

        def and_die(*words, **named):
            real(*words, **named)
            os.kill(os.getpid(), signal.SIGKILL)

        setattr(module, step, and_die)
        try:
            command("audit", "ship", "--to", to)
        finally:
            os._exit(1)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("is_first", [True, False], ids=["first", "later"])
def test_killed_after_any_step_the_next_run_leaves_nothing_out_and_writes_nothing_twice(with_kiosk, to, step, is_first):
    happen(with_kiosk, 3)
    if not is_first:
        with_kiosk.json("audit", "ship", "--to", to)
        happen(with_kiosk, 2)
    killed_after(with_kiosk, to, step)
    whole = [path for path in to.iterdir() if path.name.startswith("audit-")]
    for path in whole:
        assert with_kiosk("audit", "verify", "--export", path).exit_code == 0, "what is there is whole"
    happen(with_kiosk, 2)
    with_kiosk.json("audit", "ship", "--to", to)
    assert rows_in(to) == list(range(1, head(with_kiosk) + 1))
    assert all(path.name.startswith("audit-") for path in to.iterdir()), "nothing of the killed run is left"
    assert with_kiosk.json("audit", "verify", "--shipped", to)["ok"]


# --- the proof


@pytest.fixture
def shipped(with_kiosk, to, tmp_path):
    """Three files, on a machine that has no site."""
    for count in (2, 3, 4):
        happen(with_kiosk, count)
        with_kiosk.json("audit", "ship", "--to", to)
    with_kiosk.settings = tmp_path / "nowhere" / "server.toml"
    return with_kiosk


def test_shipped_files_are_proved_by_the_public_key_alone(shipped, to):
    report = shipped.json("audit", "verify", "--shipped", to)
    rows = rows_in(to)
    assert report["ok"] and (report["rows"], report["proved_to"], report["head"]["row"]) == (
        len(rows),
        rows[-1],
        rows[-1],
    )
    assert shipped("audit", "verify", "--shipped", to, "--key-id", report["keys"][-1]).exit_code == 0
    assert shipped("audit", "verify", "--shipped", to, "--key-id", "0123456789abcdef").exit_code == 1


def test_after_a_new_audit_key_they_are_proved_too(with_kiosk, to, tmp_path):
    happen(with_kiosk, 2)
    with_kiosk.json("audit", "ship", "--to", to)
    with_kiosk.json("keys", "add", "audit")
    with_kiosk.json("keys", "rotate", "audit", "--yes")
    happen(with_kiosk, 2)
    with_kiosk.json("audit", "ship", "--to", to)
    report = with_kiosk.json("audit", "verify", "--shipped", to)
    assert report["ok"] and len(report["keys"]) == 2


def middle(to: Path) -> Path:
    return sorted(to.iterdir())[1]


def cut(to: Path) -> None:
    path = middle(to)
    path.write_bytes(path.read_bytes()[:-20])


def edit(to: Path) -> None:
    path = middle(to)
    path.write_text(path.read_text().replace('"denied"', '"wanted"', 1))


def rename(to: Path) -> None:
    path = middle(to)
    path.rename(to / path.name.replace("-00000000000", "-00000000001", 1))


def twice(to: Path) -> None:
    first, second, _ = sorted(to.iterdir())
    name = second.name.split("-")
    name[3] = first.name.split("-")[3]
    second.unlink()
    shutil.copy(first, to / "-".join(name))


@pytest.mark.parametrize(
    ("tamper", "words"),
    [
        (lambda to: middle(to).unlink(), "are missing: no file here holds them"),
        (cut, "its SHA-256 is not the one in its name"),
        (edit, "its SHA-256 is not the one in its name"),
        (rename, "holds other rows than its name does"),
        (twice, "holds other rows than its name does"),
    ],
    ids=["gone", "cut", "edited", "renamed", "twice"],
)
def test_what_was_done_to_them_is_found(shipped, to, tamper, words):
    tamper(to)
    told = shipped("audit", "verify", "--shipped", to)
    assert told.exit_code != 0 and words in told.stderr + told.output


def test_another_sites_file_between_them_is_found(shipped, to):
    """Whole in itself, and with a name that fits."""
    second = middle(to)
    lines = second.read_text().splitlines(keepends=True)
    header = json.loads(lines[0])
    lines[0] = json.dumps({**header, "site": "another"}) + "\n"
    second.write_text("".join(lines))
    name = second.name.rpartition("-")[0] + "-" + shipping.digest_of(second) + ".jsonl"
    second.rename(to / name)
    told = shipped("audit", "verify", "--shipped", to)
    assert told.exit_code == 1 and "of another site" in told.stderr


def test_a_folder_without_any_is_refused(shipped, tmp_path):
    (tmp_path / "empty").mkdir()
    told = shipped("audit", "verify", "--shipped", tmp_path / "empty")
    assert told.exit_code == 1 and "holds no shipped file" in told.stderr
