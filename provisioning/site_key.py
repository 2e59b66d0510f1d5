"""`4auth-provision site next-key` and `use-next-key`: another TLS key, which kiosks pin before any of them meets it.

The next key lies beside the one in use until it takes that one's place. The key is moved before the certificate, whose
being there says that there is something left to do: a run that was killed is ended by the next.
"""

from pathlib import Path

import click

from auth_server.on_disk import flush_folder, write_new
from auth_server.settings import ListenSettings
from provisioning.act import Act, perform
from provisioning.desk import Desk, pass_desk, shared_options
from provisioning.errors import Refused
from provisioning.tls import make_identity, read_pin


def next_files(listen: ListenSettings) -> tuple[Path, Path]:
    """Return where the next key and its certificate lie, if there are any."""
    return listen.tls_key.with_name("next.key"), listen.tls_certificate.with_name("next.crt")


def next_pin(listen: ListenSettings) -> str | None:
    """Return the pin of the next key, None where there is none. Raises Refused where its certificate cannot be read."""
    _, certificate = next_files(listen)
    return read_pin(certificate) if certificate.exists() else None


@click.command("next-key")
@shared_options
@pass_desk
def next_key(desk: Desk) -> None:
    """Make the key that kiosks are to pin next, unless there is one, and tell its pin.

    Write both pins into every kiosk's settings, wait until all have taken them, and then: site use-next-key.

    \b
    Example:
      4auth-provision site next-key
    """
    settings = desk.settings
    is_new = next_pin(settings.listen) is None
    if is_new:
        with desk.site() as opened, perform(opened.database, act := Act("admin.site.next-key", desk.now())):
            _make(settings.listen, settings.site, desk)
            act.notes["pin"] = next_pin(settings.listen)
    pin = next_pin(settings.listen)
    desk.output.say(f"Kiosks are to pin this key too, before it is used:\n  {pin}")
    desk.output.result({"next": pin, "is_new": is_new})


@click.command("use-next-key")
@shared_options
@pass_desk
def use_next_key(desk: Desk) -> None:
    """Put the next key in the place of the one in use; whatever shows it takes it at its next start or reload.

    A kiosk that does not pin it by now is told that this server is not the one it knows.

    \b
    Example:
      4auth-provision site use-next-key
    """
    listen = desk.settings.listen
    pin = next_pin(listen)
    if pin is None:
        raise Refused("there is no next key: make one with `4auth-provision site next-key`")
    act = Act("admin.site.use-next-key", desk.now(), detail={"old_pin": read_pin(listen.tls_certificate), "pin": pin})
    with desk.site() as opened, perform(opened.database, act):
        _use(listen)
    desk.output.say(f"The server's key is the one of this pin now:\n  {pin}")
    desk.output.result({"pin": pin})


def _make(listen: ListenSettings, site: str, desk: Desk) -> None:
    key, certificate = next_files(listen)
    identity = make_identity(site, str(listen.host), desk.now())
    try:
        key.unlink(missing_ok=True)  # of a run that was killed before the certificate was there
        write_new(key, identity.key_pem, 0o600)
        write_new(certificate, identity.certificate_pem, 0o644)
    except OSError as error:
        raise Refused(f"{key.parent} cannot be written to: {error.strerror}: run this as its owner") from error


def _use(listen: ListenSettings) -> None:
    key, certificate = next_files(listen)
    try:
        if key.exists():
            key.replace(listen.tls_key)
            flush_folder(listen.tls_key.parent)
        certificate.replace(listen.tls_certificate)
        flush_folder(listen.tls_certificate.parent)
    except OSError as error:
        raise Refused(f"{key.parent} cannot be written to: {error.strerror}: run this as its owner") from error
