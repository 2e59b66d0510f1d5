"""`4auth-provision completion`: the script by which a shell completes commands, options and names."""

import click
from click.shell_completion import get_completion_class

from provisioning.desk import Desk, pass_desk, shared_options

PROGRAM = "4auth-provision"
VARIABLE = "_4AUTH_PROVISION_COMPLETE"
"""By which the shell asks: click reads it of its own accord."""


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@shared_options
@pass_desk
def completion(desk: Desk, shell: str) -> None:
    """Print the completion script of a shell. Kiosks and people complete where the store can be opened.

    \b
    Example:
      4auth-provision completion bash > /usr/share/bash-completion/completions/4auth-provision
    """
    kind = get_completion_class(shell)
    if kind is None:
        raise click.UsageError(f"no completion is known for {shell}")
    # The program's name begins with a digit; the names that click makes of it begin with _, as shells want it.
    script = kind(click.Group(PROGRAM), {}, PROGRAM, VARIABLE).source()
    if not desk.output.is_json:
        click.echo(script)
    desk.output.result({"shell": shell, "script": script})
