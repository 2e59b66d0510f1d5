"""A door that a controller opens: a POST of JSON, answered by a status from 200 to 299.

`{"event": "door_open", "kiosk": ..., "username": ..., "jti": ...}`; a controller that saw a `jti` before
ignores it, since a request whose answer was lost is sent again. What else the answer says is not read.
"""

import hashlib
import hmac
import json
import stat
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import structlog
from requests import RequestException
from requests.sessions import Session

from auth_client.access_list import is_closed_by_list
from auth_client.errors import ServerNotTrusted
from auth_client.pinning import pinned_session
from kiosk_agent.errors import BackendRefused, DoorFault
from kiosk_agent.events import VerifiedAssertion
from kiosk_agent.settings.doors import WebhookDoor

SIGNATURE_HEADER: Final = "X-4Auth-Signature"
"""`sha256=` and the HMAC of the body in hex, as in the server's notifications."""

_SECRET_MIN_BYTES: Final = 16
_FIRST_PAUSE_S: Final = 0.3


class WebhookBackend:
    """Posts to one address: no redirect is followed, and no proxy or password is taken from the environment."""

    def __init__(
        self,
        settings: WebhookDoor,
        *,
        kiosk_id: str = "",
        tell: object = None,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        """Read the secret. Raises BackendRefused where a file is missing, open to others or too short."""
        del tell  # what is wrong with a controller shows when it is asked
        self._settings = settings
        self._kiosk_id = kiosk_id
        self._monotonic = monotonic
        self._sleep = sleep
        self._secret = None if settings.secret_file is None else _read_secret(settings.secret_file)
        if settings.ca_file is not None and not settings.ca_file.is_file():
            raise BackendRefused(f"door.ca_file: {settings.ca_file}: there is no such file")
        self._session = _session(settings)

    def open_for(self, assertion: VerifiedAssertion) -> None:
        """Ask the controller; tries again what may pass, as long as `patience_s` lasts. Raises DoorFault."""
        document = {"event": "door_open", "kiosk": self._kiosk_id}
        body = json.dumps(document | {"username": assertion.username, "jti": assertion.jti}).encode()
        ends_s, pause_s = self._monotonic() + self._settings.patience_s, _FIRST_PAUSE_S
        while (problem := self._try(body)) is not None:
            if self._monotonic() + pause_s >= ends_s:
                raise DoorFault(f"the door's controller did not open: {problem}")
            self._sleep(pause_s)
            pause_s *= 2
        _log().info("door_opened", username=assertion.username, jti=assertion.jti)

    def settle(self) -> None:
        """How long the door stays open is the controller's business."""

    def close(self) -> None:
        """Close what connections there are."""
        self._session.close()

    def _try(self, body: bytes) -> str | None:
        """Return why it did not work and may be tried again, or None; raises DoorFault where trying is no use."""
        try:
            with self._session.post(
                self._settings.url,
                data=body,
                headers=self._headers(body),
                timeout=self._settings.timeout_s,
                allow_redirects=False,
                stream=True,
            ) as response:
                status = response.status_code
        except ServerNotTrusted as error:
            raise DoorFault(f"the door's controller has the key {error.found}, which is none of door.pins") from error
        except RequestException as error:
            return f"no answer ({type(error).__name__})"
        if 200 <= status < 300:
            return None
        if status >= 500:
            return f"status {status}"
        raise DoorFault(f"the door's controller refused with status {status}")

    def _headers(self, body: bytes) -> dict[str, str]:
        headers = {"Content-Type": "application/json", "User-Agent": "4auth-kiosk", "Connection": "close"}
        if self._secret is None:
            return headers
        if self._settings.secret_use == "bearer":  # noqa: S105 - the name of a way
            return headers | {"Authorization": f"Bearer {self._secret.decode('ascii')}"}
        return headers | {SIGNATURE_HEADER: "sha256=" + hmac.new(self._secret, body, hashlib.sha256).hexdigest()}


def _session(settings: WebhookDoor) -> Session:
    if settings.pins:
        return pinned_session(settings.pins)
    session = Session()
    session.trust_env = False
    session.headers.clear()
    session.verify = True if settings.ca_file is None else str(settings.ca_file)
    return session


def _read_secret(path: Path) -> bytes:
    try:
        mode, secret = path.stat().st_mode, path.read_bytes().strip()
    except OSError as error:
        raise BackendRefused(f"door.secret_file: {path}: {error.strerror}") from error
    if mode & (stat.S_IRWXG | stat.S_IRWXO) and not is_closed_by_list(path):
        raise BackendRefused(f"door.secret_file: {path} is open to others: chmod 0600, and change the secret")
    if len(secret) < _SECRET_MIN_BYTES or not secret.isascii():
        raise BackendRefused(f"door.secret_file: {path} needs {_SECRET_MIN_BYTES} ASCII characters or more")
    return secret


def _log() -> structlog.stdlib.BoundLogger:
    logger: structlog.stdlib.BoundLogger = structlog.get_logger("kiosk_agent.door")
    return logger
