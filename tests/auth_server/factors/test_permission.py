"""The leave to register: a ticket for this name, or an administrator's secret."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auth_server.domain import Factor, Granted
from auth_server.factors import permission

TICKET = Granted("ticket", "grace", "hash", frozenset({"02:00:5e:10:00:01"}))
ADMIN = Granted("admin", "grace")


@pytest.mark.parametrize(
    ("found", "ticket_name", "passed", "evidence"),
    [
        (None, None, False, {"kind": "unknown"}),
        (ADMIN, None, True, {"kind": "admin", "by": "grace"}),
        (TICKET, "ann", True, {"kind": "ticket", "by": "grace", "is_for_this_name": True}),
        (TICKET, "bob", False, {"kind": "ticket", "by": "grace", "is_for_this_name": False}),
        (TICKET, None, False, {"kind": "ticket", "by": "grace", "is_for_this_name": False}),
        (TICKET, "", False, {"kind": "ticket", "by": "grace", "is_for_this_name": False}),
    ],
)
def test_whose_leave_counts(found, ticket_name, passed, evidence):
    verdict = permission.verify(username="ann", found=found, ticket_name=ticket_name)
    assert (verdict.factor, verdict.passed, verdict.evidence) == (Factor.PERMISSION, passed, evidence)


@given(st.text(max_size=8), st.text(max_size=8) | st.none())
def test_a_ticket_is_for_exactly_one_name(username, ticket_name):
    assert permission.verify(username=username, found=TICKET, ticket_name=ticket_name).passed is (
        username == ticket_name
    )


def test_no_evidence_holds_the_tickets_hash():
    assert "hash" not in str(permission.verify(username="ann", found=TICKET, ticket_name="ann").evidence)
