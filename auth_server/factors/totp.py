"""Something you have: an RFC 6238 code of six digits and 30 s. Pure.

The caller burns the step that the evidence names (a conditional update, so that of two parallel
submissions of one code only one wins) and counts failures.
"""

import hmac
from datetime import datetime

import pyotp

from auth_server.domain import Enrolment, Evidence, Factor, Verdict

STEP_S = 30
DRIFT_STEPS = 1
"""RFC 6238 section 5.2 recommends at most one step of delay; a phone may be as much ahead."""


def step_at(now: datetime) -> int:
    """Return the RFC 6238 time step that holds `now` (aware)."""
    return int(now.timestamp()) // STEP_S


def verify(*, claim: str, enrolment: Enrolment, now: datetime) -> Verdict:
    """Accept the code of this step or of one neighbour, if it is later than the last used one.

    Evidence: `step`, the step whose code this is (None when of none), `drift_steps`, by how many
    the claimant's clock differs, and `reused`, true for a code that was right but already spent.
    """
    return _judge(Factor.TOTP, claim, enrolment.totp_secret, enrolment.totp_last_step, now)


def verify_first(*, claim: str, secret: str, now: datetime) -> Verdict:
    """Accept a code of a secret that was just handed out; evidence as `verify` gives it."""
    return _judge(Factor.NEW_TOTP, claim, secret, -1, now)


def _judge(factor: Factor, claim: str, secret: str, last_step: int, now: datetime) -> Verdict:
    current = step_at(now)
    try:
        otp = pyotp.TOTP(secret, interval=STEP_S)
        steps = [step for step in range(current - DRIFT_STEPS, current + DRIFT_STEPS + 1) if step >= 0]
        codes = [(step, otp.generate_otp(step).encode()) for step in steps]
    except ValueError:
        return Verdict(factor, passed=False, evidence={"problem": "the secret is not Base32 of 112 bits or more"})
    claimed = claim.encode("utf-8", "surrogatepass")
    # All codes are compared, so that the time taken does not tell which step was near. One code
    # may belong to two steps: the later one is taken, which spends both.
    matches = [step for step, code in codes if hmac.compare_digest(code, claimed)]
    if not matches:
        return Verdict(factor, passed=False, evidence={"step": None, "drift_steps": None, "reused": False})
    step = max(matches)
    reused = step <= last_step
    evidence: Evidence = {"step": step, "drift_steps": step - current, "reused": reused}
    return Verdict(factor, passed=not reused, evidence=evidence)
