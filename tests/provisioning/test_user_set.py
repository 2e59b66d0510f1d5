"""`user set`: the movements that a person cannot do."""

import random

import pytest

from auth_contract.actions import Movement
from auth_server.exemptions import Exemptions
from auth_server.face.challenge import draw

EVERYTHING = [f"--no-{movement.value.replace('_', '-')}" for movement in Movement]


def exempt(command) -> frozenset[Movement]:
    with command.desk().site() as site:
        return Exemptions(site.database).of("ann")


@pytest.mark.parametrize(
    ("before", "asked", "after"),
    [
        ((), ["--no-blink"], {"blink"}),
        (("--no-blink",), ["--no-look-up"], {"blink", "look_up"}),
        (("--no-blink", "--no-look-up"), ["--blink"], {"look_up"}),
        (("--no-blink",), ["--no-blink"], {"blink"}),
        (("--no-blink", "--no-turn-left"), ["--all-movements"], set()),
        ((), ["--no-turn-left", "--no-turn-right", "--no-come-closer"], {"turn_left", "turn_right", "come_closer"}),
        (("--no-blink", "--no-look-up", "--no-come-closer"), ["--blink", "--no-turn-left"],
         {"look_up", "come_closer", "turn_left"}),
    ],
)  # fmt: skip
def test_what_is_named_changes_and_the_rest_stays(with_ann, before, asked, after):
    if before:
        assert with_ann("user", "set", "ann", *before).exit_code == 0
    assert with_ann.json("user", "set", "ann", *asked) == {"username": "ann", "exempt_from": sorted(after)}
    assert exempt(with_ann) == after
    assert with_ann.json("user", "show", "ann")["user"]["exempt_from"] == sorted(after)


def test_it_is_told_and_logged(with_ann):
    assert with_ann("user", "set", "ann", "--no-turn-left").exit_code == 0
    done = with_ann("user", "set", "ann", "--no-blink")
    assert done.stdout == "ann is never asked to: turn left, blink.\n" and done.stderr == ""
    assert "never asked to: turn left, blink" in with_ann("user", "show", "ann").stdout
    row = with_ann.audit_rows()[-1]
    assert (row["action"], row["username"], row["success"]) == ("admin.user.set", "ann", True)
    assert row["detail"]["exempt_from"] == ["blink", "turn_left"] and row["detail"]["before"] == ["turn_left"]
    assert "set which movements a person is asked for, ann" in with_ann("audit", "why", str(row["id"])).stdout


@pytest.mark.parametrize("left", [0, 1])
def test_two_kinds_must_remain(with_ann, left):
    assert with_ann("user", "set", "ann", "--no-blink").exit_code == 0
    refused = with_ann("user", "set", "ann", *EVERYTHING[: len(EVERYTHING) - left])
    assert refused.exit_code == 1 and "two kinds of movement must remain" in refused.stderr
    assert exempt(with_ann) == {Movement.BLINK}
    row = with_ann.audit_rows()[-1]
    assert row["success"] is False and "two kinds" in row["detail"]["why"]


def test_without_a_movement_of_the_head_it_warns(with_ann):
    turns = ["--no-turn-left", "--no-turn-right"]
    assert with_ann("user", "set", "ann", *turns).stderr == "", "looking up shows depth too"
    told = with_ann("user", "set", "ann", "--no-look-up")
    assert told.exit_code == 0 and "the passive check of presence carries it alone" in told.stderr
    assert with_ann("user", "set", "ann", "--look-up").stderr == ""


@pytest.mark.parametrize("options", [[], ["--all-movements", "--no-blink"]])
def test_it_must_be_said_what_to_set(with_ann, options):
    assert with_ann("user", "set", "ann", *options).exit_code == 2
    assert exempt(with_ann) == frozenset()


def test_nobody_has_none(with_ann):
    refused = with_ann("user", "set", "zoe", "--no-blink")
    assert refused.exit_code == 1 and "there is no account zoe" in refused.stderr
    assert with_ann.audit_rows()[-1]["success"] is False


def test_whoever_cannot_do_one_is_asked_as_many_of_the_others(with_ann):
    """The claim of the screen: other movements, not fewer. Whatever may be set can be drawn from."""
    assert with_ann("user", "set", "ann", *EVERYTHING[:3]).exit_code == 0
    for seed in range(50):
        drawn = draw(tuple(Movement), 3, exempt(with_ann), random.Random(seed))  # noqa: S311
        assert len(drawn) == 3 and not exempt(with_ann) & set(drawn)


def test_a_deleted_account_leaves_none(with_ann):
    assert with_ann("user", "set", "ann", "--no-blink").exit_code == 0
    assert with_ann("user", "delete", "ann", "--yes").exit_code == 0
    assert exempt(with_ann) == frozenset()
