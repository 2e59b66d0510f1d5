"""`audit list | show | why | verify | erase | accept-restore`."""

import json

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import text

from auth_server.audit import AuditLog
from auth_server.checkpoints import Checkpoints
from auth_server.domain import AuditEntry
from auth_server.keyring import Keyring, SigningKeys, key_id
from auth_server.store.database import open_database
from tests.postgres import IN_A_FILE


def record(command, **fields) -> None:
    entry = {
        "action": "login",
        "success": False,
        "outcome_reason": "denied",
        "username": "ann",
        "kiosk_id": "lobby-1",
        "source_address": "192.0.2.7",
        "detail": {"verdicts": {"totp": {"passed": False}}},
    }
    with command.desk().site() as site:
        AuditLog(site.database).record(AuditEntry(**{**entry, **fields}), command.clock())


@pytest.fixture
def log(with_kiosk):
    """Rows 1 and 2 are administrative; then six logins, one an hour."""
    for number in range(6):
        with_kiosk.clock.pass_(hours=1)
        record(
            with_kiosk,
            username="bob" if number % 2 else "ann",
            kiosk_id="lobby-2" if number > 3 else "lobby-1",
            success=number == 5,
            outcome_reason="granted" if number == 5 else "denied",
        )
    return with_kiosk


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ([], [8, 7, 6, 5, 4, 3, 2, 1]),
        (["--limit", "3"], [8, 7, 6]),
        (["--user", "ANN"], [7, 5, 3]),
        (["--action", "login", "--kiosk", "lobby-1"], [6, 5, 4, 3]),
        (["--outcome", "failure"], [7, 6, 5, 4, 3]),
        (["--outcome", "success", "--action", "login"], [8]),
        (["--since", "2026-11-22T12:30:00Z", "--until", "2026-11-22T14:30:00Z"], [6, 5]),
        (["--since", "2026-11-22T13:30:00+01:00", "--limit", "2"], [8, 7]),
        (["--since", "2026-11-23"], []),
        (["--user", "nobody"], []),
    ],
)
def test_list_by_recency_person_kiosk_action_outcome_and_time(log, options, expected):
    assert [row["id"] for row in log.json("audit", "list", *options)["rows"]] == expected


def test_list_goes_on_beyond_a_page(log):
    with log.desk().site() as site, site.database.transaction() as session:
        for _ in range(1100):
            AuditLog(site.database).append(
                session, AuditEntry("heartbeat", True, "ok", None, "lobby-1", None, {}), log.clock()
            )
    found = log.json("audit", "list", "--until", "2026-11-22T10:00:00Z", "--limit", "5000")["rows"]
    assert [row["id"] for row in found] == [2, 1]


def test_list_for_people(log):
    lines = log("audit", "list", "--limit", "1").stdout.splitlines()
    assert lines[0].split() == ["ROW", "TIME", "NAME", "KIOSK", "ACTION", "OUTCOME", "REASON"]
    assert lines[1].split() == ["8", "2026-11-22T15:30:00+00:00", "bob", "lobby-2", "login", "success", "granted"]


def test_show_gives_one_row_whole(log):
    row = log.json("audit", "show", "3")["row"]
    assert row["detail"] == {"verdicts": {"totp": {"passed": False}}}
    assert (row["source_address"], row["reason"], len(row["row_hash"])) == ("192.0.2.7", "denied", 64)
    assert '"passed": false' in log("audit", "show", "3").stdout


HOSTILE = "ann\x1b]0;owned\x07\u202egnp.exe\r\n5  fake row"


@pytest.mark.parametrize("arguments", [("audit", "list"), ("audit", "show", "3"), ("audit", "list", "--json")])
def test_what_strangers_typed_cannot_steer_the_terminal(with_kiosk, arguments):
    record(with_kiosk, username=HOSTILE, kiosk_id=HOSTILE, outcome_reason="malformed", detail={HOSTILE: HOSTILE})
    shown = with_kiosk(*arguments).stdout
    assert not set("\x1b\x07\u202e\r") & set(shown)
    assert "5  fake row" not in [line.strip() for line in shown.splitlines()]


@pytest.mark.parametrize(
    ("arguments", "exit_code", "message"),
    [
        (["show", "99"], 1, "there is no row 99: `4auth-provision audit list` tells the newest"),
        (["show", "0"], 2, "0 is not in the range x>=1"),
        (["list", "--since", "yesterday"], 2, "a time is ISO 8601, as 2026-11-22 or 2026-11-22T09:30:00Z"),
        (["list", "--outcome", "maybe"], 2, "'maybe' is not one of 'success', 'failure'"),
        (["list", "--limit", "0"], 2, "0 is not in the range 1<=x<=100000"),
    ],
)
def test_refused(log, arguments, exit_code, message):
    result = log("audit", *arguments)
    assert result.exit_code == exit_code
    assert message in " ".join(result.stderr.split())


def test_a_whole_log_is_proved_to_its_last_signed_row(log):
    result = log("audit", "verify", "--json")
    report = json.loads(result.stdout)
    assert result.exit_code == 0
    assert (report["ok"], report["rows"], report["findings"]) == (True, 8, [])
    assert report["proved_to"] == 8 and report["unsigned_rows"] == 0
    assert "The log is whole: 8 rows" in log("audit", "verify").stdout


def tamper(command, *statements: str) -> None:
    """Somebody who has the database and its keys, but lets the checkpoints be."""
    with command.desk().site() as site, site.database.engine.begin() as connection:
        for statement in statements:
            connection.execute(text(statement))


@pytest.mark.parametrize(
    ("statements", "first_bad_row", "message"),
    [
        (["UPDATE access_logs SET success = 1 WHERE id = 5"], 5, "row 5 was changed or replaced"),
        (["UPDATE access_logs SET detail = '{}' WHERE id = 4"], 4, "row 4: its detail was changed"),
        (["DELETE FROM access_logs WHERE id = 3"], 3, "row 3 is missing: row 4 follows row 2"),
        (["DELETE FROM access_logs WHERE id = 1"], 1, "row 1 is missing"),
        (["DELETE FROM access_logs WHERE id > 6"], 7, "the log ends at row 6, but had 8 rows"),
        (["DELETE FROM access_logs"], 1, "the log ends at row 0, but had 8 rows"),
    ],
)
def test_tampering_is_found_and_exits_1(log, statements, first_bad_row, message):
    tamper(log, *statements)
    result = log("audit", "verify", "--json")
    report = json.loads(result.stdout)
    assert result.exit_code == 1
    assert not report["ok"] and report["first_bad_row"] == first_bad_row
    assert message in result.stderr


def test_a_log_whose_checkpoints_are_gone_is_not_called_proved(log):
    (log.settings.parent / "checkpoints" / "audit.jsonl").unlink()
    result = log("audit", "verify")
    assert result.exit_code == 1
    assert "there is no signed checkpoint" in result.stderr


@IN_A_FILE
def test_looking_at_a_tampered_log_signs_nothing(log):
    checkpoints = log.settings.parent / "checkpoints" / "audit.jsonl"
    before = checkpoints.read_bytes()
    folder = log.settings.parent
    database = open_database(folder / "store" / "4auth.db", Keyring.load(folder / "keys"))
    AuditLog(database).record(AuditEntry("login", True, "granted", "eve", "lobby-1", None, {}), log.clock())
    database.close()
    tamper(log, "UPDATE access_logs SET success = 1 WHERE id = 5")
    for arguments in (["audit", "verify"], ["audit", "list"], ["kiosk", "list"]):
        log(*arguments)
    assert checkpoints.read_bytes() == before


def test_an_act_on_a_cut_log_is_done_and_warned_of(log):
    tamper(log, "DELETE FROM access_logs WHERE id > 4")
    result = log("kiosk", "disable", "lobby-1", "--yes")
    assert result.exit_code == 0
    assert "warning" in result.stderr and "an older copy of the database was put back" in result.stderr


@pytest.fixture
def restored(log):
    """Eight rows were signed, a copy of four was put back, and five more logins were tried since."""
    tamper(log, "DELETE FROM access_logs WHERE id > 4")
    with log.desk().site() as site, site.database.transaction() as session:
        for _ in range(5):
            AuditLog(site.database).append(
                session, AuditEntry("login", False, "denied", "eve", "lobby-1", None, {}), log.clock()
            )
    return log


def test_an_act_on_a_log_that_outgrew_its_cut_signs_nothing(restored):
    checkpoints = restored.settings.parent / "checkpoints" / "audit.jsonl"
    before = checkpoints.read_bytes()
    result = restored("kiosk", "disable", "lobby-1", "--yes")
    assert "an older copy of the database was put back" in result.stderr
    assert "audit accept-restore" in result.stderr
    assert checkpoints.read_bytes() == before


def test_an_accepted_restore_is_audited_signed_and_told_for_ever(restored):
    accepted = restored("audit", "accept-restore", "--yes", "--json")
    assert accepted.exit_code == 0
    assert "row 8 of the audit log is not the one signed" in accepted.stderr
    told = json.loads(accepted.stdout)
    assert (told["restored"]["row"], told["given_up"]["row"], told["head"]["row"]) == (9, 8, 10)
    row = restored.json("audit", "show", "10")["row"]
    assert (row["action"], row["success"]) == ("admin.audit.accept_restore", True)
    assert row["detail"]["given_up"] == told["given_up"] and "administrator" in row["detail"]
    record(restored)
    verified = restored("audit", "verify", "--json")
    report = json.loads(verified.stdout)
    assert verified.exit_code == 0
    assert report["ok"] and report["proved_to"] == report["rows"] == 11
    assert "NOTE: checkpoint line" in verified.stderr
    assert f"rows 5 to 8 (head {told['given_up']['hash']}) was given up" in " ".join(report["notes"])


def test_a_restore_is_accepted_by_nobody_who_was_not_asked(restored):
    checkpoints = restored.settings.parent / "checkpoints" / "audit.jsonl"
    before = checkpoints.read_bytes()
    result = restored("audit", "accept-restore", typed="n\n")
    assert result.exit_code == 1
    assert "Was this database restored on purpose?" in result.stderr
    assert checkpoints.read_bytes() == before
    assert restored("audit", "verify").exit_code == 1


def test_a_whole_log_has_no_restore_to_accept(log):
    result = log("audit", "accept-restore", "--yes")
    assert result.exit_code == 1
    assert "the audit log is the one that was signed: there is no restore to accept" in result.stderr
    row = log.json("audit", "list", "--limit", "1")["rows"][0]
    assert (row["action"], row["success"]) == ("admin.audit.accept_restore", False)
    assert log("audit", "verify").exit_code == 0


def test_an_accepted_restore_that_cannot_be_signed_leaves_a_refused_row_after_its_own(restored):
    """The checkpoints' disk goes away between the row and the signature."""
    folder, time, asked = restored.settings.parent / "checkpoints", restored.clock(), []

    def clock():
        asked.append(time)
        if len(asked) == 2:
            folder.rename(folder.with_name("taken-away"))
        return time

    restored.clock = clock
    result = restored("audit", "accept-restore", "--yes")
    folder.with_name("taken-away").rename(folder)
    assert result.exit_code == 1 and "Accepted" not in result.stdout
    refused, done = restored.json("audit", "list", "--limit", "2")["rows"]
    assert done["action"] == refused["action"] == "admin.audit.accept_restore"
    assert (done["success"], refused["success"]) == (True, False)
    assert "cannot be written" in refused["detail"]["why"]
    assert restored("audit", "verify").exit_code == 1
    assert restored("audit", "accept-restore", "--yes").exit_code == 0


def test_a_list_says_how_to_see_the_page_after(log):
    first = log("audit", "list", "--limit", "3")
    assert "There are more: add --before 6" in first.stderr
    page = log.json("audit", "list", "--limit", "3", "--before", "6")
    assert [row["id"] for row in page["rows"]] == [5, 4, 3] and page["next_before"] == 3
    last = log.json("audit", "list", "--limit", "3", "--before", "3")
    assert [row["id"] for row in last["rows"]] == [2, 1] and last["next_before"] is None
    assert "There are more" not in log("audit", "list", "--limit", "8").stderr


def test_a_list_by_text(log):
    record(log, detail={"why": "50% off"})
    assert [row["id"] for row in log.json("audit", "list", "--text", "50% OFF")["rows"]] == [9]
    assert [row["id"] for row in log.json("audit", "list", "--text", "lobby-2")["rows"]] == [8, 7]
    assert log("audit", "list", "--text", "").exit_code == 2


def test_why_explains_a_row(log):
    record(log, detail={"verdicts": {"totp": {"passed": False, "step": None}}, "account": "enabled"})
    lines = log("audit", "why", "9").stdout.splitlines()
    assert "ann asked to be let in at kiosk lobby-1 from 192.0.2.7" in lines[0]
    assert "Code: failed: it belongs to no time step within 30 s of the server's clock." in lines
    assert log.json("audit", "why", "9")["why"] == lines
    assert "there is no row 99" in log("audit", "why", "99").stderr


def test_why_explains_every_row_that_the_commands_wrote(log):
    for row in log.audit_rows():
        assert log("audit", "why", row["id"]).exit_code == 0


def test_what_strangers_typed_steers_the_terminal_in_no_explanation(log):
    record(log, username="a\x1b[2Jb", detail={"why": "x\u202ey\x07"})
    assert not set(log("audit", "why", "9").stdout) & set("\x1b\x07\u202e")


def test_verify_names_the_key_and_holds_it_against_one_that_was_noted_down(log):
    told = log("audit", "verify")
    key = log.json("audit", "verify")["keys"][0]
    assert f"Audit key: {key}" in told.stdout
    assert log("audit", "verify", "--key-id", key).exit_code == 0
    result = log("audit", "verify", "--key-id", "0123456789abcdef", "--json")
    assert result.exit_code == 1 and json.loads(result.stdout)["unknown_keys"] == ["0123456789abcdef"]
    assert "it was signed by somebody else" in result.stderr
    assert log("audit", "verify", "--key-id", "no id").exit_code == 2


def test_a_key_that_was_handed_over_is_told_with_the_one_before(log):
    new = Ed25519PrivateKey.generate()
    with log.desk().site() as site:
        keys = SigningKeys.of(site.keyring.audit.current, new)
        Checkpoints(site.settings.store.checkpoints, keys).hand_over(AuditLog(site.database), new, log.clock())
        old = key_id(site.keyring.audit.current.public_key())
        report = Checkpoints(site.settings.store.checkpoints, SigningKeys.of(new)).verify(
            AuditLog(site.database).chain()
        )
    assert report.ok and report.keys == (old, key_id(new.public_key()))


class TestErase:
    """Details go by hand, after a question."""

    def test_it_asks_erases_and_is_audited(self, log):
        result = log("audit", "erase", "--before", "2026-11-22T13:00:00Z", typed="y\n")
        assert result.exit_code == 0, result.stderr
        assert "Erase the details of 5 rows, 1 to 5?" in result.stderr
        assert "The details of 5 rows were erased." in result.stdout
        rows = log.audit_rows()
        assert [row["id"] for row in rows if row["detail"] is None] == [1, 2, 3, 4, 5]
        assert (rows[-1]["action"], rows[-1]["success"]) == ("admin.audit.erase", True)
        assert rows[-1]["detail"]["rows"] == 5 and "administrator" in rows[-1]["detail"]
        verified = log("audit", "verify")
        assert verified.exit_code == 0 and "The details of 5 rows were erased" in verified.stdout

    def test_of_one_person_only(self, log):
        told = log.json("audit", "erase", "--before", "2027-01-01", "--user", "ann", "--yes")
        assert told["rows"] == 3
        assert [row["id"] for row in log.audit_rows() if row["detail"] is None] == [3, 5, 7]

    def test_a_no_changes_nothing(self, log):
        assert log("audit", "erase", "--before", "2027-01-01", typed="n\n").exit_code == 1
        assert len(log.audit_rows()) == 8 and all(row["detail"] for row in log.audit_rows())

    def test_nothing_to_erase_is_no_question(self, log):
        assert log.json("audit", "erase", "--before", "2020-01-01") == {"rows": 0}
        assert len(log.audit_rows()) == 8
