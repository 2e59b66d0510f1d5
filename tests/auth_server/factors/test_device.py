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
