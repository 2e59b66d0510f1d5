"""Something you know: the password against its bcrypt hash. Pure."""

import bcrypt

from auth_contract.limits import PASSWORD_MAX_BYTES
from auth_server.domain import Factor, Verdict


def verify(*, claim: str, enrolment: bytes) -> Verdict:
    """Compare a password, in NFC, with a bcrypt hash, in constant time.

    It costs one bcrypt pass (0.2 s at cost 12), whether or not it matches. A claim that bcrypt
    would cut (above 72 bytes) or that is no Unicode text fails with its `problem` as evidence.
    """
    try:
        password = claim.encode()
    except UnicodeEncodeError:
        return Verdict(Factor.PASSWORD, passed=False, evidence={"problem": "the claim is not Unicode text"})
    if len(password) > PASSWORD_MAX_BYTES:
        # bcrypt 5 raises here and older ones compare the first 72 bytes only: neither may decide.
        problem = f"the claim is above {PASSWORD_MAX_BYTES} bytes"
        return Verdict(Factor.PASSWORD, passed=False, evidence={"problem": problem})
    try:
        passed = bcrypt.checkpw(password, enrolment)
    except ValueError:
        return Verdict(Factor.PASSWORD, passed=False, evidence={"problem": "the stored hash is not bcrypt"})
    return Verdict(Factor.PASSWORD, passed=passed)
