"""The report of recordings that were held before the camera: one page with its figures and charts."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from provisioning.face_chart import Axis, Chart, Point, linear
from provisioning.face_page import charts, day, facts, figures, heading, rate, section, table, write_page

if TYPE_CHECKING:
    from auth_server.face.liveness import Shown

Document = Mapping[str, Any]

_LAYERS: Final = {
    "passive": (
        "By the look alone",
        "Pictures in which nothing is asked; presence is their mean probability of a person.",
    ),
    "active": ("By movements alone", "Every sequence that the server may draw, asked of every recording."),
    "both": ("By both", "What login asks for by default: the movements are made, and the look is a person's."),
}
_STEPS: Final = 100


def write_liveness(path: Path, document: Document, shown: "Sequence[Shown]") -> None:
    """Write the report. Raises Refused when the file cannot be written."""
    told = f"{len(shown):,} recordings and pictures, measured on {day(document['date'])}."
    sections = [_layer(name, layer) for name, layer in document["layers"].items()]
    drawn = [_chart(shown, document["presence_threshold"])] if "passive" in document["layers"] else []
    write_page(
        path,
        "4Auth: who passes as a present person",
        [
            heading("Who passes as a present person", told),
            figures(_headlines(document)),
            *drawn,
            *sections,
            section("Measured with", "", facts(_with(document))),
        ],
    )


def _headlines(document: Document) -> Iterable[tuple[str, str]]:
    for name, layer in document["layers"].items():
        attacks, live = (layer[side]["kinds"].values() for side in ("attacks", "live"))
        passed = sum(kind["passed"] for kind in attacks)
        tried = sum(kind["shown"] for kind in attacks)
        yield f"{passed:,} of {tried:,}", f"attacks passed, {_LAYERS[name][0].lower()}"
        judged = sum(kind["error"]["trials"] for kind in live if kind["error"])
        if judged:
            right = sum(kind["error"]["trials"] - kind["error"]["errors"] for kind in live if kind["error"])
            yield f"{right:,} of {judged:,}", f"judged live submissions passed, {_LAYERS[name][0].lower()}"


def _layer(name: str, layer: Document) -> str:
    title, told = _LAYERS[name]
    parts = []
    for side, error in (("attacks", "APCER"), ("live", "BPCER")):
        kinds, files = layer[side]["kinds"], layer[side]["files"]
        heads = (
            side,
            "passed",
            error,
            f"{error} by file",
            "no judgement",
            "presence",
            "refused for",
            "asked again for",
        )
        rows = [_row(kind, rates, by_file=True) for kind, rates in kinds.items()]
        rows += [_row(f"  {file}", rates, by_file=False) for file, rates in files.items()]
        parts += [table(heads, rows)] if rows else []
    return section(title, told, *parts)


def _row(name: str, rates: Document, *, by_file: bool) -> tuple[str, ...]:
    spread = rates["presence_range"]
    presence = f"{rates['presence_mean']:.3f}\n{spread[0]:.3f} to {spread[1]:.3f}" if spread else "-"
    return (
        name,
        f"{rates['passed']:,} of {rates['shown']:,}",
        rate(rates["error"]),
        rate(rates["error_by_file"]) if by_file else "",
        rate(rates["non_response"]),
        presence,
        _counts(rates["refused_for"]),
        _counts(rates["asked_again_for"]),
    )


def _counts(counts: Document) -> str:
    return ", ".join(f"{name.replace('_', ' ')} {count}" for name, count in counts.items()) or "-"


def _chart(shown: "Sequence[Shown]", threshold: float) -> str:
    """How many submissions would pass, by the threshold: it should divide the curves."""
    ticks = [(step / 5, f"{step / 5:.1f}") for step in range(6)]
    shares = [(step / 5, f"{step * 20} %") for step in range(6)]
    title = "Submissions that pass, by presence threshold"
    chart = Chart(
        Axis("presence threshold", 0, 1, ticks, linear), Axis("submissions that pass", 0, 1.12, shares), title
    )
    sides = [
        (_presence(shown, is_live=True), "live", "genuine"),
        (_presence(shown, is_live=False), "attacks", "stranger"),
    ]
    for scores, _, colour in sides:
        if scores:
            chart.line(_passing(scores), colour)
    chart.mark_across(threshold, f"in use: {threshold:g}", "limit")
    chart.legend([(words, colour) for scores, words, colour in sides if scores])
    return section(title, "", charts((chart.svg(), "Of those that were judged by the look alone.")))


def _presence(shown: "Sequence[Shown]", *, is_live: bool) -> list[float]:
    outcomes = [outcome for one in shown if one.is_live == is_live for outcome in one.showing.passive]
    return [outcome.presence for outcome in outcomes if outcome.presence is not None]


def _passing(scores: Sequence[float]) -> list[Point]:
    steps = [step / _STEPS for step in range(_STEPS + 1)]
    return [(step, sum(score >= step for score in scores) / len(scores)) for step in steps]


def _with(document: Document) -> dict[str, str]:
    return {
        **document["measured_with"],
        "presence threshold": f"{document['presence_threshold']:g}",
        "sequences": f"{document['sequences']} of {document['movements']} movements, "
        f"from {document['starts']} place(s) of each recording",
    }
