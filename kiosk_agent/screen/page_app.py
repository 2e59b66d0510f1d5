"""The page's routes: the page itself, its events, the preview, and presses on it.

Only this machine can reach them, and only a browser that came by the address with the token gets anything:
the QR code of a new secret is for the person at the screen, not for other programs of the machine.
"""

import json
import mimetypes
import secrets
import time
from collections.abc import Iterator
from importlib.resources import files
from typing import TYPE_CHECKING, Final, TypeVar

from flask import Flask, Response, abort, redirect, request
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from kiosk_agent.camera.jpeg import Form, encode_jpeg
from kiosk_agent.events import Cancelled, Cleared, Entered, Erased, KeyEvent, MoreTime, Typed

if TYPE_CHECKING:
    from kiosk_agent.screen.page import Shown

COOKIE: Final = "screen"
_BEAT_S: Final = 5.0
"""A comment so often, by which the page knows that the agent lives, and the agent that the page is gone."""

_PREVIEW: Final = Form(70, 480, 480)
_BODY_MAX: Final = 200

_HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=(), clipboard-read=()",
}

_NAMED: Final[dict[str, KeyEvent]] = {
    "Enter": Entered(),
    "Backspace": Erased(),
    "Delete": Cleared(),
    "Escape": Cancelled(),
    "Tab": MoreTime(),
}
"""Keys of a browser, by their names in UI Events."""


class _Press(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)
    place: str
    round: int


class _Key(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)
    key: str = Field(repr=False)


_Form = TypeVar("_Form", bound=BaseModel)


def create_app(shown: "Shown") -> Flask:
    """Return the page's application over what is shown."""
    app = Flask("kiosk_agent.screen", static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = _BODY_MAX
    app.before_request(lambda: _check(shown))
    app.after_request(_harden)

    @app.get("/enter")
    def enter() -> Response:
        """Let in whoever knows the token, and take it out of the address."""
        answer = redirect("/", 303)
        answer.set_cookie(COOKIE, shown.token, httponly=True, samesite="Strict")
        return answer  # type: ignore[return-value]  # werkzeug's response is what Flask's derives from

    found = _files()

    @app.get("/")
    def page() -> Response:
        return _file(found, "page.html")

    @app.get("/static/<name>")
    def static_file(name: str) -> Response:
        return _file(found, name)

    @app.get("/events")
    def events() -> Response:
        return Response(_events(shown), mimetype="text/event-stream")

    @app.get("/preview")
    def preview() -> Response:
        if shown.picture() is None:
            abort(404)
        return Response(_preview(shown), mimetype="multipart/x-mixed-replace; boundary=frame")

    @app.post("/press")
    def press() -> Response:
        """A finger on the pad: {"place": "0" to "9" or the name of a key, "round": number}."""
        if shown.pad is None:
            abort(404)
        sent = _sent(_Press)
        for event in shown.pad.press(sent.place, sent.round):
            shown.put(event)
        return Response(status=204)

    @app.post("/key")
    def key() -> Response:
        """A key of the browser's own keyboard: {"key": name}, in development only."""
        if not shown.settings.keyboard:
            abort(404)
        event = _key(_sent(_Key).key)
        if event is not None:
            shown.put(event)
        return Response(status=204)

    return app


def _files() -> dict[str, bytes]:
    """The page's own files, read once: nothing else can be asked for, and none is open while a browser takes it."""
    folder = files("kiosk_agent.screen") / "static"
    return {file.name: file.read_bytes() for file in folder.iterdir()}


def _file(found: dict[str, bytes], name: str) -> Response:
    if name not in found:
        abort(404)
    return Response(found[name], mimetype=mimetypes.guess_type(name)[0])


def _check(shown: "Shown") -> None:
    """Let nobody in by another name of this machine (DNS rebinding), from another page, or without the token."""
    if request.host.rpartition(":")[0] not in {"127.0.0.1", "localhost", "[::1]"}:
        abort(403)
    if request.method == "POST" and request.headers.get("Origin") != request.host_url.rstrip("/"):
        abort(403)
    is_entering = request.path == "/enter"
    given = request.args.get("token", "") if is_entering else request.cookies.get(COOKIE, "")
    if not secrets.compare_digest(given.encode(), shown.token.encode()):
        abort(403)


def _harden(response: Response) -> Response:
    response.headers.update(_HEADERS)
    return response


def _sent(form: type[_Form]) -> _Form:
    try:
        return form.model_validate_json(request.get_data())
    except ValidationError:
        abort(400)


def _key(name: str) -> KeyEvent | None:
    if name in _NAMED:
        return _NAMED[name]
    return Typed(name) if len(name) == 1 and name.isprintable() else None


def _events(shown: "Shown") -> Iterator[str]:
    number = 0
    yield "retry: 500\n\n"
    while True:
        number, view = shown.after(number, _BEAT_S)
        if number < 0:
            return
        yield ": beat\n\n" if view is None else f"data: {json.dumps(view, ensure_ascii=False)}\n\n"


def _preview(shown: "Shown") -> Iterator[bytes]:
    """JPEGs until the person has left the camera; a browser draws one when the line after it has come."""
    last: object = None
    yield b"--frame\r\n"
    while (picture := shown.picture()) is not None:
        if picture is not last:
            last = picture
            jpeg = encode_jpeg(picture, _PREVIEW)
            yield b"Content-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n%s\r\n--frame\r\n" % (len(jpeg), jpeg)
        time.sleep(1 / shown.settings.preview_fps)
