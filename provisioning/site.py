"""`4auth-provision site`: make a site, tell the pin that its kiosks need, upgrade its database."""

from pathlib import Path
from typing import Any

import click

from auth_server.admins import Admins
from auth_server.keyring import Keyring
from auth_server.secret_codes import grouped
from auth_server.store.database import upgrade_database
from auth_server.store.location import Postgresql
from provisioning.act import Act, perform
from provisioning.desk import Desk, opening, pass_desk, shared_options, yes_option
from provisioning.gateway import next_steps
from provisioning.location_url import POSTGRESQL_URL, with_password
from provisioning.params import ADDRESS, ADMIN_NAME, SITE
from provisioning.site_files import Made, make_site
from provisioning.site_key import next_key, next_pin, use_next_key
from provisioning.site_plan import SitePlan
from provisioning.tls import read_pin


@click.group()
def site() -> None:
    """Make a site, tell the pin that its kiosks need, upgrade its database.

    \b
    Example:
      4auth-provision site init --folder /etc/4auth --name head-office
    """


_FOLDER = click.Path(path_type=Path, file_okay=False)
_FILE = click.Path(path_type=Path, dir_okay=False, exists=True, resolve_path=True)
_PORT = click.IntRange(1, 65535)
_ANY_ADDRESS = "0.0.0.0"  # noqa: S104 - kiosks stand elsewhere; what they may do is decided by their keys


@site.command()
@click.option("--folder", type=_FOLDER, required=True, help="A new or empty folder.")
@click.option("--name", type=SITE, required=True, help="Lower-case letters, digits and -, at most 32.")
@click.option("--host", type=ADDRESS, default=_ANY_ADDRESS, show_default=True, help="Address to listen on.")
@click.option("--port", type=_PORT, default=8443, show_default=True, help="Port for kiosks.")
@click.option("--health-port", type=_PORT, default=9464, show_default=True, help="Port on this machine only.")
@click.option("--gateway-port", type=_PORT, default=65432, show_default=True, help="Port of the wire protocol.")
@click.option("--gateway-health-port", type=_PORT, default=9465, show_default=True, help="The gateway's health port.")
@click.option("--models", type=_FOLDER, help="Where the face models lie.  [default: FOLDER/models]")
@click.option("--time-source", multiple=True, help="An NTP server that cross-checks the clock; two or more, or none.")
@click.option(
    "--environment",
    type=click.Choice(["production", "development"]),
    default="production",
    show_default=True,
    help="Development allows what no real door may have.",
)
@click.option(
    "--presence",
    type=click.Choice(["both", "active", "passive", "off"]),
    default="both",
    show_default=True,
    help="Real-face check: by movements (active), by the look of the picture (passive). Off is for development only.",
)
@click.option("--postgresql", type=POSTGRESQL_URL, help="An empty database, in the place of a file of the site's own.")
@click.option("--password-file", type=_FILE, help="With --postgresql: holds the password of its user alone.")
@click.option("--admin", type=ADMIN_NAME, default="admin", show_default=True, help="Name of the first administrator.")
@shared_options
@pass_desk
def init(
    desk: Desk,
    folder: Path,
    name: str,
    models: Path | None,
    time_source: tuple[str, ...],
    postgresql: Postgresql | None,
    password_file: Path | None,
    **rest: Any,
) -> None:
    """Make a new site: keys, TLS key and certificate, database, first administrator and settings file.

    The administrator's secret is shown once. Nothing is overwritten, and a run that is interrupted
    leaves no half-made site.

    \b
    Example:
      4auth-provision site init --folder /etc/4auth --name head-office --port 8443
    """
    if password_file is not None and postgresql is None:
        raise click.UsageError("--password-file is for --postgresql: name the database too")
    if len(time_source) == 1:
        raise click.UsageError("one --time-source can lie unnoticed: name two or more, or none")
    if rest["presence"] == "off" and rest["environment"] != "development":
        raise click.UsageError("--presence off lets a photograph pass: it needs --environment development")
    folder = folder.absolute()
    plan = SitePlan(
        folder=folder,
        name=name,
        models=(models or folder / "models").absolute(),
        time_sources=time_source,
        postgresql=None if postgresql is None else with_password(postgresql, password_file),
        **rest,
    )
    _tell(desk, plan, make_site(plan, desk.now()))


_COSTS = {
    "active": 'presence "active" does not look for signs of a screen or a print: a good animation of a face may pass.',
    "passive": 'presence "passive" asks for no movements: a good recording on a good screen may pass.',
    "off": 'presence "off" lets a photograph pass.',
}


def _tell(desk: Desk, plan: SitePlan, made: Made) -> None:
    out = desk.output
    out.say(f"Site {plan.name} is made in {plan.folder}.")
    if plan.presence in _COSTS:
        out.say(f"Note: {_COSTS[plan.presence]}")
    out.say(f"Back up {plan.keys} now, apart from the database: without these keys the database opens for nobody.")
    out.say()
    out.say("Kiosks pin the server's key by this SHA-256:")
    out.say(f"  {made.pin}")
    out.say()
    out.say(f"The secret of the administrator {plan.admin}, shown this once:")
    out.say(f"  {grouped(made.admin_secret)}")
    out.say()
    out.say("Next:")
    out.say(f"  4auth-provision models fetch --folder {plan.models}")
    out.say(f"  4auth-provision --settings {plan.settings} kiosk add KIOSK --public-key KEY --mac MAC")
    out.say(f"  4auth-provision --settings {plan.settings} user add NAME --camera 0 --kiosk KIOSK")
    out.say(f"  4auth-server --settings {plan.settings}")
    out.say("For clients of the wire protocol, if you want them let in:")
    for line in next_steps(plan.gateway):
        out.say(line)
    out.result(
        {
            "site": plan.name,
            "settings": str(plan.settings),
            "keys": str(plan.keys),
            "database": str(plan.location),
            "certificate": str(plan.certificate),
            "gateway": {"settings": str(plan.gateway.settings), "certificate": str(plan.gateway.certificate)},
            "models": str(plan.models),
            "pin": made.pin,
            "admin": {"name": plan.admin, "role": "admin", "secret": grouped(made.admin_secret)},
        }
    )


@site.command()
@shared_options
@pass_desk
def pin(desk: Desk) -> None:
    """Tell the SHA-256 of the server's key, which every kiosk's settings name, and that of the next, if there is one.

    \b
    Example:
      4auth-provision --settings /etc/4auth/server.toml site pin
    """
    pinned = read_pin(desk.settings.listen.tls_certificate)
    following = next_pin(desk.settings.listen)
    desk.output.say(pinned)
    if following is not None:
        desk.output.say(f"{following}  (next)")
    desk.output.result({"pin": pinned, "next": following})


site.add_command(next_key)
site.add_command(use_next_key)


@site.command()
@yes_option
@shared_options
@pass_desk
def upgrade(desk: Desk, yes: bool) -> None:
    """Bring the database to the schema of this release; nothing changes where it has that already.

    Stop the server and back the database up before: an older release cannot open it afterwards.

    \b
    Example:
      4auth-provision site upgrade --yes
    """
    database = desk.settings.store.database
    desk.confirm(f"Is the server stopped, and {database} backed up?", is_agreed=yes)
    keyring = Keyring.load(desk.settings.store.keys)
    with opening():
        upgrade_database(database, keyring)
    with desk.site() as opened, perform(opened.database, Act("admin.site.upgrade", desk.now())):
        has_admin = bool(Admins(opened.database).list())
    desk.output.say(f"{database} has the schema of this release.")
    if not has_admin:
        desk.output.say("It has no administrator yet: `4auth-provision admin add NAME --role admin` makes the first.")
    desk.output.result({"database": str(database), "current": True, "has_admin": has_admin})
