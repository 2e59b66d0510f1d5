"""When: the kiosk's UTC clock may differ from the server's by at most 120 s. Pure.

It is a factor beside the attempt's nonce, which is what stops a replay.
"""

from datetime import datetime, timedelta

from auth_contract.limits import CLOCK_SKEW_MAX_S
from auth_server.domain import Factor, Verdict


def verify(*, claim: datetime, now: datetime, max_skew_s: int = CLOCK_SKEW_MAX_S) -> Verdict:
    """Accept a timestamp at most `max_skew_s` seconds before or after `now`, both aware.

    Evidence: `skew_s`, positive when the kiosk's clock is ahead.
    """
    if claim.utcoffset() is None:
        return Verdict(Factor.CLOCK, passed=False, evidence={"problem": "the timestamp has no offset"})
    skew = claim - now
    return Verdict(
        Factor.CLOCK,
        passed=abs(skew) <= timedelta(seconds=max_skew_s),
        evidence={"skew_s": round(skew.total_seconds(), 3)},
    )
