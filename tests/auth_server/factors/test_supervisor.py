"""Who may approve for others."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auth_server.admins import Role
from auth_server.domain import Factor
from auth_server.factors import supervisor


@pytest.mark.parametrize(
    ("role", "passed"), [("supervisor", True), ("admin", True), ("auditor", False), (None, False), ("", False)]
)
def test_a_role_decides(role, passed):
    verdict = supervisor.verify(role=role)
    assert (verdict.factor, verdict.passed, verdict.evidence) == (Factor.SUPERVISOR, passed, {"role": role})


@given(st.text(max_size=12))
def test_no_other_word_is_a_role(role):
    assert supervisor.verify(role=role).passed is (role in {"supervisor", "admin"})


def test_every_role_there_is_has_an_answer():
    assert {role for role in Role if supervisor.verify(role=role.value).passed} == {Role.SUPERVISOR, Role.ADMIN}
