"""A request is its kiosk's, whole and fresh, or it is refused before its body is read."""

import base64
import hashlib
import inspect
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from http_message_signatures import HTTPMessageSigner, MappingKeyResolver, algorithms
from hypothesis import given
from hypothesis import strategies as st

from auth_contract import paths, signing
from auth_server import signature, signature_form
from auth_server.domain import Kiosk
from auth_server.errors import KioskRefused, Malformed
from auth_server.signature import SignatureCheck, SignedBy, SignedHeaders, check_digest

NOW = datetime(2026, 11, 22, 9, 30, 0, 500_000, tzinfo=UTC)
NONCE = "Az09_-" + "A" * 16
BODY = b'{"action":"login"}'


def key(number: int) -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(bytes([number]) * 32)


def kiosk(kiosk_id: str, number: int, *, enabled: bool = True) -> Kiosk:
    return Kiosk(kiosk_id, key(number).public_key().public_bytes_raw(), "02:00:5e:10:00:01", enabled)


KIOSKS = {
    "kiosk-1": kiosk("kiosk-1", 1),
    "kiosk-2": kiosk("kiosk-2", 2),
    "kiosk-off": kiosk("kiosk-off", 3, enabled=False),
    "kiosk-odd": replace(kiosk("kiosk-odd", 4), public_key=b"short"),
}
CHECK = SignatureCheck(KIOSKS.get)


def sign(
    *,
    signer: int = 1,
    keyid: str = "kiosk-1",
    method: str = "POST",
    path: str = paths.LOGIN,
    body: bytes = BODY,
    headers: dict[str, str] | None = None,
    **options: object,
) -> SignedHeaders:
    """A request as an honest kiosk signs it, but for what a test changes."""
    fields = {"Content-Type": "application/json"} if headers is None else dict(headers)
    message = SimpleNamespace(method=method, url=f"https://server.example:8443{path}", headers=fields)
    resolver = MappingKeyResolver(public_keys={}, private_keys={keyid: key(signer)})
    chosen: dict[str, object] = {
        "created": NOW,
        "nonce": NONCE,
        "label": signing.LABEL,
        "tag": signing.TAG,
        "covered_component_ids": signing.COVERED_COMPONENTS,
        "body": body,
    }
    chosen |= options
    HTTPMessageSigner(signature_algorithm=algorithms.ED25519, key_resolver=resolver).sign(
        message, key_id=keyid, **chosen
    )
    return SignedHeaders(method, path, list(fields.items()))


GOOD = sign()


def with_header(message: SignedHeaders, name: str, change: Callable[[str], str]) -> SignedHeaders:
    lines = [(key, change(value) if key.lower() == name else value) for key, value in message.headers]
    assert lines != message.headers
    return replace(message, headers=lines)


def refusal(message: SignedHeaders, now: datetime = NOW) -> KioskRefused:
    with pytest.raises(KioskRefused) as caught:
        CHECK.verify(message, now)
    return caught.value


def test_a_good_request_names_its_kiosk() -> None:
    assert CHECK.verify(GOOD, NOW) == SignedBy(
        kiosk=KIOSKS["kiosk-1"],
        nonce=NONCE,
        created=NOW.replace(microsecond=0),
        content_digest=hashlib.sha256(BODY).digest(),
        skew_s=0,
    )


def test_header_names_are_read_in_any_case_and_order_among_others() -> None:
    for spell in (str.upper, str.lower, str.title):
        lines = [(spell(name), value) for name, value in reversed(GOOD.headers)]
        message = replace(GOOD, headers=[("Host", "x"), *lines, ("X-Trace", "1"), ("x-trace", "\xff")])
        assert CHECK.verify(message, NOW).kiosk.kiosk_id == "kiosk-1"


def test_components_may_be_covered_in_any_order() -> None:
    message = sign(covered_component_ids=tuple(reversed(signing.COVERED_COMPONENTS)))
    assert CHECK.verify(message, NOW).nonce == NONCE


def test_the_library_covers_exactly_what_was_agreed() -> None:
    header = dict(GOOD.headers)["Signature-Input"]
    assert header.startswith('kiosk=("@method" "@path" "content-type" "content-digest");created=')


@pytest.mark.parametrize("skew_s", [-120, -119, 0, 1, 119, 120])
def test_two_minutes_of_skew_are_allowed(skew_s: int) -> None:
    signed = CHECK.verify(sign(created=NOW + timedelta(seconds=skew_s)), NOW)
    assert signed.skew_s == skew_s


@pytest.mark.parametrize("skew_s", [-(10**9), -3600, -121, 121, 3600, 10**9])
def test_more_is_refused_with_the_skew_as_evidence(skew_s: int) -> None:
    refused = refusal(sign(created=NOW + timedelta(seconds=skew_s)))
    assert f"{abs(skew_s)} s {'after' if skew_s > 0 else 'before'}" in refused.why
    assert refused.detail == {"kiosk_id": "kiosk-1", "authenticated": True, "skew_s": skew_s}


@pytest.mark.parametrize(
    ("message", "why", "detail"),
    [
        (sign(keyid="kiosk-9"), "not registered", {"kiosk_id": "kiosk-9", "authenticated": False}),
        (sign(keyid="kiosk-9", signer=9), "not registered", {"kiosk_id": "kiosk-9", "authenticated": False}),
        (sign(signer=2), "not this kiosk's", {"kiosk_id": "kiosk-1", "authenticated": False}),
        (sign(keyid="kiosk-2"), "not this kiosk's", {"kiosk_id": "kiosk-2", "authenticated": False}),
        (sign(keyid="kiosk-off", signer=3), "disabled", {"kiosk_id": "kiosk-off", "authenticated": True}),
        (sign(keyid="kiosk-off", signer=1), "not this kiosk's", {"kiosk_id": "kiosk-off", "authenticated": False}),
        (sign(keyid="kiosk-odd", signer=4), "add it again", {"kiosk_id": "kiosk-odd", "authenticated": False}),
    ],
)
def test_a_stranger_is_refused_by_name(message: SignedHeaders, why: str, detail: dict[str, object]) -> None:
    refused = refusal(message)
    assert why in refused.why
    assert refused.detail == detail
    assert (refused.status, refused.reason.value) == (401, "kiosk_refused")


@pytest.mark.parametrize("name", ["Content-Type", "Content-Digest", "Signature-Input", "Signature"])
def test_every_header_is_needed_exactly_once(name: str) -> None:
    rest = [line for line in GOOD.headers if line[0] != name]
    assert "unsigned: there is no header" in refusal(replace(GOOD, headers=rest)).why
    twice = [*GOOD.headers, (name.lower(), dict(GOOD.headers)[name])]
    assert refusal(replace(GOOD, headers=twice)).why == f"the header {name.lower()} stands twice"


def test_two_header_lines_joined_by_a_comma_are_refused_too() -> None:
    for name in ("content-type", "content-digest", "signature-input", "signature"):
        refusal(with_header(GOOD, name, lambda value: f"{value},{value}"))


@pytest.mark.parametrize("value", ["", " " * 513, "x" * 100_000, "kiosk=\x00", "kiosk=\n", "kiosk=é", "\x7f"])
@pytest.mark.parametrize("name", ["content-type", "content-digest", "signature-input", "signature"])
def test_no_long_or_odd_header_is_parsed(name: str, value: str) -> None:
    assert "printable ASCII" in refusal(with_header(GOOD, name, lambda _: value)).why


@pytest.mark.parametrize(
    ("message", "why"),
    [
        (sign(label="other"), "exactly one signature, kiosk"),
        (sign(tag="4auth-v2"), "tag is not"),
        (sign(tag=None), "parameters are not exactly"),
        (sign(nonce=None), "parameters are not exactly"),
        (sign(include_alg=False), "parameters are not exactly"),
        (sign(expires=NOW + timedelta(hours=1)), "parameters are not exactly"),
        (sign(nonce="A" * 21), "nonce is not"),
        (sign(nonce="A" * 23), "nonce is not"),
        (sign(nonce="A" * 21 + "="), "nonce is not"),
        (sign(keyid="Kiosk-1"), "keyid is not"),
        (sign(keyid="../etc/passwd"), "keyid is not"),
        (sign(keyid="k" * 33), "keyid is not"),
        (sign(covered_component_ids=("@method", "@path", "content-digest")), "does not cover exactly"),
        (sign(covered_component_ids=("@method", "content-type", "content-digest")), "does not cover exactly"),
        (sign(covered_component_ids=("@path", "content-type", "content-digest")), "does not cover exactly"),
        (sign(covered_component_ids=(*signing.COVERED_COMPONENTS, "@authority")), "does not cover exactly"),
        (sign(covered_component_ids=('"content-type";sf', "@method", "@path", "content-digest")), "without parameters"),
        (sign(headers={"Content-Type": "application/json; charset=utf-8"}), "content-type is not exactly"),
        (sign(headers={"Content-Type": "Application/JSON"}), "content-type is not exactly"),
        (sign(headers={"Content-Type": "text/plain"}), "content-type is not exactly"),
        (sign(path="/v1/login?x=1"), "method or the path"),
        (sign(path="/v1/%6cogin"), "method or the path"),
    ],
)
def test_a_signature_of_another_form_is_refused_by_name(message: SignedHeaders, why: str) -> None:
    assert why in refusal(message).why


@pytest.mark.parametrize(
    ("name", "old", "new", "why"),
    [
        ("signature-input", ")", "", "structured dictionary"),
        ("signature-input", '("@method" "@path" "content-type" "content-digest")', "7", "not a list of components"),
        ("signature-input", ' "content-digest"', "", "does not cover exactly"),
        ("signature-input", '"@method" ', '"@method" "@method" ', "does not cover exactly"),
        ("signature-input", '"@method"', "7", "does not cover exactly"),
        ("signature-input", '"@method"', "method", "does not cover exactly"),
        ("signature-input", 'alg="ed25519"', "alg=ed25519", "alg is not"),
        ("signature-input", 'alg="ed25519"', 'alg="hmac-sha256"', "alg is not"),
        ("signature-input", 'tag="4auth-v1"', "tag=7", "tag is not"),
        ("signature-input", "kiosk=", "kiosk=7, kiosk=", "unique keys"),
        ("signature-input", "created=", "created=1;created=", "unique keys"),
        ("signature", "kiosk=", "kiosk=7, kiosk=", "unique keys"),
        ("signature-input", "created=", "created=@", "created is not"),
        ("signature-input", "created=", "created=1.", "structured dictionary"),
        ("signature-input", "created=", 'created=1;created="', "structured dictionary"),
        ("signature-input", 'keyid="kiosk-1"', "keyid=kiosk-1", "keyid is not"),
        ("signature-input", 'keyid="kiosk-1"', "keyid=:AAAA:", "keyid is not"),
        ("signature-input", f'nonce="{NONCE}"', "nonce", "nonce is not"),
        ("signature", "==:", "==:;x=1", "64 bytes"),
        ("signature", "kiosk=:", "kiosk=:AAAA", "64 bytes"),
        ("signature", "kiosk=", "kiosk=1;x=", "64 bytes"),
        ("signature", "kiosk=", "kiosk2=", "exactly one signature"),
        ("signature", "kiosk=", "kiosk, other=", "exactly one signature"),
        ("content-digest", "sha-256", "sha-512", "content-digest is not"),
        ("content-digest", "sha-256", "unixsum=1,sha-256", "content-digest is not"),
        ("content-digest", "=:", "=:;x", "content-digest is not"),
    ],
)
def test_a_tampered_header_is_refused_by_name(name: str, old: str, new: str, why: str) -> None:
    assert why in refusal(with_header(GOOD, name, lambda value: value.replace(old, new, 1))).why


@given(st.sampled_from(["GET", "PUT", "PATCH", "DELETE", "POS", "POSTT"]))
def test_another_method_is_refused(method: str) -> None:
    assert "not this kiosk's" in refusal(replace(GOOD, method=method)).why


@given(st.from_regex(r"/[A-Za-z0-9._~/-]{0,60}", fullmatch=True).filter(lambda path: path != paths.LOGIN))
def test_another_path_is_refused(path: str) -> None:
    assert "not this kiosk's" in refusal(replace(GOOD, path=path)).why


@given(st.binary(max_size=100).filter(lambda body: body != BODY))
def test_another_digest_is_refused(body: bytes) -> None:
    digest = base64.b64encode(hashlib.sha256(body).digest()).decode()
    message = with_header(GOOD, "content-digest", lambda _: f"sha-256=:{digest}:")
    assert "not this kiosk's" in refusal(message).why


@given(st.from_regex(r"[A-Za-z0-9_-]{22}", fullmatch=True).filter(lambda nonce: nonce != NONCE))
def test_another_nonce_is_refused(nonce: str) -> None:
    message = with_header(GOOD, "signature-input", lambda value: value.replace(NONCE, nonce))
    assert "not this kiosk's" in refusal(message).why


@given(st.integers(-(10**15) + 1, 10**15 - 1).filter(lambda created: created != int(NOW.timestamp())))
def test_another_creation_time_is_refused(created: int) -> None:
    was = str(int(NOW.timestamp()))
    message = with_header(GOOD, "signature-input", lambda value: value.replace(was, str(created)))
    assert "not this kiosk's" in refusal(message).why


@given(st.from_regex(r"[a-z0-9][a-z0-9-]{0,31}", fullmatch=True).filter(lambda name: name != "kiosk-1"))
def test_another_key_id_is_refused(kiosk_id: str) -> None:
    message = with_header(GOOD, "signature-input", lambda value: value.replace("kiosk-1", kiosk_id))
    assert refusal(message).detail["authenticated"] is False


@given(st.integers(0, 511))
def test_another_signature_bit_is_refused(bit: int) -> None:
    def flip(value: str) -> str:
        raw = bytearray(base64.b64decode(value.removeprefix("kiosk=:").removesuffix(":")))
        raw[bit // 8] ^= 1 << bit % 8
        return f"kiosk=:{base64.b64encode(bytes(raw)).decode()}:"

    assert "not this kiosk's" in refusal(with_header(GOOD, "signature", flip)).why


header_text = st.text(st.characters(max_codepoint=0x2FF), max_size=120) | st.text(
    alphabet='kiosk=()":;,@created nonce?*<>0123456789ABC-', max_size=120
)
header_names = st.sampled_from(["signature", "Signature-Input", "content-type", "Content-Digest"]) | header_text


@given(header_text, header_text, st.lists(st.tuples(header_names, header_text), max_size=6))
def test_no_headers_at_all_raise_anything_else(method: str, path: str, lines: list[tuple[str, str]]) -> None:
    refusal(SignedHeaders(method, path, lines))


def plain(header: str) -> str:
    return re.sub(r"(?<==)0+(?=[0-9])", "", header.replace(" ", ""))


@given(st.sampled_from(["signature", "signature-input", "content-digest"]), st.data())
def test_no_edit_of_a_good_header_raises_anything_else(name: str, data: st.DataObject) -> None:
    value = {key.lower(): text for key, text in GOOD.headers}[name]
    start = data.draw(st.integers(0, len(value)))
    end = data.draw(st.integers(start, len(value)))
    edited = value[:start] + data.draw(header_text) + value[end:]
    lines = [(key, edited if key.lower() == name else text) for key, text in GOOD.headers]
    try:
        signed = CHECK.verify(replace(GOOD, headers=lines), NOW)
    except KioskRefused as refused:
        assert all(len(str(detail)) <= 60 for detail in refused.detail.values())
    else:
        # Only white space and the zeros before a number, of which RFC 9651 takes no notice, may differ.
        assert plain(edited) == plain(value) or name == "signature"
        assert signed == CHECK.verify(GOOD, NOW)


def test_what_is_unsigned_costs_no_look_at_the_store() -> None:
    asked: list[str] = []

    def find(kiosk_id: str) -> Kiosk | None:
        asked.append(kiosk_id)
        return None

    check = SignatureCheck(find)
    for message in (replace(GOOD, headers=[]), sign(nonce="short"), sign(tag="other")):
        with pytest.raises(KioskRefused):
            check.verify(message, NOW)
    assert asked == []
    with pytest.raises(KioskRefused):
        check.verify(GOOD, NOW)
    assert asked == ["kiosk-1"]


def test_an_unknown_kiosk_costs_the_same_verification(monkeypatch: pytest.MonkeyPatch) -> None:
    verified: list[bool] = []
    is_signed = signature._is_signed

    def counting(*arguments: object) -> bool:
        verified.append(is_signed(*arguments))  # type: ignore[arg-type]
        return verified[-1]

    monkeypatch.setattr(signature, "_is_signed", counting)
    refusal(sign(keyid="kiosk-9"))
    assert verified == [False]


def test_the_clock_is_injected() -> None:
    for module in (signature, signature_form):
        source = inspect.getsource(module)
        assert "datetime.now" not in source
        assert "time.time" not in source
    long_ago = datetime(2001, 1, 1, tzinfo=UTC)
    assert CHECK.verify(sign(created=long_ago), long_ago).created == long_ago


@given(st.binary(max_size=200), st.binary(max_size=200))
def test_a_body_has_the_digest_that_was_signed(body: bytes, received: bytes) -> None:
    digest = hashlib.sha256(body).digest()
    check_digest(body, digest)
    if received != body:
        with pytest.raises(Malformed):
            check_digest(received, digest)
