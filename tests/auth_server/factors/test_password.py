"""The password factor: one bcrypt pass, a verdict for every claim, never an exception."""

import bcrypt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from auth_server.domain import Factor
from auth_server.factors import password

# Cost 4, the least: what is tested here does not depend on it.
HASH = bcrypt.hashpw("Correct horse é 7".encode(), bcrypt.gensalt(4))


def test_the_right_password_passes() -> None:
    verdict = password.verify(claim="Correct horse é 7", enrolment=HASH)
    assert verdict.passed
    assert verdict.factor is Factor.PASSWORD


@pytest.mark.parametrize(
    "claim",
    [
        "",
        "correct horse é 7",
        "Correct horse e\u0301 7",
        "Correct horse é 7 ",
        "Correct horse é 7\x00",
        "\x00",
        "x" * 72,
        "x" * 73,
        "é" * 5000,
        "\ud800",
    ],
)
def test_any_other_claim_fails_without_an_exception(claim: str) -> None:
    assert not password.verify(claim=claim, enrolment=HASH).passed


def test_72_bytes_are_compared_to_the_last_and_73_never_pass() -> None:
    longest = "x" * 71 + "A"
    enrolment = bcrypt.hashpw(longest.encode(), bcrypt.gensalt(4))
    assert password.verify(claim=longest, enrolment=enrolment).passed
    assert not password.verify(claim="x" * 71 + "B", enrolment=enrolment).passed
    too_long = password.verify(claim=longest + "y", enrolment=enrolment)
    assert not too_long.passed
    assert too_long.evidence == {"problem": "the claim is above 72 bytes"}


@pytest.mark.parametrize(
    "enrolment", [b"", b"hunter2", b"$2b$04$short", b"$2b$99$" + b"a" * 53, b"\xff" * 60, HASH[:-1]]
)
def test_a_broken_hash_fails(enrolment: bytes) -> None:
    assert not password.verify(claim="hunter2", enrolment=enrolment).passed


@given(st.text(max_size=100), st.binary(max_size=70))
def test_no_claim_and_no_hash_raises_or_passes_by_chance(claim: str, enrolment: bytes) -> None:
    verdict = password.verify(claim=claim, enrolment=enrolment)
    assert not verdict.passed


def test_the_verdict_does_not_hold_the_password() -> None:
    for claim in ("hunter2 hunter2", "hunter2" * 20, "hunter2\ud800"):
        assert "hunter2" not in repr(password.verify(claim=claim, enrolment=HASH))
