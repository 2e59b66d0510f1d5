"""Tickets by `4auth-provision user invite`: shown once, listed, taken back."""

import json
import re

import pytest

from auth_server.tickets import Tickets

TICKET = re.compile(r"([0-9A-HJKMNP-TV-Z]{4}-){3}[0-9A-HJKMNP-TV-Z]{4}")


def found(command, text):
    with command.desk().site() as site:
        return Tickets(site.database).find(text, command.clock())


def test_a_ticket_is_shown_once_and_bound_to_name_and_kiosks(with_kiosk, new_key):
    with_kiosk("kiosk", "add", "gate-2", "--public-key", new_key(), "--mac", "b8:27:eb:00:00:02")
    made = with_kiosk("user", "invite", "Bob", "--kiosk", "lobby-1", "--kiosk", "gate-2")
    assert made.exit_code == 0, made.stderr
    (text,) = {match.group() for match in TICKET.finditer(made.stdout)}
    ticket = found(with_kiosk, text)
    assert (ticket.username, ticket.mac_addresses) == ("bob", {"b8:27:eb:12:34:56", "b8:27:eb:00:00:02"})
    assert (ticket.expires_at - with_kiosk.clock()).total_seconds() == 24 * 3600
    shown = json.dumps([with_kiosk.json("user", "invites"), with_kiosk.audit_rows()])
    assert text not in shown and text.replace("-", "") not in shown


def test_json_tells_it_to_a_script(with_kiosk):
    made = with_kiosk.json("user", "invite", "bob", "--kiosk", "lobby-1", "--hours", "2")
    assert found(with_kiosk, made["ticket"]).username == "bob"
    assert (made["username"], made["kiosks"], made["expires_at"]) == ("bob", ["lobby-1"], "2026-11-22T11:30:00+00:00")
    row = with_kiosk.audit_rows()[-1]
    assert (row["action"], row["username"]) == ("admin.user.invite", "bob")
    assert row["detail"]["kiosks"] == ["lobby-1"] and row["detail"]["hours"] == 2


def test_a_new_ticket_ends_the_older_one(with_kiosk):
    old, new = (with_kiosk.json("user", "invite", "bob", "--kiosk", "lobby-1")["ticket"] for _ in "ab")
    assert found(with_kiosk, old) is None and found(with_kiosk, new) is not None


def test_tickets_are_listed_until_they_expire(with_kiosk):
    with_kiosk("user", "invite", "bob", "--kiosk", "lobby-1", "--hours", "1")
    with_kiosk("user", "invite", "carl", "--kiosk", "lobby-1", "--hours", "2")
    assert [i["username"] for i in with_kiosk.json("user", "invites")["invites"]] == ["bob", "carl"]
    assert "lobby-1" in with_kiosk("user", "invites").stdout
    with_kiosk.clock.pass_(hours=1)
    assert [i["username"] for i in with_kiosk.json("user", "invites")["invites"]] == ["carl"]


def test_a_ticket_is_taken_back_after_asking(with_kiosk):
    text = with_kiosk.json("user", "invite", "bob", "--kiosk", "lobby-1")["ticket"]
    assert with_kiosk("user", "uninvite", "bob", typed="n\n").exit_code == 1
    assert found(with_kiosk, text) is not None
    assert with_kiosk("user", "uninvite", "bob", "--yes").exit_code == 0
    assert found(with_kiosk, text) is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("invite", "ann", "--kiosk", "lobby-1"), "there is an account 'ann' already"),
        (("invite", "bob", "--kiosk", "nowhere"), "there is no kiosk nowhere"),
        (("uninvite", "bob", "--yes"), "bob has no ticket"),
    ],
)
def test_what_is_refused_leaves_a_row_and_no_ticket(with_ann, arguments, message):
    refused = with_ann("user", *arguments)
    assert refused.exit_code == 1 and message in refused.stderr
    row = with_ann.audit_rows()[-1]
    assert (row["action"], row["success"]) == (f"admin.user.{arguments[0]}", False)
    assert with_ann.json("user", "invites")["invites"] == []


def test_nobody_is_invited_to_a_disabled_kiosk(with_kiosk):
    with_kiosk("kiosk", "disable", "lobby-1", "--yes")
    refused = with_kiosk("user", "invite", "bob", "--kiosk", "lobby-1")
    assert refused.exit_code == 1 and "disabled is kiosk lobby-1" in refused.stderr


@pytest.mark.parametrize("hours", ["0", "721", "soon"])
def test_a_ticket_is_good_for_an_hour_to_thirty_days(with_kiosk, hours):
    assert with_kiosk("user", "invite", "bob", "--kiosk", "lobby-1", "--hours", hours).exit_code == 2
