"""The device's side, a kiosk's or a gateway's: which exchanges there are, and which server each is had with.

Opening an attempt and a heartbeat may be repeated: the server only opens another attempt or notes
another sign of life. A submission is never sent twice by itself: where its reply is lost nobody
here can know whether it arrived, its attempt may be used up, and a second one might count as a
second guess. `ReplyLost` then tells the person to start again. Where no connection came about,
nothing was sent and nothing is in doubt: that is `ServerUnreachable`.

Where a site has several servers, they share one store, and the next is asked at once where one does
not serve: of what may be repeated always, of a submission only where nothing of it was sent.

A submission goes over the connection on which its attempt was opened a moment before, where that
still stands; every other exchange has a connection of its own, because one that is kept for long
may be closed by the server in the moment in which it is used again.
"""

from collections.abc import Callable, Iterable
from typing import Any, Literal, TypeVar, overload

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from requests import RequestException

from auth_client.addresses import Addresses
from auth_client.errors import ServerError
from auth_client.failures import Failure, NoAnswer, is_away, is_unsent
from auth_client.sender import Sender
from auth_client.settings import ServerSettings
from auth_client.surroundings import Surroundings, real_surroundings
from auth_contract import paths
from auth_contract.actions import Action
from auth_contract.messages import (
    AttemptReply,
    AttemptRequest,
    ChangeReply,
    GatewayRefusal,
    HeartbeatReply,
    HeartbeatRequest,
    LoginReply,
    Noted,
    SubmissionRequest,
)

__all__ = ["AuthClient", "Surroundings", "real_surroundings"]

_WAIT_LEAST_S = 0.1
_Answer = TypeVar("_Answer")


class AuthClient:
    """One device's exchanges with its auth servers. Not for several threads at once; `addresses` may be shared."""

    def __init__(
        self,
        settings: ServerSettings,
        kiosk_id: str,
        key: Ed25519PrivateKey,
        around: Surroundings,
        addresses: Addresses | None = None,
    ) -> None:
        self._settings = settings
        self._around = around
        self._addresses = addresses or Addresses(settings, around.monotonic)
        self._sender = Sender(settings, kiosk_id, key, around)
        self._opened_at: str | None = None

    @property
    def clock_offset_s(self) -> float | None:
        """This clock minus the server's by the date of its last reply, whatever it said."""
        return self._sender.clock_offset_s

    @property
    def faults(self) -> tuple[str, ...]:
        """What whoever answers should hear of the other addresses: at which of them another key was shown."""
        return tuple(f"another key than a pinned one is shown at {url}" for url in self._addresses.strangers)

    def open_attempt(self, action: Action, name: str = "", *, peer: str | None = None) -> AttemptReply:
        """Open an attempt at an action by somebody of this name; repeated on connection errors.

        All servers together are waited for as long as one would be, since somebody stands there.

        A gateway names the `peer` for whom it asks. Raises Refused or ServerUnavailable.
        """
        request = AttemptRequest(action=action, username=name or None, peer=peer)

        def open_at(url: str) -> AttemptReply:
            patience_s = self._settings.read_timeout_s / len(self._settings.urls)
            attempt = self._sender.post(url, paths.ATTEMPTS, request, AttemptReply, read_s=patience_s, is_kept=True)
            self._opened_at = url
            return attempt

        return self._repeat(open_at)

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
        began = self._around.monotonic()

        def left_s() -> float:
            """Whoever waits for the decision waits no longer for several servers than for one."""
            return self._settings.read_timeout_s - round(self._around.monotonic() - began, 1)

        def send_to(url: str) -> LoginReply | ChangeReply:
            return self._sender.post(url, path, request, reply, nonce=nonce, read_s=max(left_s(), _WAIT_LEAST_S))

        def may_ask_next(failure: Failure) -> bool:
            return is_unsent(failure) and left_s() > 0

        try:
            return self._first_answer(self._addresses.in_order(self._opened_at), send_to, may_ask_next)
        except NoAnswer as none:
            raise none.told_of_submission(path) from None

    def heartbeat(self, beat: HeartbeatRequest) -> HeartbeatReply:
        """Send a sign of life; repeated on connection errors. Raises Refused or ServerUnavailable."""
        return self._repeat(lambda url: self._sender.post(url, paths.HEARTBEAT, beat, HeartbeatReply))

    def note_refusal(self, refusal: GatewayRefusal) -> Noted:
        """Have a gateway's refusal written down; repeated on connection errors. Raises Refused or ServerUnavailable."""
        return self._repeat(lambda url: self._sender.post(url, paths.GATEWAY_REFUSALS, refusal, Noted))

    def jwks(self) -> dict[str, Any]:
        """Return the server's key set; repeated on connection errors. Raises ServerUnavailable."""
        return self._repeat(lambda url: self._sender.get(url, paths.JWKS))

    def close(self) -> None:
        """Close what is open."""
        self._sender.close()

    def _repeat(self, exchange: Callable[[str], _Answer]) -> _Answer:
        wait_s = self._settings.backoff_s
        for tries_left in range(self._settings.retries, -1, -1):
            try:
                return self._first_answer(self._addresses.in_order(), exchange, lambda _failure: True)
            except NoAnswer as none:
                if not tries_left or not none.is_brief:
                    raise none.told() from None
            self._around.sleep(wait_s)
            wait_s *= 2
        raise AssertionError("the last try returns or raises")

    def _first_answer(
        self, urls: Iterable[str], exchange: Callable[[str], _Answer], may_ask_next: Callable[[Failure], bool]
    ) -> _Answer:
        """Ask one server after another. Raises Refused where one refuses, NoAnswer where none serves."""
        failures: dict[str, Failure] = {}
        for url in urls:
            try:
                answer = exchange(url)
            except (RequestException, ServerError) as failure:
                if not is_away(failure):
                    self._addresses.answered(url)
                    raise
                self._addresses.failed(url, failure)
                failures[url] = failure.with_traceback(None)  # whose frames would keep the connection open
                if not may_ask_next(failure):
                    break
            else:
                self._addresses.answered(url)
                return answer
        raise NoAnswer(failures)
