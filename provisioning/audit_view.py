"""`audit view`: look through the log at a terminal."""

import sys
from typing import Any

import click

from auth_server.audit import AuditLog
from provisioning.audit_options import filter_options, row_filter
from provisioning.desk import Desk, pass_desk, shared_options
from provisioning.errors import Refused


@click.command()
@filter_options
@shared_options
@pass_desk
def view(desk: Desk, **wanted: Any) -> None:
    """Look through the log at a terminal: a list, each row explained, filters, and new rows as they come.

    The keys are shown at the bottom. Nothing is written.

    \b
    Example:
      4auth-provision audit view --outcome failure
    """
    if desk.output.is_json:
        raise click.UsageError("a viewer has no JSON: use `4auth-provision audit list --json`")
    if not (sys.stdout.isatty() and sys.stdin.isatty()):
        raise Refused("`audit view` needs a terminal: use `4auth-provision audit list`, which takes the same filters")
    # Imported on use: it takes half a second that no other command need wait for.
    from provisioning.audit_viewer import Viewer

    with desk.site() as opened:
        log = AuditLog(opened.database)
        Viewer(lambda asked: list(log.rows(asked)), opened.settings.site, row_filter(**wanted)).run()
