"""Every message round-trips, refuses what it does not know, and keeps its secrets to itself."""

import json
import traceback
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from auth_contract.actions import Action, CaptureHint, Reason
from auth_contract.fields import canonical_mac, canonical_password, canonical_username
from auth_contract.limits import FRAMES_MAX
from auth_contract.messages import (
    AttemptReply,
    AttemptRequest,
    ErrorReply,
    HeartbeatReply,
    HeartbeatRequest,
    LoginReply,
    LoginRequest,
    WireModel,
)

LOGIN = {
    "attempt_id": "A" * 22,
    "username": "maria",
    "password": "Correct horse 7",
    "totp": "123456",
    "frames": ["/9j/4A=="],
    "mac": "02:00:5e:10:00:01",
    "client_ts_utc": "2026-11-22T09:30:00Z",
}


def read_login(**changes: object) -> LoginRequest:
    return LoginRequest.model_validate_json(json.dumps({**LOGIN, **changes}))


def is_canonical(canonical: Any) -> Any:
    def accepts(text: str) -> bool:
        try:
            canonical(text)
        except ValueError:
            return False
        return True

    return accepts


tokens = st.from_regex(r"[A-Za-z0-9_-]{22}", fullmatch=True)
names = st.text(st.characters(categories=["L", "N"]), min_size=1, max_size=20).filter(is_canonical(canonical_username))
passwords = st.text(min_size=1, max_size=40).filter(is_canonical(canonical_password))
macs = st.from_regex(r"[0-9a-fA-F]{2}([:-][0-9a-fA-F]{2}){5}", fullmatch=True).filter(is_canonical(canonical_mac))
moments = st.datetimes(datetime(1900, 1, 1), datetime(9000, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
shown = st.text(st.characters(categories=["L", "N", "P", "S"]), max_size=30)
frames = st.binary(max_size=50).map(lambda tail: b"\xff\xd8\xff" + tail)

MESSAGES = st.one_of(
    st.builds(AttemptRequest, action=st.sampled_from(Action)),
    st.builds(AttemptReply, attempt_id=tokens, nonce=tokens, expires_at=moments),
    st.builds(
        LoginRequest,
        attempt_id=tokens,
        username=names,
        password=passwords,
        totp=st.from_regex(r"[0-9]{6}", fullmatch=True),
        frames=st.lists(frames, min_size=1, max_size=FRAMES_MAX).map(tuple),
        mac=macs,
        client_ts_utc=moments,
    ),
    st.builds(LoginReply, username=names, granted_at=moments, message=shown, assertion=shown),
    st.builds(
        HeartbeatRequest,
        agent_version=shown,
        mac=macs,
        permanent_mac=st.none() | macs,
        faults=st.lists(shown, max_size=16).map(tuple),
    ),
    st.builds(HeartbeatReply, server_ts_utc=moments),
    st.builds(
        ErrorReply,
        reason=st.sampled_from(Reason),
        message=shown,
        retry_after_s=st.none() | st.integers(1, 86_400),
        capture_hint=st.none() | st.sampled_from(CaptureHint),
        field=st.none() | shown,
        rule=st.none() | shown,
        incident=st.none() | st.text("0123456789abcdef", max_size=16),
    ),
)


@given(MESSAGES)
def test_a_message_comes_back_from_json_as_it_was(message: WireModel) -> None:
    text = message.model_dump_json()
    again = type(message).model_validate_json(text)
    assert again == message
    assert again.model_dump_json() == text
    assert type(message).model_validate_json(message.model_dump_json(exclude_none=True)) == message


@pytest.mark.parametrize("member", sorted(LOGIN))
def test_no_member_of_a_login_may_be_missing_or_null(member: str) -> None:
    with pytest.raises(ValidationError, match=member):
        read_login(**{member: None})
    rest = {key: value for key, value in LOGIN.items() if key != member}
    with pytest.raises(ValidationError, match=member):
        LoginRequest.model_validate_json(json.dumps(rest))


@pytest.mark.parametrize("member", sorted(LOGIN))
@pytest.mark.parametrize("value", [7, 1.5, True, {}, {"a": 1}, [7], [[]], "", "x" * 300, "\x00"])
def test_no_member_of_a_login_takes_another_type(member: str, value: object) -> None:
    with pytest.raises(ValidationError):
        read_login(**{member: value})


@pytest.mark.parametrize("count", [0, FRAMES_MAX + 1])
def test_a_login_has_one_to_eight_frames(count: int) -> None:
    assert len(read_login(frames=["/9j/4A=="] * FRAMES_MAX).frames) == FRAMES_MAX
    with pytest.raises(ValidationError):
        read_login(frames=["/9j/4A=="] * count)


def test_an_unknown_key_is_refused() -> None:
    with pytest.raises(ValidationError, match="Extra inputs"):
        read_login(is_admin=True)


def test_a_message_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        read_login().username = "admin"  # type: ignore[misc]


def test_an_unknown_action_is_refused() -> None:
    with pytest.raises(ValidationError):
        AttemptRequest.model_validate_json('{"action":"register_admin"}')


SECRET = "hunter2"


@pytest.mark.parametrize(
    "changes",
    [
        {"password": f"{SECRET}\x00"},
        {"password": SECRET * 20},
        {"password": [SECRET]},
        {"password": {SECRET: SECRET}},
        {"totp": SECRET},
        {"totp": f"{SECRET[:6]}"},
        {"username": f"{SECRET}\x00"},
        {"mac": f"{SECRET:>17}"},
        {"frames": [SECRET]},
        {"frames": ["aHVudGVyMg=="]},
        {"frames": SECRET},
        {"client_ts_utc": SECRET},
        {"attempt_id": SECRET},
        {"more": SECRET},
    ],
)
def test_a_refusal_never_repeats_what_was_sent(changes: dict[str, object]) -> None:
    with pytest.raises(ValidationError) as caught:
        read_login(**changes)
    shown_texts = [str(caught.value), repr(caught.value), caught.value.json(include_input=False)]
    shown_texts += traceback.format_exception(caught.value)
    assert not [text for text in shown_texts if "hunter2" in text or "aHVudGVyMg" in text]


@given(st.text(max_size=40), st.sampled_from(sorted(LOGIN)))
def test_no_part_of_a_bad_value_stands_in_its_refusal(tail: str, member: str) -> None:
    # Letters that no message of ours holds, so that finding them means that the value was repeated.
    with pytest.raises(ValidationError) as caught:
        read_login(**{member: f"§q7§\x00{tail}"})
    assert "q7" not in str(caught.value)


def test_neither_secrets_nor_pictures_stand_in_a_repr() -> None:
    text = repr(read_login(password="Tr0ub4dor and 3", totp="987654"))
    assert "maria" in text
    assert not [secret for secret in ("Tr0ub4dor", "987654", "xff", "/9j/") if secret in text]
    reply = LoginReply(
        username="maria", granted_at=datetime(2026, 1, 1, tzinfo=UTC), message="Welcome.", assertion="ey.secret"
    )
    assert "ey.secret" not in repr(reply)


@pytest.mark.parametrize("member", ["agent_version", "faults"])
def test_a_kiosk_cannot_write_control_characters_into_a_log(member: str) -> None:
    text = "\x1b]0;owned\x07"
    heartbeat = {"agent_version": "1.0", "mac": "02:00:5e:10:00:01", member: [text] if member == "faults" else text}
    with pytest.raises(ValidationError, match="printable"):
        HeartbeatRequest.model_validate_json(json.dumps(heartbeat))


@pytest.mark.parametrize("wait_s", [0, -1, 86_401, 1.5, "30", True])
def test_a_wait_is_a_whole_number_of_seconds_within_a_day(wait_s: object) -> None:
    reply = {"reason": "locked", "message": "Please wait.", "retry_after_s": wait_s}
    with pytest.raises(ValidationError):
        ErrorReply.model_validate_json(json.dumps(reply))
