"""What it means that an exchange failed: may another server be asked, and what is told where none answered."""

from collections.abc import Mapping

from requests import RequestException
from requests.exceptions import ConnectionError as ConnectionFailed
from requests.exceptions import ReadTimeout
from urllib3.exceptions import ConnectTimeoutError

from auth_client.errors import (
    Refused,
    ReplyLost,
    ServerError,
    ServerNotTrusted,
    ServerUnavailable,
    ServerUnreachable,
)
from auth_contract.actions import Reason

Failure = RequestException | ServerError


class NoAnswer(Exception):
    """None of the servers that were asked answered; `failures` has why, by address, in the order of asking."""

    def __init__(self, failures: Mapping[str, Failure]) -> None:
        super().__init__("; ".join(f"{url}: {words(failure)}" for url, failure in failures.items()))
        self.failures = failures

    @property
    def is_brief(self) -> bool:
        """Whether all may be asked again a moment later.

        A read time-out was long already, and a server that slow is not helped by more.
        """
        return all(
            isinstance(failure, ConnectionFailed) and not isinstance(failure, ReadTimeout)
            for failure in self.failures.values()
        )

    def told(self) -> ServerError:
        """The one error for all: a server's own words before another key, and that before silence."""
        failures = tuple(self.failures.values())
        for kind in (Refused, ServerNotTrusted):
            for failure in failures:
                if isinstance(failure, kind):
                    return failure
        if len(failures) == 1 and isinstance(failures[0], ServerError):
            return failures[0]
        return ServerUnavailable(str(self))

    def told_of_submission(self, path: str) -> ServerError:
        """The same of a submission, of which the last server that was asked may have read it, and no other."""
        url, last = list(self.failures.items())[-1]
        if is_unsent(last):
            told = self.told()
            return told if isinstance(told, ServerNotTrusted) else ServerUnreachable(f"{self}; nothing was sent")
        if isinstance(last, ServerError):
            return last
        return ReplyLost(f"{url}{path}: {words(last)}; the attempt is not sent again")


def is_away(failure: Failure) -> bool:
    """Whether the server does not serve: it gave no answer that can be used, or one that says so."""
    return not isinstance(failure, Refused) or failure.reply.reason is Reason.UNAVAILABLE


def is_unsent(failure: Failure) -> bool:
    """Whether no byte of the request was sent: no connection came about, or one to another key."""
    if isinstance(failure, ServerError):
        return isinstance(failure, ServerNotTrusted)
    inner = failure.args[0] if failure.args else None
    return isinstance(getattr(inner, "reason", None), ConnectTimeoutError)  # refused, unknown and timed out alike


def words(failure: Failure) -> str:
    """What went wrong, without the request that it went wrong with."""
    if isinstance(failure, ServerError):
        return str(failure)
    inner = getattr(failure.args[0], "reason", failure) if failure.args else failure
    return f"{type(inner).__name__}: {str(inner)[:200]}"
