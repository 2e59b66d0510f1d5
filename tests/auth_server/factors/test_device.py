"""The device factor: the kiosk's own MAC, and one that the account is bound to."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auth_server.domain import Factor
from auth_server.factors import device

KIOSK = "02:00:5e:10:00:01"
OTHER = "02:00:5e:10:00:02"
THIRD = "02:00:5e:10:00:03"


@pytest.mark.parametrize(
    ("claim", "bound", "kiosk_mac", "evidence"),
    [
        (KIOSK, {KIOSK}, KIOSK, {"is_kiosks_own": True, "is_bound": True}),
        (KIOSK, {OTHER, KIOSK, THIRD}, KIOSK, {"is_kiosks_own": True, "is_bound": True}),
        ("02-00-5E-10-00-01", {KIOSK}, KIOSK, {"is_kiosks_own": True, "is_bound": True}),
        (KIOSK, {OTHER}, KIOSK, {"is_kiosks_own": True, "is_bound": False}),
        (KIOSK, set(), KIOSK, {"is_kiosks_own": True, "is_bound": False}),
        (OTHER, {OTHER}, KIOSK, {"is_kiosks_own": False, "is_bound": True}),
        (OTHER, {THIRD}, KIOSK, {"is_kiosks_own": False, "is_bound": False}),
    ],
)
def test_both_must_hold(claim: str, bound: set[str], kiosk_mac: str, evidence: dict[str, bool]) -> None:
    verdict = device.verify(claim=claim, enrolment=frozenset(bound), kiosk_mac=kiosk_mac)
    assert verdict.factor is Factor.DEVICE
    assert verdict.passed is all(evidence.values())
    assert verdict.evidence == evidence


@pytest.mark.parametrize("nothing", ["", "00:00:00:00:00:00", "None", "ff:ff:ff:ff:ff:ff", "\ud800", "02:00:5e:10:00"])
def test_nothing_equals_nothing(nothing: str) -> None:
    verdict = device.verify(claim=nothing, enrolment=frozenset({nothing}), kiosk_mac=nothing)
    assert not verdict.passed


@given(st.text(max_size=20), st.frozensets(st.text(max_size=20)), st.text(max_size=20))
def test_no_text_raises(claim: str, bound: frozenset[str], kiosk_mac: str) -> None:
    assert not device.verify(claim=claim, enrolment=bound, kiosk_mac=kiosk_mac).passed


@pytest.mark.parametrize(
    ("claim", "kiosk_mac", "passed"),
    [
        (KIOSK, KIOSK, True),
        ("02-00-5E-10-00-01", KIOSK, True),
        (OTHER, KIOSK, False),
        (KIOSK, OTHER, False),
        (KIOSK, "", False),
    ],
)
def test_a_kiosk_is_its_own_whosever_it_is(claim: str, kiosk_mac: str, passed: bool) -> None:
    verdict = device.verify_kiosk(claim=claim, kiosk_mac=kiosk_mac)
    assert (verdict.factor, verdict.passed, verdict.evidence) == (Factor.KIOSK, passed, {"is_kiosks_own": passed})


@pytest.mark.parametrize("nothing", ["", "00:00:00:00:00:00", "None", "ff:ff:ff:ff:ff:ff", "\ud800", "02:00:5e:10:00"])
def test_nothing_is_no_kiosk(nothing: str) -> None:
    verdict = device.verify_kiosk(claim=nothing, kiosk_mac=nothing)
    assert not verdict.passed and "problem" in verdict.evidence


@given(st.text(max_size=20), st.text(max_size=20))
def test_no_text_raises_or_is_a_kiosk_by_accident(claim: str, kiosk_mac: str) -> None:
    assert not device.verify_kiosk(claim=claim, kiosk_mac=kiosk_mac).passed
