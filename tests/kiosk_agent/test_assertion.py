"""The proof before the door: every way in which an assertion may be wrong."""

from datetime import UTC, datetime, timedelta

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from auth_client.errors import ServerUnavailable
from kiosk_agent.assertion import AssertionVerifier
from kiosk_agent.errors import AssertionRefused

NOW = datetime(2026, 11, 22, 9, 30, tzinfo=UTC)
NONCE = "N" * 22
SECONDS = int(NOW.timestamp())


class KeySet:
    """A server's key set that counts how often it is asked for."""

    def __init__(self, assertions) -> None:
        self.document = assertions.jwks()
        self.fetched = 0

    def fetch(self):
        self.fetched += 1
        return self.document


@pytest.fixture
def keys(assertions) -> KeySet:
    return KeySet(assertions)


@pytest.fixture
def verifier(keys) -> AssertionVerifier:
    return AssertionVerifier(keys.fetch, site="lab", kiosk_id="front-door")


def verify(verifier: AssertionVerifier, token: str, now: datetime = NOW):
    return verifier.verify(token, username="alice", nonce=NONCE, now=now)


def test_a_good_assertion_proves_the_login(verifier, assertions) -> None:
    token = assertions.token()
    proof = verify(verifier, token)
    assert (proof.username, proof.jti, proof.token) == ("alice", "j-1", token)
    assert token not in repr(proof)


@pytest.mark.parametrize("skew_s", [-120, -60, 0, 60, 180])
def test_a_clock_within_the_limit_of_the_clock_factor_is_no_hindrance(skew_s, verifier, assertions) -> None:
    assert verify(verifier, assertions.token(), NOW + timedelta(seconds=skew_s))


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"iss": "4auth:elsewhere"}, "iss"),
        ({"aud": "elsewhere"}, "aud"),
        ({"aud": ["lab", "elsewhere"]}, "aud"),
        ({"sub": "bob"}, "sub"),
        ({"kiosk": "back-door"}, "kiosk"),
        ({"nonce": "M" * 22}, "nonce"),
        ({"exp": SECONDS - 121}, "expired"),
        ({"nbf": SECONDS + 121}, "not valid yet"),
        ({"iat": SECONDS + 121}, "not valid yet"),
        ({"exp": 1e99}, "whole seconds"),
        ({"exp": True}, "whole seconds"),
        ({"amr": ["pwd", "otp", "mfa"]}, "amr"),
        ({"amr": "pwd otp face"}, "amr"),
        ({"kid": "key-2"}, "does not publish"),
        *(({claim: None}, "signed as it must be") for claim in ("iss", "aud", "sub", "jti", "kiosk", "nonce", "exp")),
    ],
)
def test_an_assertion_for_anything_else_is_refused(changes, rule, verifier, assertions) -> None:
    with pytest.raises(AssertionRefused, match=rule):
        verify(verifier, assertions.token(**changes))


def test_another_key_under_a_known_name_is_refused(verifier, assertions) -> None:
    with pytest.raises(AssertionRefused, match="InvalidSignature"):
        verify(verifier, assertions.token(key=Ed25519PrivateKey.generate()))


@pytest.mark.parametrize("algorithm", ["none", "HS256"])
def test_an_assertion_without_a_real_signature_is_refused(algorithm, verifier, assertions) -> None:
    claims = jwt.decode(assertions.token(), options={"verify_signature": False})
    key = None if algorithm == "none" else "x" * 40
    with pytest.raises(AssertionRefused):
        verify(verifier, jwt.encode(claims, key, algorithm=algorithm, headers={"kid": "key-1"}))


@pytest.mark.parametrize("token", ["", "a.b.c", "\ud800", "eyJ" * 600, "."])
def test_what_is_no_token_is_refused(token, verifier) -> None:
    with pytest.raises(AssertionRefused):
        verify(verifier, token)


def test_keys_are_fetched_once_and_again_for_an_unknown_kid(verifier, keys, assertions) -> None:
    for _ in range(3):
        verify(verifier, assertions.token())
    assert keys.fetched == 1
    rotated = type(assertions)(kid="key-2")
    keys.document = {"keys": [*rotated.jwks()["keys"], *keys.document["keys"]]}
    verify(verifier, rotated.token())
    verify(verifier, assertions.token())
    assert keys.fetched == 2


def test_an_assertion_that_names_no_key_is_refused(verifier, assertions) -> None:
    claims = jwt.decode(assertions.token(), options={"verify_signature": False})
    with pytest.raises(AssertionRefused, match="does not publish"):
        verify(verifier, jwt.encode(claims, assertions.key, algorithm="EdDSA"))


def test_without_the_keys_there_is_no_proof(assertions) -> None:
    def fetch():
        raise ServerUnavailable("down")

    with pytest.raises(AssertionRefused, match="cannot be had"):
        verify(AssertionVerifier(fetch, site="lab", kiosk_id="front-door"), assertions.token())


@pytest.mark.parametrize(
    "document", [{}, {"keys": 1}, {"keys": [1, {}, {"kty": "OKP", "crv": "Ed25519", "x": "!", "kid": "key-1"}]}]
)
def test_a_key_set_of_nonsense_holds_no_key(document, assertions) -> None:
    verifier = AssertionVerifier(lambda: document, site="lab", kiosk_id="front-door")
    with pytest.raises(AssertionRefused, match="does not publish"):
        verify(verifier, assertions.token())


def test_no_refusal_shows_the_token(verifier, assertions) -> None:
    token = assertions.token(sub="bob")
    with pytest.raises(AssertionRefused) as caught:
        verify(verifier, token)
    assert token not in f"{caught.value!r}{caught.value.__cause__!r}"
