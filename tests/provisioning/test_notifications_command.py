"""`4auth-provision notifications`: what waits, trying again, and a test that says what came of it."""

import json

import pytest

from auth_server.errors import DeliveryFailed
from auth_server.notifications import OVERDUE_AFTER_S, Event, Notifications


@pytest.fixture
def notify_by(command, tmp_path):
    """Makes the site tell a program of these lines."""

    def set_program(text):
        program = tmp_path / "program"
        program.write_text(f"#!/bin/sh\n{text}\n")
        program.chmod(0o755)
        settings = command.settings.read_text() + f'\n[notify]\nkind = "command"\nargv = ["{program}"]\n'
        command.settings.write_text(settings)

    return set_program


@pytest.fixture
def waiting(command):
    """A site with two notifications, of which the first has failed once."""
    with command.desk().site() as site:
        outbox = Notifications(site.database)
        for name in ("ann", "bob"):
            with site.database.transaction() as session:
                outbox.add(session, Event.CHANGE_IN_FORCE, name, {"kiosk": "lobby-1"}, command.clock())
        outbox.failed(outbox.lease(command.clock(), 60), "the receiver answered 500", command.clock())
    return command


def test_an_empty_queue(command):
    assert command.json("notifications", "list") == {"kind": "none", "waiting": 0, "overdue": 0, "notifications": []}


def test_what_waits_is_listed_with_why(waiting):
    told = waiting.json("notifications", "list")
    assert (told["waiting"], told["overdue"]) == (2, 0)
    first, second = told["notifications"]
    assert (first["username"], first["standing"], first["tries"]) == ("ann", "failing", 1)
    assert (second["username"], second["standing"], second["tries"]) == ("bob", "waiting", 0)
    shown = waiting("notifications", "list").stdout
    assert "the receiver answered 500" in shown and 'notify.kind = "none"' in shown


def test_after_three_days_in_vain_it_is_overdue(waiting):
    waiting.clock.pass_(seconds=OVERDUE_AFTER_S)
    told = waiting.json("notifications", "list")
    assert told["overdue"] == 1
    assert [one["standing"] for one in told["notifications"]] == ["overdue", "waiting"]


def test_one_is_tried_again_at_once(waiting):
    number = waiting.json("notifications", "list")["notifications"][0]["number"]
    assert waiting.json("notifications", "retry", number)["retried"] == 1
    told = waiting.json("notifications", "list")["notifications"][0]
    assert (told["tries"], told["next_try_at"]) == (0, "2026-11-22T09:30:00+00:00")
    assert waiting.audit_rows()[-1]["action"] == "admin.notifications.retry"


def test_or_all(waiting):
    assert waiting.json("notifications", "retry")["retried"] == 2


def test_one_that_does_not_wait_is_refused(waiting):
    refused = waiting("notifications", "retry", "99")
    assert refused.exit_code == 1 and "no notification 99 waits" in refused.stderr


def test_a_test_reaches_the_receiver_past_the_queue(waiting, notify_by, tmp_path):
    notify_by(f"cat > {tmp_path}/told")
    assert waiting.json("notifications", "test") == {"kind": "command", "delivered": True}
    told = json.loads((tmp_path / "told").read_text())
    assert (told["event"], told["site"]) == ("test", "head-office")
    assert waiting.json("notifications", "list")["waiting"] == 2
    row = waiting.audit_rows()[-1]
    assert (row["action"], row["success"]) == ("admin.notifications.test", True)


def test_a_test_that_is_not_taken_says_why(command, notify_by):
    notify_by("exit 3")
    refused = command("notifications", "test")
    assert refused.exit_code == 1 and "it was not taken: the program exited with 3" in refused.stderr
    row = command.audit_rows()[-1]
    assert (row["action"], row["success"]) == ("admin.notifications.test", False)


def test_a_test_where_nobody_is_told_says_so(command):
    refused = command("notifications", "test")
    assert refused.exit_code == 1 and 'notify.kind = "none"' in refused.stderr


def test_a_program_that_cannot_run_exits_78(command, notify_by, tmp_path):
    notify_by("exit 0")
    (tmp_path / "program").unlink()
    assert command("notifications", "test").exit_code == 78


def test_a_failed_delivery_is_an_error_of_the_servers_tree():
    from auth_server.errors import AuthServerError

    assert issubclass(DeliveryFailed, AuthServerError)
