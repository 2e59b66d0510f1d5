"""`4auth-provision gateway`: who may come through a gateway, and the files of one."""

import shutil
from pathlib import Path

import click

from auth_server.gateway_names import GatewayNames
from provisioning.act import Act, perform
from provisioning.desk import Desk, pass_desk, shared_options
from provisioning.errors import Refused
from provisioning.gateway_files import GatewayPlan, make_gateway
from provisioning.params import KIOSK_ID, USERNAME
from provisioning.tls import read_pin

_PORT = click.IntRange(1, 65535)


@click.group()
def gateway() -> None:
    """Say who may come through `4auth-gateway`, whose clients no signature proves.

    A gateway itself is registered by `4auth-provision kiosk add ID --gateway`, and let in by the
    server's settings: gateway.enabled.

    \b
    Example:
      4auth-provision gateway allow ann
    """


@gateway.command()
@click.argument("username", type=USERNAME, metavar="NAME")
@shared_options
@pass_desk
def allow(desk: Desk, username: str) -> None:
    """Let a person come through a gateway; a name without an account may then be registered through one.

    \b
    Example:
      4auth-provision gateway allow ann
    """
    with desk.site() as opened, perform(opened.database, _act("allow", desk, username)) as database:
        is_new = GatewayNames(database).allow(username)
        settings = opened.settings.gateway
    desk.output.say(f"{username} {'may' if is_new else 'might already'} come through a gateway.")
    if not settings.enabled:
        desk.output.say("No gateway is let in yet: set gateway.enabled = true in the server's settings.")
    desk.output.result({"allowed": username, "changed": is_new})


@gateway.command()
@click.argument("username", type=USERNAME, metavar="NAME")
@shared_options
@pass_desk
def forbid(desk: Desk, username: str) -> None:
    """Let a person come through no gateway any more, from the next request on. Kiosks are not touched.

    \b
    Example:
      4auth-provision gateway forbid ann
    """
    with desk.site() as opened, perform(opened.database, _act("forbid", desk, username)) as database:
        is_gone = GatewayNames(database).forbid(username)
        users = opened.settings.gateway.users
    desk.output.say(f"{username} {'may no longer' if is_gone else 'was not listed to'} come through a gateway.")
    if users == "all":
        desk.output.warn('4auth-provision: warning: gateway.users = "all", so everybody may come through all the same')
    desk.output.result({"forbidden": username, "changed": is_gone})


@gateway.command("list")
@shared_options
@pass_desk
def list_(desk: Desk) -> None:
    """List who may come through a gateway.

    \b
    Example:
      4auth-provision gateway list
    """
    with desk.site() as opened:
        names = GatewayNames(opened.database).list()
        settings = opened.settings.gateway
    if settings.users == "all":
        desk.output.say('gateway.users = "all": everybody may come through, listed or not.')
    desk.output.table(("NAME",), [(name,) for name in names])
    desk.output.result({"enabled": settings.enabled, "users": settings.users, "names": names})


@gateway.command()
@click.option("--folder", type=click.Path(path_type=Path, file_okay=False), required=True, help="A new folder.")
@click.option("--id", "gateway_id", type=KIOSK_ID, default="gateway", show_default=True, help="As the server lists it.")
@click.option("--port", type=_PORT, default=65432, show_default=True, help="Port for clients.")
@click.option("--health-port", type=_PORT, default=9465, show_default=True, help="Port on this machine only.")
@shared_options
@pass_desk
def init(desk: Desk, folder: Path, gateway_id: str, port: int, health_port: int) -> None:
    """Make the files of a gateway of a site that is there: TLS key, certificate and settings.

    `4auth-provision site init` makes one with each new site. Nothing is overwritten.

    \b
    Example:
      4auth-provision gateway init --folder /etc/4auth/gateway --id gate-1
    """
    settings = desk.settings
    plan = GatewayPlan(
        folder=folder.absolute(),
        site=settings.site,
        gateway_id=gateway_id,
        host=str(settings.listen.host),
        port=port,
        health_port=health_port,
        server_port=settings.listen.port,
    )
    pin = read_pin(settings.listen.tls_certificate)
    try:
        folder.mkdir(mode=0o700)
        try:
            make_gateway(plan, plan, pin, desk.now())
        except OSError:
            shutil.rmtree(folder, ignore_errors=True)  # it was made here, and half of it would stand in the way
            raise
    except OSError as error:
        raise Refused(f"{folder} cannot be made: {error.strerror}: name a new folder that you may write to") from error
    desk.output.say(f"The gateway {gateway_id} has its settings in {plan.settings}.")
    for line in next_steps(plan):
        desk.output.say(line)
    desk.output.result({"settings": str(plan.settings), "certificate": str(plan.certificate)})


def next_steps(plan: GatewayPlan) -> tuple[str, ...]:
    """Return what an operator does to let the wire protocol's clients in."""
    return (
        f"  4auth-gateway identity --settings {plan.settings}",
        f"  4auth-provision kiosk add {plan.gateway_id} --gateway --public-key KEY",
        "  gateway.enabled = true in the server's settings; docs/gateway.md says what it costs",
        f"  4auth-gateway --settings {plan.settings}",
    )


def _act(verb: str, desk: Desk, username: str) -> Act:
    return Act(f"admin.gateway.{verb}", desk.now(), username=username)
