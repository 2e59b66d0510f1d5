"""`4auth-provision user set`: which movements before the camera a person is never asked for."""

from typing import Any, Final

import click

from auth_contract.actions import HEAD_MOVEMENTS, Movement
from auth_server.exemptions import KINDS_MIN, Exemptions
from provisioning.act import Act, perform
from provisioning.desk import Command, Desk, pass_desk, shared_options
from provisioning.errors import Refused
from provisioning.params import USERNAME
from provisioning.user_lookup import no_account

_FLAT: Final = (
    "No movement of the head is left, so that a flat picture cannot be told by its want of depth: for this person the "
    "passive check of presence carries it alone. Keep face.presence at both."
)


def _option(movement: Movement) -> str:
    return movement.value.replace("_", "-")


def _movement_options(command: Command) -> Command:
    command = click.option("--all-movements", is_flag=True, help="Ask for every movement again.")(command)
    for movement in reversed(Movement):
        name, words = _option(movement), movement.value.replace("_", " ")
        command = click.option(
            f"--{name}/--no-{name}", movement.value, default=None, help=f"Whether the person can be asked to {words}."
        )(command)
    return command


@click.command("set")
@click.argument("username", type=USERNAME, metavar="NAME")
@_movement_options
@shared_options
@pass_desk
def set_(desk: Desk, username: str, all_movements: bool, **chosen: bool | None) -> None:
    """Say which movements a person cannot do: others are asked for in their place, and as many.

    What is not named stays as it was. Two kinds of movement must remain.

    \b
    Example:
      4auth-provision user set ann --no-blink
    """
    asked = {Movement(name): can for name, can in chosen.items() if can is not None}
    if bool(asked) == all_movements:
        raise click.UsageError("name a movement or more, as --no-blink, or give --all-movements alone")
    detail: dict[str, Any] = {}
    act = Act("admin.user.set", desk.now(), username=username, detail=detail)
    with desk.site() as opened, perform(opened.database, act) as database:
        exemptions = Exemptions(database)
        before = exemptions.of(username)
        exempt = frozenset() if all_movements else _changed(before, asked)
        detail |= {"exempt_from": sorted(exempt), "before": sorted(before)}
        if len(Movement) - len(exempt) < KINDS_MIN:
            raise Refused(f"two kinds of movement must remain, and {username} would be exempt from {words_of(exempt)}")
        if not exemptions.put(username, exempt):
            raise no_account(username)
    desk.output.say(f"{username} is never asked to: {words_of(exempt)}.")
    if exempt >= HEAD_MOVEMENTS:
        desk.output.warn(_FLAT)
    desk.output.result({"username": username, "exempt_from": sorted(exempt)})


def words_of(movements: frozenset[Movement]) -> str:
    """Return movements in words, `-` for none."""
    return ", ".join(movement.value.replace("_", " ") for movement in Movement if movement in movements) or "-"


def _changed(before: frozenset[Movement], asked: dict[Movement, bool]) -> frozenset[Movement]:
    return (before | {one for one, can in asked.items() if not can}) - {one for one, can in asked.items() if can}
