"""One request to one server: signed, sent over a pinned connection, its reply read with a cap."""

from email.utils import parsedate_to_datetime
from typing import Any, TypeVar

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from http_message_signatures import HTTPMessageSignaturesException
from pydantic import BaseModel, ValidationError
from requests import PreparedRequest, Request, Response
from requests.exceptions import ReadTimeout

from auth_client.errors import Refused, ServerUnavailable
from auth_client.pinning import pinned_session
from auth_client.settings import ServerSettings
from auth_client.signature import KioskSignature
from auth_client.surroundings import Surroundings
from auth_contract.messages import ErrorReply
from auth_contract.signing import CONTENT_TYPE
from auth_contract.strict_json import StrictJsonError, parse_object

REPLY_MAX_BYTES = 64 * 1024
"""The largest reply, a key set, has under 1 KiB."""

_Reply = TypeVar("_Reply", bound=BaseModel)


class Sender:
    """Sends one device's requests to any of its servers. Not for several threads at once.

    What goes wrong on the way is a RequestException; ServerNotTrusted is raised before anything is sent.
    `clock_offset_s` is this clock minus the server's by the date of the last reply, whatever it said.
    """

    def __init__(self, settings: ServerSettings, kiosk_id: str, key: Ed25519PrivateKey, around: Surroundings) -> None:
        self._settings = settings
        self._kiosk_id = kiosk_id
        self._key = key
        self._around = around
        self._http = pinned_session(settings.pins)
        self.clock_offset_s: float | None = None

    def post(
        self,
        url: str,
        path: str,
        message: BaseModel,
        reply: type[_Reply],
        *,
        nonce: str | None = None,
        read_s: float | None = None,
        is_kept: bool = False,
    ) -> _Reply:
        """Send a message, signed over a nonce, and return what the server replied.

        It is waited for `read_s` seconds. The next request goes over the same connection where this one `is_kept`.
        Raises Refused, and ServerUnavailable where the reply cannot be understood.
        """
        signature = KioskSignature(
            self._kiosk_id, self._key, nonce=nonce or self._around.new_nonce(), created=self._around.now()
        )
        body = message.model_dump_json(exclude_none=True).encode()
        headers = _HEADERS if is_kept else {**_HEADERS, **_LAST}
        request = Request("POST", url + path, headers, data=body, auth=signature)
        try:
            status, text = self._send(request.prepare(), read_s, is_kept=is_kept)
        except HTTPMessageSignaturesException as error:
            raise ServerUnavailable(f"{path}: the request could not be signed: {error}") from None
        if status != 200:
            raise Refused(status, _parse(path, status, text, ErrorReply))
        return _parse(path, status, text, reply)

    def get(self, url: str, path: str) -> dict[str, Any]:
        """Return the JSON object that the server shows there; raises ServerUnavailable where it is none."""
        status, text = self._send(Request("GET", url + path, {**_HEADERS, **_LAST}).prepare())
        if status != 200:
            raise ServerUnavailable(f"{path}: status {status}")
        try:
            return parse_object(text)
        except StrictJsonError as error:
            raise ServerUnavailable(f"{path}: {error}") from None

    def close(self) -> None:
        """Close what is open."""
        self._http.close()

    def _send(
        self, request: PreparedRequest, read_s: float | None = None, *, is_kept: bool = False
    ) -> tuple[int, bytes]:
        timeouts = (self._settings.connect_timeout_s, read_s or self._settings.read_timeout_s)
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
