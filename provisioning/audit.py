"""`4auth-provision audit`: read the log of every attempt and act, prove it whole, and take it along."""

import click

from provisioning.audit_copy import copy_checkpoints
from provisioning.audit_erase import erase
from provisioning.audit_export import export
from provisioning.audit_prove import verify
from provisioning.audit_read import list_, show, why
from provisioning.audit_restore import accept_restore
from provisioning.audit_ship import ship
from provisioning.audit_view import view


@click.group()
def audit() -> None:
    """Read the log of every attempt and every administrative act, and prove it whole.

    \b
    Example:
      4auth-provision audit list --user ann --outcome failure
    """


for command in (list_, show, why, view, verify, export, ship, copy_checkpoints, erase, accept_restore):
    audit.add_command(command)
