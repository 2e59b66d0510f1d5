"""The Flask application: routes, the one place where errors become replies, and a line per request."""

from time import perf_counter

import structlog
from flask import Flask, Response, request
from werkzeug.exceptions import HTTPException, InternalServerError

from auth_contract.actions import Reason
from auth_contract.limits import BODY_MAX_BYTES
from auth_contract.messages import ErrorReply
from auth_server import exchange
from auth_server.api import api, render, services
from auth_server.domain import AuditEntry, through_gateway_of
from auth_server.errors import AuthServerError, RequestRefused
from auth_server.incidents import report_incident
from auth_server.metrics import INCIDENTS, REQUEST_SECONDS, REQUESTS, UNWRITTEN_ROWS, count_outcome
from auth_server.probe import SOURCE
from auth_server.replies import SENTENCES, incident_reply, refusal
from auth_server.services import Services

log = structlog.get_logger(__name__)

_DRAIN_MAX_BYTES = 64 * 1024
_STORE_RETRY_AFTER_S = 10


def create_app(built: Services) -> Flask:
    """Return the application that answers with these services."""
    app = Flask("auth_server", static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = BODY_MAX_BYTES
    app.extensions["fourauth"] = built
    app.register_blueprint(api)
    app.before_request(lambda: exchange.begin(request))
    app.after_request(_finish)
    app.register_error_handler(RequestRefused, _refused)
    app.register_error_handler(HTTPException, _http_error)
    app.register_error_handler(Exception, _unforeseen)
    app.register_error_handler(InternalServerError, _broken_handler)
    # Flask would log foreign exceptions with their texts; `report_incident` logs them without.
    app.logger.disabled = True
    return app


def _refused(error: RequestRefused) -> Response:
    """Answer a refusal; where the pipeline has not written a row for it, write one first."""
    if not exchange.current().is_audited:
        _record_refusal(error)
    reply = refusal(error)
    response = render(reply, error.status)
    if reply.retry_after_s is not None:
        response.headers["Retry-After"] = str(reply.retry_after_s)
    if request.content_length is None or request.content_length > _DRAIN_MAX_BYTES:
        # An unread body would have to be drained before the next request: let the sender reconnect instead.
        response.headers["Connection"] = "close"
    return response


def _record_refusal(error: RequestRefused) -> None:
    """One row for each refusal; where no signature proves who sent it, within the source's budget of rows."""
    known = exchange.current()
    unwritten: int | None = 0
    if known.kiosk_id is None and not error.detail.get("authenticated"):
        unwritten = services().row_budget.spend(known.source_address)
    if unwritten is None:
        UNWRITTEN_ROWS.inc()
        return
    more = {"unwritten_before": unwritten} if unwritten else {}
    _record(error.reason, {"why": error.why, **error.detail, **more})


def _record(reason: Reason, detail: dict[str, object]) -> None:
    known = exchange.current()
    built = services()
    if detail.get("authenticated"):  # signed by this kiosk, and refused for another cause
        known.kiosk_id = str(detail["kiosk_id"])
    entry = AuditEntry(
        action=known.action,
        success=False,
        outcome_reason=reason.value,
        username=known.username,
        kiosk_id=known.kiosk_id,
        source_address=known.source_address,
        detail={
            **({"attempt": known.attempt_id} if known.attempt_id else {}),
            **through_gateway_of(known.peer),
            **detail,
        },
    )
    built.audit.record(entry, built.time.now())
    known.is_audited = True


def _http_error(error: HTTPException) -> Response:
    """Routing errors in the same form as every other refusal; they name no attempt, so none is audited."""
    status = error.code or 500
    reply = ErrorReply(reason=Reason.MALFORMED, message=SENTENCES[Reason.MALFORMED], field="request", rule=error.name)
    response = render(reply, status)
    response.headers.extend(
        (name, value) for name, value in error.get_headers() if name.lower() not in {"content-type", "content-length"}
    )
    return response


def _unforeseen(error: Exception) -> Response:
    """A denial with an incident number; the audit row is written if the store still can."""
    INCIDENTS.inc()
    incident = report_incident(log, error, path=request.path)
    known = exchange.current()
    known.is_audited = False
    try:
        _record(Reason.UNAVAILABLE, {"incident": incident})
    except Exception as second:  # the store itself is what broke: the log line above remains
        report_incident(log, second, path=request.path, while_auditing=incident)
    if not isinstance(error, AuthServerError):
        return render(incident_reply(incident), 500)
    response = render(incident_reply(incident, retry_after_s=_STORE_RETRY_AFTER_S), 503)
    response.headers["Retry-After"] = str(_STORE_RETRY_AFTER_S)
    return response


def _broken_handler(error: InternalServerError) -> Response:
    """What Flask makes of an error in one of the functions of this file."""
    cause = error.original_exception
    return _unforeseen(cause if isinstance(cause, Exception) else error)


def _finish(response: Response) -> Response:
    known = exchange.current()
    path = request.path if known.action != "none" else "other"
    elapsed_s = perf_counter() - known.started
    REQUESTS.labels(path, str(response.status_code)).inc()
    REQUEST_SECONDS.labels(path).observe(elapsed_s)
    count_outcome(known.action, response.get_json(silent=True))
    tell = log.debug if known.source_address == SOURCE else log.info  # the watchdog's own looks fill no log
    tell(
        "request",
        action=known.action,
        status=response.status_code,
        ms=round(elapsed_s * 1000, 1),
        kiosk=known.kiosk_id,
        attempt=known.attempt_id,
        source=known.source_address,
    )
    return response
