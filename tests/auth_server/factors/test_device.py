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
    # As it is registered, however it was spelt: so a row is found by it.
    assert verdict.evidence == {"mac": claim.replace("-", ":").lower(), **evidence}


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
    judged = {"mac": claim.replace("-", ":").lower(), "is_kiosks_own": passed}
    assert (verdict.factor, verdict.passed, verdict.evidence) == (Factor.KIOSK, passed, judged)


@pytest.mark.parametrize("nothing", ["", "00:00:00:00:00:00", "None", "ff:ff:ff:ff:ff:ff", "\ud800", "02:00:5e:10:00"])
def test_nothing_is_no_kiosk(nothing: str) -> None:
    verdict = device.verify_kiosk(claim=nothing, kiosk_mac=nothing)
    assert not verdict.passed and "problem" in verdict.evidence


@given(st.text(max_size=20), st.text(max_size=20))
def test_no_text_raises_or_is_a_kiosk_by_accident(claim: str, kiosk_mac: str) -> None:
    assert not device.verify_kiosk(claim=claim, kiosk_mac=kiosk_mac).passed


@pytest.mark.parametrize(
    ("has_leave", "is_a_kiosks", "is_bound"),
    [(True, False, True), (False, False, True), (True, True, True), (True, False, False), (False, True, False)],
)
def test_what_a_gateway_is_told_is_a_claim_and_is_named_one(has_leave: bool, is_a_kiosks: bool, is_bound: bool) -> None:
    standing = {"has_leave": has_leave, "is_a_kiosks": is_a_kiosks}
    bound = frozenset({OTHER} if is_bound else {THIRD})
    person = device.verify_through_gateway(claim=OTHER.upper(), enrolment=bound, **standing)
    assert person.passed is (has_leave and is_bound and not is_a_kiosks)
    assert person.evidence == {"claimed_mac": OTHER, **standing, "is_bound": is_bound}
    gateway = device.verify_gateway(claim=OTHER.upper(), **standing)
    assert gateway.passed is (has_leave and not is_a_kiosks)
    assert gateway.evidence == {"claimed_mac": OTHER, **standing}


@pytest.mark.parametrize("nothing", ["", "None", "\ud800", "02:00:5e:10:00"])
def test_what_is_no_mac_passes_no_gateway_and_stands_in_no_row(nothing: str) -> None:
    person = device.verify_through_gateway(
        claim=nothing, enrolment=frozenset({nothing}), has_leave=True, is_a_kiosks=False
    )
    for verdict in (person, device.verify_gateway(claim=nothing, has_leave=True, is_a_kiosks=False)):
        assert not verdict.passed
        assert verdict.evidence == {"problem": "the claim is not a MAC address"}
