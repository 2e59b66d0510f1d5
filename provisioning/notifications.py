"""`4auth-provision notifications`: what waits to be told, and whether telling works."""

import secrets
from typing import TYPE_CHECKING

import click

from auth_server.errors import DeliveryFailed
from auth_server.notifications import Event, Notification, Notifications, body_text
from provisioning.act import Act, perform, refusals_recorded
from provisioning.desk import Desk, Site, pass_desk, shared_options
from provisioning.errors import Refused

if TYPE_CHECKING:
    from auth_server.notifier import Backend


@click.group()
def notifications() -> None:
    """See which notifications wait, try them again, and send a test.

    \b
    Example:
      4auth-provision notifications list
    """


@notifications.command("list")
@shared_options
@pass_desk
def list_(desk: Desk) -> None:
    """List what waits to be delivered, the oldest first.

    \b
    Example:
      4auth-provision notifications list --json
    """
    with desk.site() as opened:
        waiting = Notifications(opened.database).list()
        kind = opened.settings.notify.kind
    documents = [_document(desk, one) for one in waiting]
    desk.output.table(
        ("NUMBER", "EVENT", "NAME", "SINCE", "TRIES", "NEXT TRY", "STANDING", "LAST ERROR"),
        [["-" if value is None else str(value) for value in document.values()] for document in documents],
    )
    if waiting and kind == "none":
        desk.output.say('Nobody is told while notify.kind = "none": these wait until the settings name somebody.')
    overdue = sum(document["standing"] == "overdue" for document in documents)
    desk.output.result({"kind": kind, "waiting": len(documents), "overdue": overdue, "notifications": documents})


@notifications.command()
@click.argument("numbers", type=click.IntRange(1), nargs=-1, metavar="[NUMBER]...")
@shared_options
@pass_desk
def retry(desk: Desk, numbers: tuple[int, ...]) -> None:
    """Let the server try notifications again at once: those of the given numbers, or all.

    \b
    Example:
      4auth-provision notifications retry 17 18
    """
    act = Act("admin.notifications.retry", desk.now(), detail={"numbers": list(numbers[:20]) or "all"})
    with desk.site() as opened, perform(opened.database, act) as database:
        outbox = Notifications(database)
        missing = sorted(set(numbers) - {one.number for one in outbox.list()})
        if missing:
            raise Refused(f"no notification {missing[0]} waits: `4auth-provision notifications list` tells which do")
        count = outbox.retry(numbers or None, act.now)
    desk.output.say(f"The server tries {count} again now.")
    desk.output.result({"retried": count})


@notifications.command()
@shared_options
@pass_desk
def test(desk: Desk) -> None:
    """Send a notification now, past the queue, and say what came of it; exit 1 when it was not taken.

    \b
    Example:
      4auth-provision notifications test
    """
    # Imported on use: other commands need not wait for what it brings along.
    from auth_server.notifier import backend_of

    act = Act("admin.notifications.test", desk.now())
    with desk.site() as opened, refusals_recorded(opened.database, act):
        kind = opened.settings.notify.kind
        backend = backend_of(opened.settings.notify)
        if backend is None:
            raise Refused('notify.kind = "none", so nobody is told: name a command or a webhook in the settings')
        _send_test(desk, opened, backend)
        with perform(opened.database, act):
            pass
    desk.output.say(f"The {kind} has taken it.")
    desk.output.result({"kind": kind, "delivered": True})


def _send_test(desk: Desk, opened: Site, backend: "Backend") -> None:
    now = desk.now()
    body = body_text(Event.TEST, None, {}, now, secrets.token_urlsafe(16))
    sent = Notification(0, Event.TEST, None, body, now, now, 0, None)
    try:
        backend.deliver(sent.document(opened.settings.site))
    except DeliveryFailed as error:
        raise Refused(f"it was not taken: {error}") from error


def _document(desk: Desk, one: Notification) -> dict[str, object]:
    is_overdue = one.is_overdue(desk.now())
    return {
        "number": one.number,
        "event": one.event,
        "username": one.username,
        "created_at": one.created_at.isoformat(timespec="seconds"),
        "tries": one.tries,
        "next_try_at": one.next_try_at.isoformat(timespec="seconds"),
        "standing": "overdue" if is_overdue else "failing" if one.last_error else "waiting",
        "last_error": one.last_error,
    }
