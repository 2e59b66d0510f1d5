"""The device's side, a kiosk's or a gateway's: each exchange signed, sent to a pinned server, read with a cap.

Opening an attempt and a heartbeat may be repeated: the server only opens another attempt or notes
another sign of life. A submission is never sent twice by itself: where its reply is lost nobody
here can know whether it arrived, its attempt may be used up, and a second one might count as a
second guess. `ReplyLost` then tells the person to start again. Where no connection came about,
nothing was sent and nothing is in doubt: that is `ServerUnreachable`.

A submission goes over the connection on which its attempt was opened a moment before, where that
still stands; every other exchange has a connection of its own, because one that is kept for long
may be closed by the server in the moment in which it is used again.
"""

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any, Literal, TypeVar, overload

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from http_message_signatures import HTTPMessageSignaturesException
from pydantic import BaseModel, ValidationError
from requests import PreparedRequest, Request, RequestException, Response
from requests.exceptions import ConnectionError as ConnectionFailed
from requests.exceptions import ReadTimeout
from urllib3.exceptions import ConnectTimeoutError

from auth_client.errors import Refused, ReplyLost, ServerUnavailable, ServerUnreachable
from auth_client.pinning import pinned_session
from auth_client.settings import ServerSettings
from auth_client.signature import KioskSignature
from auth_contract import paths
from auth_contract.actions import Action
from auth_contract.messages import (
    AttemptReply,
    AttemptRequest,
    ChangeReply,
    ErrorReply,
    GatewayRefusal,
    HeartbeatReply,
    HeartbeatRequest,
    LoginReply,
    Noted,
    SubmissionRequest,
)
from auth_contract.signing import CONTENT_TYPE
from auth_contract.strict_json import StrictJsonError, parse_object

REPLY_MAX_BYTES = 64 * 1024
"""The largest reply, a key set, has under 1 KiB."""

_Reply = TypeVar("_Reply", bound=BaseModel)
_Answer = TypeVar("_Answer")


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a client must not fetch by itself, so that tests can give it: time, waiting, chance."""

    now: Callable[[], datetime]
    monotonic: Callable[[], float]
    sleep: Callable[[float], None]
    new_nonce: Callable[[], str]


def real_surroundings(clock_offset: timedelta = timedelta(0)) -> Surroundings:
    """The machine's clock, moved by an offset for trials, its sleep, and its randomness."""
    return Surroundings(
        now=lambda: datetime.now(UTC) + clock_offset,
        monotonic=time.monotonic,
        sleep=time.sleep,
        new_nonce=lambda: secrets.token_urlsafe(16),
    )


class AuthClient:
    """One device's exchanges with its auth server. Not for several threads at once.

    `clock_offset_s` is this clock minus the server's by the date of its last reply, whatever it said.
    """

    def __init__(self, settings: ServerSettings, kiosk_id: str, key: Ed25519PrivateKey, around: Surroundings) -> None:
        self._settings = settings
        self._kiosk_id = kiosk_id
        self._key = key
        self._around = around
        self.clock_offset_s: float | None = None
        self._http = pinned_session(settings.pins)

    def open_attempt(self, action: Action, name: str = "", *, peer: str | None = None) -> AttemptReply:
        """Open an attempt at an action by somebody of this name; repeated on connection errors.

        A gateway names the `peer` for whom it asks. Raises Refused or ServerUnavailable.
        """
        request = AttemptRequest(action=action, username=name or None, peer=peer)
        return self._repeat(lambda: self._post(paths.ATTEMPTS, request, AttemptReply, is_kept=True))

    @overload
    def submit(self, action: Literal[Action.LOGIN], request: SubmissionRequest, nonce: str) -> LoginReply:
        """A login is answered with an assertion."""

    @overload
    def submit(self, action: Action, request: SubmissionRequest, nonce: str) -> LoginReply | ChangeReply:
        """All else is answered with what came of it."""

    def submit(self, action: Action, request: SubmissionRequest, nonce: str) -> LoginReply | ChangeReply:
        """Send all that an attempt at an action asks for, once, signed over the attempt's nonce.

        Raises Refused; ReplyLost where it may have arrived; ServerUnreachable or ServerNotTrusted where
        nothing was sent; ServerUnavailable where the reply cannot be understood.
        """
        path = paths.SUBMISSION[action]
        reply: type[LoginReply | ChangeReply] = LoginReply if action is Action.LOGIN else ChangeReply
        try:
            return self._post(path, request, reply, nonce=nonce)
        except RequestException as error:
            if _is_unsent(error):
                raise ServerUnreachable(f"{self._settings.url}: {_cause(error)}; nothing was sent") from None
            raise ReplyLost(f"{path}: {_cause(error)}; the attempt is not sent again") from None

    def heartbeat(self, beat: HeartbeatRequest) -> HeartbeatReply:
        """Send a sign of life; repeated on connection errors. Raises Refused or ServerUnavailable."""
        return self._repeat(lambda: self._post(paths.HEARTBEAT, beat, HeartbeatReply))

    def note_refusal(self, refusal: GatewayRefusal) -> Noted:
        """Have a gateway's refusal written down; repeated on connection errors. Raises Refused or ServerUnavailable."""
        return self._repeat(lambda: self._post(paths.GATEWAY_REFUSALS, refusal, Noted))

    def jwks(self) -> dict[str, Any]:
        """Return the server's key set; repeated on connection errors. Raises ServerUnavailable."""
        return self._repeat(self._get_jwks)

    def close(self) -> None:
        """Close what is open."""
        self._http.close()

    def _repeat(self, exchange: Callable[[], _Answer]) -> _Answer:
        wait_s = self._settings.backoff_s
        for tries_left in range(self._settings.retries, -1, -1):
            try:
                return exchange()
            except RequestException as error:
                # A read time-out was long already, and a server that slow is not helped by more.
                if not tries_left or isinstance(error, ReadTimeout) or not isinstance(error, ConnectionFailed):
                    raise ServerUnavailable(f"{self._settings.url}: {_cause(error)}") from None
            self._around.sleep(wait_s)
            wait_s *= 2
        raise AssertionError("the last try returns or raises")

    def _post(
        self,
        path: str,
        message: BaseModel,
        reply: type[_Reply],
        *,
        nonce: str | None = None,
        is_kept: bool = False,
    ) -> _Reply:
        signature = KioskSignature(
            self._kiosk_id, self._key, nonce=nonce or self._around.new_nonce(), created=self._around.now()
        )
        body = message.model_dump_json(exclude_none=True).encode()
        headers = _HEADERS if is_kept else {**_HEADERS, **_LAST}
        request = Request("POST", self._settings.url + path, headers, data=body, auth=signature)
        try:
            status, text = self._send(request.prepare(), is_kept=is_kept)
        except HTTPMessageSignaturesException as error:
            raise ServerUnavailable(f"{path}: the request could not be signed: {error}") from None
        if status != 200:
            raise Refused(status, _parse(path, status, text, ErrorReply))
        return _parse(path, status, text, reply)

    def _get_jwks(self) -> dict[str, Any]:
        status, text = self._send(Request("GET", self._settings.url + paths.JWKS, {**_HEADERS, **_LAST}).prepare())
        if status != 200:
            raise ServerUnavailable(f"{paths.JWKS}: status {status}")
        try:
            return parse_object(text)
        except StrictJsonError as error:
            raise ServerUnavailable(f"{paths.JWKS}: {error}") from None

    def _send(self, request: PreparedRequest, *, is_kept: bool = False) -> tuple[int, bytes]:
        timeouts = (self._settings.connect_timeout_s, self._settings.read_timeout_s)
        ends = self._around.monotonic() + sum(timeouts)
        is_whole = False
        try:
            with self._http.send(request, timeout=timeouts, allow_redirects=False, stream=True) as response:
                self._compare_clocks(response.headers.get("Date", ""))
                found = response.status_code, self._read(response, ends)
            is_whole = True
            return found
        finally:
            if not (is_kept and is_whole):
                self._http.close()  # drops the kept connection; the session makes new ones

    def _compare_clocks(self, date: str) -> None:
        try:
            self.clock_offset_s = (self._around.now() - parsedate_to_datetime(date)).total_seconds()
        except (ValueError, TypeError):  # none, or one without a zone
            self.clock_offset_s = None

    def _read(self, response: Response, ends: float) -> bytes:
        """Read a reply of bounded size in bounded time, drip-fed or not."""
        text = b""
        for chunk in response.iter_content(4096):
            text += chunk
            if len(text) > REPLY_MAX_BYTES:
                raise ServerUnavailable(f"the reply has more than {REPLY_MAX_BYTES} bytes")
            if self._around.monotonic() > ends:
                raise ReadTimeout("the reply came too slowly")
        return text


_HEADERS = {
    "Content-Type": CONTENT_TYPE,
    "Accept": CONTENT_TYPE,
    "Accept-Encoding": "identity",
    "User-Agent": "4auth-kiosk",
}
_LAST = {"Connection": "close"}


def _parse(path: str, status: int, text: bytes, model: type[_Reply]) -> _Reply:
    """Return the reply as its contract model; anything else counts as no answer at all."""
    try:
        parse_object(text)
        return model.model_validate_json(text)
    except (StrictJsonError, ValidationError):
        kind = model.__name__
        raise ServerUnavailable(f"{path}: the reply with status {status} is no {kind}, {len(text)} bytes") from None


def _is_unsent(error: RequestException) -> bool:
    """Whether no connection came about; one that failed in its handshake or later is not told apart."""
    inner = error.args[0] if error.args else None
    return isinstance(getattr(inner, "reason", None), ConnectTimeoutError)  # refused, unknown and timed out alike


def _cause(error: RequestException) -> str:
    """What went wrong, without the request that it went wrong with."""
    inner = getattr(error.args[0], "reason", error) if error.args else error
    return f"{type(inner).__name__}: {str(inner)[:200]}"
