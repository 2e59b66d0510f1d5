"""An assertion verifies with the published key alone, and only for whom and when it was meant."""

import base64
import hashlib
import hmac
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from auth_contract.messages import LoginReply
from auth_server.assertions import Assertions, Issued
from auth_server.keyring import SigningKeys

KEY = Ed25519PrivateKey.from_private_bytes(b"\x07" * 32)
NEXT = Ed25519PrivateKey.from_private_bytes(b"\x08" * 32)
NONCE = "A" * 22


@pytest.fixture
def assertions() -> Assertions:
    ids = iter(f"id-{number}" for number in range(10))
    return Assertions(SigningKeys.of(KEY), "hq", new_id=lambda: next(ids))


def just_now() -> datetime:
    """PyJWT compares with the real clock, so these tests issue at the real time."""
    return datetime.now(UTC)


def verify(token: str, jwks: dict[str, Any], **options: Any) -> dict[str, Any]:
    """What a door controller does: pick the key by its id, and allow its own algorithm only."""
    keys = jwt.PyJWKSet.from_dict(jwks)
    chosen = keys[jwt.get_unverified_header(token)["kid"]]
    expected: dict[str, Any] = {"audience": "hq", "issuer": "4auth:hq", "algorithms": ["EdDSA"]}
    return jwt.decode(token, chosen, **(expected | options))


def issue(assertions: Assertions, now: datetime | None = None) -> Issued:
    return assertions.issue("zoë", "kiosk-1", NONCE, now or just_now())


def test_the_claims_say_who_where_how_and_for_how_long(assertions: Assertions) -> None:
    now = just_now()
    issued = issue(assertions, now)
    at = int(now.timestamp())
    assert verify(issued.token, assertions.jwks()) == {
        "iss": "4auth:hq",
        "aud": "hq",
        "sub": "zoë",
        "jti": "id-0",
        "kiosk": "kiosk-1",
        "nonce": NONCE,
        "iat": at,
        "nbf": at,
        "exp": at + 60,
        "amr": ["pwd", "otp", "face", "mfa"],
    }
    assert issued.jti == "id-0"


def test_the_time_comes_from_the_caller(assertions: Assertions) -> None:
    token = issue(assertions, datetime(2001, 1, 1, tzinfo=UTC)).token
    assert jwt.decode(token, options={"verify_signature": False})["iat"] == 978307200


def test_every_assertion_has_its_own_id() -> None:
    assertions = Assertions(SigningKeys.of(KEY), "hq")
    assert len({issue(assertions).jti for _ in range(100)}) == 100


@pytest.mark.parametrize("age_s", [61, 3600, -30])
def test_it_holds_for_a_minute(assertions: Assertions, age_s: int) -> None:
    token = issue(assertions, just_now() - timedelta(seconds=age_s)).token
    with pytest.raises((jwt.ExpiredSignatureError, jwt.ImmatureSignatureError)):
        verify(token, assertions.jwks())


def test_it_holds_for_its_own_site_and_issuer_only(assertions: Assertions) -> None:
    token = issue(assertions).token
    with pytest.raises(jwt.InvalidAudienceError):
        verify(token, assertions.jwks(), audience="branch")
    with pytest.raises(jwt.InvalidIssuerError):
        verify(token, assertions.jwks(), issuer="4auth:branch")


def test_another_sites_key_does_not_verify_it(assertions: Assertions) -> None:
    other = Assertions(SigningKeys.of(NEXT), "hq")
    with pytest.raises(KeyError):
        verify(issue(assertions).token, other.jwks())
    key = jwt.PyJWK(other.jwks()["keys"][0])  # type: ignore[index]
    with pytest.raises(jwt.InvalidSignatureError):
        jwt.decode(issue(assertions).token, key, audience="hq", algorithms=["EdDSA"])


def kid(assertions: Assertions) -> str:
    (published,) = assertions.jwks()["keys"]  # type: ignore[misc]
    return published["kid"]


def encode(part: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode()


def test_an_unsigned_assertion_is_refused(assertions: Assertions) -> None:
    claims = jwt.decode(issue(assertions).token, options={"verify_signature": False})
    forged = f"{encode({'alg': 'none', 'kid': kid(assertions)})}.{encode(claims | {'sub': 'admin'})}."
    with pytest.raises(jwt.InvalidTokenError):
        verify(forged, assertions.jwks())


def test_the_public_key_is_not_taken_for_a_shared_secret(assertions: Assertions) -> None:
    claims = jwt.decode(issue(assertions).token, options={"verify_signature": False})
    head_and_claims = f"{encode({'alg': 'HS256', 'kid': kid(assertions)})}.{encode(claims | {'sub': 'admin'})}"
    public = KEY.public_key().public_bytes_raw()
    tag = hmac.new(public, head_and_claims.encode(), hashlib.sha256).digest()
    forged = f"{head_and_claims}.{base64.urlsafe_b64encode(tag).rstrip(b'=').decode()}"
    with pytest.raises(jwt.InvalidTokenError):
        verify(forged, assertions.jwks())
    with pytest.raises((jwt.InvalidTokenError, jwt.InvalidKeyError, TypeError)):
        verify(forged, assertions.jwks(), algorithms=["EdDSA", "HS256"])


@pytest.mark.parametrize("part", [0, 1, 2])
def test_no_part_can_be_changed(assertions: Assertions, part: int) -> None:
    own, others = (issue(assertions).token.split(".") for _ in range(2))
    other_site = Assertions(SigningKeys.of(NEXT), "hq")
    others[0] = issue(other_site).token.split(".")[0]
    own[part] = others[part]
    with pytest.raises((jwt.InvalidTokenError, KeyError)):
        verify(".".join(own), assertions.jwks())


def test_the_key_document_is_public_and_complete(assertions: Assertions) -> None:
    (published,) = assertions.jwks()["keys"]  # type: ignore[misc]
    assert published.keys() == {"kty", "crv", "x", "kid", "use", "alg"}
    assert (published["kty"], published["crv"], published["alg"], published["use"]) == (
        "OKP",
        "Ed25519",
        "EdDSA",
        "sig",
    )


def test_the_key_id_is_its_thumbprint_as_in_rfc_8037_appendix_a() -> None:
    secret = "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A"
    key = Ed25519PrivateKey.from_private_bytes(base64.urlsafe_b64decode(secret + "="))
    assertions = Assertions(SigningKeys.of(key), "hq")
    (published,) = assertions.jwks()["keys"]  # type: ignore[misc]
    assert published["x"] == "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"
    assert published["kid"] == "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"


def test_the_longest_assertion_fits_the_reply() -> None:
    assertions = Assertions(SigningKeys.of(KEY), "s" * 32)
    issued = assertions.issue("\U00010400" * 64, "k" * 32, NONCE, just_now())
    reply = LoginReply(username="a", granted_at=just_now(), message="Welcome.", assertion=issued.token)
    assert reply.assertion == issued.token


def test_the_token_does_not_stand_in_a_repr(assertions: Assertions) -> None:
    issued = issue(assertions)
    assert issued.token not in repr(issued)


def test_every_key_is_published_and_the_first_one_signs() -> None:
    """A verifier that fetched the keys before a rotation, or during it, verifies what is signed after it."""
    before = Assertions(SigningKeys.of(KEY, NEXT), "hq")
    after = Assertions(SigningKeys.of(NEXT, KEY), "hq")
    for signer in (before, after):
        for publisher in (before, after):
            assert verify(issue(signer).token, publisher.jwks())["sub"] == "zoë"
    assert jwt.get_unverified_header(issue(after).token)["kid"] == after.jwks()["keys"][0]["kid"]  # type: ignore[index]


def test_a_retired_key_proves_nothing_any_more() -> None:
    token = issue(Assertions(SigningKeys.of(KEY, NEXT), "hq")).token
    with pytest.raises(KeyError):
        verify(token, Assertions(SigningKeys.of(NEXT), "hq").jwks())
