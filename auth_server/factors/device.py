"""Where you are: the kiosk's MAC must be its own and one that the account is bound to. Pure.

A MAC identifies and never authenticates: the request's signature has already proved the kiosk,
and this factor ties the person to it.
"""

import hmac

from auth_contract.fields import canonical_mac
from auth_server.domain import Factor, Verdict


def verify(*, claim: str, enrolment: frozenset[str], kiosk_mac: str) -> Verdict:
    """Accept a MAC that is the signing kiosk's registered one and among the account's bound ones.

    Evidence: `mac`, and `is_kiosks_own` and `is_bound`, the two findings. An empty or malformed MAC,
    on either side, matches nothing.
    """
    try:
        mac = canonical_mac(claim)
    except ValueError:
        return Verdict(Factor.DEVICE, passed=False, evidence={"problem": "the claim is not a MAC address"})
    is_kiosks_own = _same(mac, kiosk_mac)
    # A list, not any(): every bound MAC is compared, whichever matches.
    is_bound = any([_same(mac, bound) for bound in enrolment])
    return Verdict(
        Factor.DEVICE,
        passed=is_kiosks_own and is_bound,
        evidence={"mac": mac, "is_kiosks_own": is_kiosks_own, "is_bound": is_bound},
    )


def verify_kiosk(*, claim: str, kiosk_mac: str) -> Verdict:
    """Accept a MAC that is the signing kiosk's registered one, whosever kiosk it is.

    Evidence: `mac` and `is_kiosks_own`. An empty or malformed MAC, on either side, matches nothing.
    """
    try:
        mac = canonical_mac(claim)
    except ValueError:
        return Verdict(Factor.KIOSK, passed=False, evidence={"problem": "the claim is not a MAC address"})
    is_kiosks_own = _same(mac, kiosk_mac)
    return Verdict(Factor.KIOSK, passed=is_kiosks_own, evidence={"mac": mac, "is_kiosks_own": is_kiosks_own})


def verify_through_gateway(*, claim: str, enrolment: frozenset[str], has_leave: bool, is_a_kiosks: bool) -> Verdict:
    """Accept a claimed MAC that the account is bound to, of a name that may come through a gateway.

    A claim proves nothing, so one of a registered kiosk's MAC is refused: that kiosk would have signed.

    Evidence: `claimed_mac`, named so because nobody signed it, and `has_leave`, `is_a_kiosks` and
    `is_bound`, the findings.
    """
    try:
        mac = canonical_mac(claim)
    except ValueError:
        return Verdict(Factor.DEVICE, passed=False, evidence={"problem": "the claim is not a MAC address"})
    is_bound = any([_same(mac, bound) for bound in enrolment])
    return Verdict(
        Factor.DEVICE,
        passed=has_leave and is_bound and not is_a_kiosks,
        evidence={"claimed_mac": mac, "has_leave": has_leave, "is_a_kiosks": is_a_kiosks, "is_bound": is_bound},
    )


def verify_gateway(*, claim: str, has_leave: bool, is_a_kiosks: bool) -> Verdict:
    """Accept a name that may come through a gateway, with a claimed MAC that is no registered kiosk's.

    Evidence: `claimed_mac`, and `has_leave` and `is_a_kiosks`, the findings.
    """
    try:
        mac = canonical_mac(claim)
    except ValueError:
        return Verdict(Factor.KIOSK, passed=False, evidence={"problem": "the claim is not a MAC address"})
    return Verdict(
        Factor.KIOSK,
        passed=has_leave and not is_a_kiosks,
        evidence={"claimed_mac": mac, "has_leave": has_leave, "is_a_kiosks": is_a_kiosks},
    )


def _same(mac: str, other: str) -> bool:
    return hmac.compare_digest(mac.encode(), other.encode("utf-8", "surrogatepass"))
