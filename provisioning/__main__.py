"""The command `4auth-provision`."""

import resource
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import click

from auth_server.errors import AuthServerError
from provisioning.admin import admin
from provisioning.audit import audit
from provisioning.backup import backup
from provisioning.completion import completion
from provisioning.desk import Desk, shared_options
from provisioning.errors import ProvisioningError, exit_code
from provisioning.face import face
from provisioning.gateway import gateway
from provisioning.guard import guard
from provisioning.import_original import import_original
from provisioning.keys import keys
from provisioning.kiosk import kiosk
from provisioning.models import models
from provisioning.notifications import notifications
from provisioning.restore import restore
from provisioning.site import site
from provisioning.store import store
from provisioning.user import user


class Program(click.Group):
    """Turns our errors into one sentence and an exit code: the only place that does."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the chosen command."""
        try:
            return super().invoke(ctx)
        except (AuthServerError, ProvisioningError) as error:
            output = ctx.ensure_object(Desk).output
            for line in str(error).splitlines():
                output.warn(f"4auth-provision: {line}")
            output.result({"error": {"kind": type(error).__name__, "message": str(error)}})
            ctx.exit(exit_code(error))


def _version() -> str:
    try:
        return version("fourauth")
    except PackageNotFoundError:
        return "not installed"


@click.group(
    cls=Program,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Exit codes: 0 done; 1 refused, or something was found wrong; 2 wrong usage; "
    "78 settings, keys, database or models must be mended first.",
)
@shared_options
@click.version_option(_version(), prog_name="4auth-provision")
@click.pass_context
def cli(context: click.Context) -> None:
    """Set up a 4Auth site and look after its kiosks, users and audit log.

    Runs on the server host, as the user that owns the site's keys.

    \b
    Example:
      4auth-provision site init --folder /etc/4auth --name head-office
    """
    context.ensure_object(Desk)


for noun in (
    site,
    admin,
    keys,
    kiosk,
    gateway,
    user,
    store,
    audit,
    notifications,
    models,
    face,
    completion,
    backup,
    restore,
    import_original,
):
    cli.add_command(noun)
guard(cli)


def main() -> None:
    """Run the command and end the process with its exit code."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core file would hold keys and passwords
    cli(prog_name="4auth-provision")


if __name__ == "__main__":
    main()
