"""How often attacks pass as people and people do not pass, from what was made of each file. Pure.

APCER is the share of an attack species' judged submissions that pass, BPCER the share of a live source's that
do not, as ISO/IEC 30107-3 has them; non-response is the share without a judgement, after which a person is asked
again. Submissions of one recording are alike, so that files count as well: an attack file passes when one of
its submissions does, a live one fails when most of its judged ones do.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from auth_contract.actions import CaptureHint
from auth_server.face.showing import Outcome, Showing
from auth_server.face.statistics import rate_or_none

SPECIES: Final = r"([a-z]+(?:-[a-z]+)*)"
"""The usual rule: the words that a file's name begins with, as replay-phone of replay-phone-1.mp4."""

NOT_SERVED: Final = CaptureHint.MOVEMENT.value
"""Footage in which a movement was not made when it was asked for."""


@dataclass(frozen=True, slots=True)
class Shown:
    """One file: its name, whether it shows a live person, its species or source, and what became of it."""

    name: str
    is_live: bool
    kind: str
    showing: Showing


@dataclass(frozen=True, slots=True)
class Layer:
    """One way to judge: which submissions, and whether one passes."""

    name: str
    outcomes: Callable[[Showing], Sequence[Outcome]]
    passes: Callable[[Outcome], bool]


def layers(threshold: float) -> list[Layer]:
    """Return the ways that a site can choose, at a presence threshold."""

    def is_present(one: Outcome) -> bool:
        return one.presence is not None and one.presence >= threshold

    def is_done(one: Outcome) -> bool:
        return one.problem is None

    return [
        Layer("passive", lambda showing: showing.passive, lambda one: is_done(one) and is_present(one)),
        Layer("active", lambda showing: showing.active, is_done),
        Layer("both", lambda showing: showing.active, lambda one: is_done(one) and is_present(one)),
    ]


def kind_of(name: str, rule: str) -> str:
    """Return a file's species or source: the first group of a rule's match at its beginning, else its whole name."""
    found = re.match(rule, name)
    if found is None:
        return name
    return found.group(1) if found.re.groups else found.group()


def figures(shown: Sequence[Shown], threshold: float) -> dict[str, Any]:
    """Return for each layer the error rates of every species, source and file, as JSON has them."""
    return {layer.name: _layer(shown, layer) for layer in layers(threshold) if _is_tried(shown, layer)}


def _is_tried(shown: Sequence[Shown], layer: Layer) -> bool:
    return any(layer.outcomes(one.showing) for one in shown)


def _layer(shown: Sequence[Shown], layer: Layer) -> dict[str, Any]:
    sides = {"attacks": [one for one in shown if not one.is_live], "live": [one for one in shown if one.is_live]}
    return {
        name: {
            "kinds": {kind: _rates(of_kind, layer) for kind, of_kind in sorted(_by_kind(side).items())},
            "files": {one.name: _rates([one], layer) for one in side},
        }
        for name, side in sides.items()
    }


def _by_kind(shown: Iterable[Shown]) -> dict[str, list[Shown]]:
    kinds: dict[str, list[Shown]] = {}
    for one in shown:
        kinds.setdefault(one.kind, []).append(one)
    return kinds


def _rates(shown: Sequence[Shown], layer: Layer) -> dict[str, Any]:
    """The rates of files of one side."""
    outcomes = [outcome for one in shown for outcome in layer.outcomes(one.showing)]
    judged = [one for one in outcomes if is_judged(one)]
    wrong = sum(layer.passes(one) != shown[0].is_live for one in judged)
    error, silent = rate_or_none(wrong, len(judged)), rate_or_none(len(outcomes) - len(judged), len(outcomes))
    files = rate_or_none(
        sum(is_file_wrong(one, layer) for one in shown), sum(has_judgement(one, layer) for one in shown)
    )
    presence = [one.presence for one in outcomes if one.presence is not None]
    return {
        "shown": len(outcomes),
        "passed": sum(layer.passes(one) for one in judged),
        "error": error.document() if error else None,
        "error_by_file": files.document() if files else None,
        "non_response": silent.document() if silent else None,
        "refused_for": dict(Counter(one.problem for one in judged if one.problem).most_common()),
        "asked_again_for": dict(Counter(one.hint for one in outcomes if not is_judged(one)).most_common()),
        "presence_mean": round(sum(presence) / len(presence), 4) if presence else None,
        "presence_range": [round(min(presence), 4), round(max(presence), 4)] if presence else None,
    }


def is_judged(one: Outcome) -> bool:
    """Return whether a submission was accepted or refused; one that is to be made again was neither."""
    return one.hint is None or one.problem is not None


def has_judgement(one: Shown, layer: Layer) -> bool:
    """Return whether any submission of a file was judged."""
    return any(is_judged(outcome) for outcome in layer.outcomes(one.showing))


def is_file_wrong(one: Shown, layer: Layer) -> bool:
    """Return whether an attack file passed once, or most judged submissions of a live one did not."""
    passed = [layer.passes(outcome) for outcome in layer.outcomes(one.showing) if is_judged(outcome)]
    return sum(passed) * 2 < len(passed) if one.is_live else any(passed)
