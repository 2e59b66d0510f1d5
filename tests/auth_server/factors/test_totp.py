"""The code factor: RFC 6238, one step of drift either side, every code once."""

import base64
from datetime import UTC, datetime, timedelta

import pyotp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from auth_server.domain import Enrolment, Factor, Template
from auth_server.factors import totp
from auth_server.second_factor import step_of

RFC_SECRET = base64.b32encode(b"12345678901234567890").decode()
NOW = datetime(2026, 11, 22, 9, 30, 10, tzinfo=UTC)
STEP = totp.step_at(NOW)


def enrolment(last_step: int = 0, secret: str = RFC_SECRET) -> Enrolment:
    return Enrolment(
        username="maria",
        password_hash=b"",
        totp_secret=secret,
        totp_last_step=last_step,
        template=Template("none", b""),
        mac_addresses=frozenset(),
        enabled=True,
        face_enabled=True,
    )


def code(step: int) -> str:
    return pyotp.TOTP(RFC_SECRET).generate_otp(step)


@pytest.mark.parametrize(
    ("unix_s", "eight_digits"),
    [
        (59, "94287082"),
        (1111111109, "07081804"),
        (1111111111, "14050471"),
        (1234567890, "89005924"),
        (2000000000, "69279037"),
        (20000000000, "65353130"),
    ],
)
def test_the_vectors_of_rfc_6238_appendix_b(unix_s: int, eight_digits: str) -> None:
    now = datetime.fromtimestamp(unix_s, UTC)
    verdict = totp.verify(claim=eight_digits[-6:], enrolment=enrolment(), now=now)
    assert verdict.passed
    assert verdict.factor is Factor.TOTP
    assert verdict.evidence == {"step": unix_s // 30, "drift_steps": 0, "reused": False}


@pytest.mark.parametrize(("drift", "passed"), [(-3, False), (-2, False), (-1, True), (0, True), (1, True), (2, False)])
def test_one_step_of_drift_is_allowed_and_no_more(drift: int, passed: bool) -> None:
    verdict = totp.verify(claim=code(STEP + drift), enrolment=enrolment(), now=NOW)
    assert verdict.passed is passed
    assert verdict.evidence["drift_steps"] == (drift if passed else None)


@pytest.mark.parametrize("second", [0, 29])
def test_a_step_lasts_thirty_seconds(second: int) -> None:
    now = datetime.fromtimestamp(STEP * 30 + second, UTC)
    verdict = totp.verify(claim=code(STEP), enrolment=enrolment(), now=now)
    assert verdict.evidence["drift_steps"] == 0


@pytest.mark.parametrize(
    ("used", "submitted", "passed"),
    [
        (STEP - 1, STEP, True),
        (STEP, STEP, False),
        (STEP, STEP - 1, False),
        (STEP + 1, STEP, False),
        (STEP, STEP + 1, True),
        (STEP + 1, STEP + 1, False),
    ],
)
def test_a_code_is_good_only_after_the_last_used_one(used: int, submitted: int, passed: bool) -> None:
    verdict = totp.verify(claim=code(submitted), enrolment=enrolment(used), now=NOW)
    assert verdict.passed is passed
    assert verdict.evidence["step"] == submitted
    assert verdict.evidence["reused"] is not passed


@pytest.mark.parametrize(
    "claim",
    [
        "",
        "000000",
        "12345",
        "1234567",
        "abcdef",
        "\uff11\uff12\uff13\uff14\uff15\uff16",
        "\ud800",
        "\x00" * 6,
        "9" * 9999,
    ],
)
def test_any_other_claim_fails_without_an_exception(claim: str) -> None:
    verdict = totp.verify(claim=claim, enrolment=enrolment(), now=NOW)
    assert not verdict.passed
    assert verdict.evidence == {"step": None, "drift_steps": None, "reused": False}


def test_the_first_step_of_all_has_no_neighbour_before_it() -> None:
    start = datetime(1970, 1, 1, tzinfo=UTC)
    assert totp.verify(claim=code(0), enrolment=enrolment(-1), now=start).passed
    assert not totp.verify(claim=code(0), enrolment=enrolment(0), now=start).passed


def test_a_code_that_belongs_to_two_steps_spends_both() -> None:
    step = 153_567  # the first one for which this is so
    assert code(step) == code(step + 2)
    now = datetime.fromtimestamp((step + 1) * 30, UTC)
    assert totp.verify(claim=code(step), enrolment=enrolment(), now=now).evidence["step"] == step + 2


@pytest.mark.parametrize("secret", ["", "not base32!", "MFRGG", "A" * 31 + "1"])
def test_a_broken_secret_fails(secret: str) -> None:
    verdict = totp.verify(claim="000000", enrolment=enrolment(secret=secret), now=NOW)
    assert not verdict.passed
    assert "problem" in verdict.evidence


@given(st.text(max_size=10), st.integers(0, 2**40))
def test_no_claim_raises(claim: str, last_step: int) -> None:
    verdict = totp.verify(claim=claim, enrolment=enrolment(last_step), now=NOW)
    assert not verdict.passed or claim in {code(STEP - 1), code(STEP), code(STEP + 1)}


@given(st.integers(0, 59), st.integers(-90, 90))
def test_every_accepted_step_is_newer_than_the_last_and_near_now(second: int, claimant_off_s: int) -> None:
    now = NOW + timedelta(seconds=second)
    claimed_step = totp.step_at(now + timedelta(seconds=claimant_off_s))
    verdict = totp.verify(claim=code(claimed_step), enrolment=enrolment(STEP), now=now)
    assert verdict.passed == (claimed_step > STEP and abs(claimed_step - totp.step_at(now)) <= 1)


def test_the_verdict_holds_neither_code_nor_secret() -> None:
    text = repr(totp.verify(claim=code(STEP), enrolment=enrolment(), now=NOW))
    assert code(STEP) not in text
    assert RFC_SECRET not in text


class TestFirstCode:
    """The code that proves a secret which was just handed out."""

    @pytest.mark.parametrize(("drift", "passed"), [(-2, False), (-1, True), (0, True), (1, True), (2, False)])
    def test_one_step_of_drift_is_allowed_and_no_more(self, drift: int, passed: bool) -> None:
        verdict = totp.verify_first(claim=code(STEP + drift), secret=RFC_SECRET, now=NOW)
        assert (verdict.factor, verdict.passed) == (Factor.NEW_TOTP, passed)
        assert verdict.evidence["step"] == (STEP + drift if passed else None)

    def test_nothing_was_used_before_it(self) -> None:
        start = datetime(1970, 1, 1, tzinfo=UTC)
        verdict = totp.verify_first(claim=code(0), secret=RFC_SECRET, now=start)
        assert verdict.passed and verdict.evidence == {"step": 0, "drift_steps": 0, "reused": False}

    def test_a_code_of_the_old_secret_proves_nothing(self) -> None:
        assert not totp.verify_first(claim=code(STEP), secret=pyotp.random_base32(), now=NOW).passed

    @pytest.mark.parametrize("secret", ["", "not base32!", "MFRGG"])
    def test_a_broken_secret_fails(self, secret: str) -> None:
        assert "problem" in totp.verify_first(claim="000000", secret=secret, now=NOW).evidence

    @given(st.text(max_size=10))
    def test_the_desk_and_the_kiosk_judge_alike(self, claim: str) -> None:
        verdict = totp.verify_first(claim=claim, secret=RFC_SECRET, now=NOW)
        assert step_of(claim, RFC_SECRET, NOW) == (verdict.evidence["step"] if verdict.passed else None)
