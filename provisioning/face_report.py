"""The report of an evaluation: one page with its figures, charts, and the worst pairs as pictures."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from provisioning.face_curves import det_chart, spread_chart, tail_chart
from provisioning.face_page import (
    charts,
    day,
    facts,
    figures,
    heading,
    in_million,
    picture,
    rate,
    section,
    table,
    write_page,
)
from provisioning.face_tables import points

if TYPE_CHECKING:
    from auth_server.face.lfw import Portrait
    from provisioning.face_evaluate import Measured

Document = Mapping[str, Any]

WORST: Final = 12
"""Pairs of each kind that are shown."""


def write_evaluation(path: Path, measured: "Measured", document: Document) -> None:
    """Write the report. Raises Refused when the file cannot be written."""
    now = document["in_use"]
    threshold = now["threshold"] if now else None
    told = f"{document['pictures']:,} pictures of {document['people']:,} people, measured on {day(document['date'])}."
    write_page(
        path,
        "4Auth: how well faces match",
        [
            heading("How well faces match", told),
            figures(_headlines(document)),
            section(
                "Error rates against each other",
                _ABOUT_CURVES,
                charts(
                    (
                        det_chart(measured.found, now),
                        "One picture is compared with one, or with two that are enrolled together.",
                    ),
                    (
                        spread_chart(measured.found, threshold),
                        "Pictures nearer than the threshold count as one person.",
                    ),
                    (
                        tail_chart(measured.found, threshold),
                        "The same on a scale of ratios: what lies on the wrong side.",
                    ),
                ),
            ),
            section("Thresholds", _ABOUT_POINTS, table(_HEADS, (_row(*point) for point in points(document)), now=_NOW)),
            section("Not judged", "", facts(_not_judged(document))),
            section("Measured with", "A threshold belongs to all of these together.", facts(_with(document))),
            section(
                "The worst pairs of one person",
                "The farthest first. Some are wrong labels, children, disguises or years apart; see which.",
                _pairs(measured, _genuine(measured), threshold, is_genuine=True),
            ),
            section(
                "The nearest strangers",
                "The nearest first. Twins, parents, and one person under two names are found here.",
                _pairs(measured, _strangers(measured), threshold, is_genuine=False),
            ),
        ],
    )


_NOW: Final = "login, now"
_HEADS: Final = (
    "threshold for", "distance", "FMR, one picture each", "FMR, every picture",
    "FNMR, one to one", "of those login takes", "two enrolled, third", "two enrolled, all later",
)  # fmt: skip
_ABOUT_CURVES: Final = (
    "Each threshold lets some strangers match and refuses some people. The curve shows all thresholds, on the axes of "
    "a normal distribution: the nearer to the lower left corner, the better."
)
_ABOUT_POINTS: Final = (
    "Seen: the largest distance at which no larger share of strangers matched. Claimed: the largest whose rate is "
    "below that with 95 % confidence, by resampling people: comparisons of the same people are not independent. "
    "Intervals are Clopper and Pearson's, of 95 %. A dash means that the data are too few to say."
)


def _headlines(document: Document) -> Iterable[tuple[str, str]]:
    now = document["in_use"]
    if now:
        yield f"{now['threshold']:.4f}", "distance up to which login takes two faces for one"
        yield (
            _percent(now["fnmr"]),
            f"of genuine pairs are refused there (FNMR, upper bound {_percent(now['fnmr'], 'high')})",
        )
        yield f"{now['fmr_every']['rate'] * 10_000:.3g} in 10,000", "strangers match there (FMR, every picture)"
        yield _percent(now["fnmr_two_enrolled"]["third"]), "are refused where two pictures are enrolled (third picture)"
    yield _percent(document["failure_to_enrol"]), "of pictures show no face (failure to enrol)"
    if document["lfw_accuracy"]:
        yield f"{document['lfw_accuracy']['mean'] * 100:.2f} %", "accuracy by the protocol of LFW"


def _percent(told: Document | None, which: str = "rate") -> str:
    return "-" if told is None else f"{told[which] * 100:.3g} %"


def _row(name: str, point: Document | None) -> tuple[str, ...]:
    if point is None:
        return (name, *["-"] * (len(_HEADS) - 1))
    two = point["fnmr_two_enrolled"]
    return (
        name,
        f"{point['threshold']:.4f}",
        in_million(point["fmr_one_each"]),
        in_million(point["fmr_every"]),
        *map(rate, (point["fnmr"], point["fnmr_taken"], two["third"], two["later"])),
    )


def _not_judged(document: Document) -> dict[str, str]:
    codes = {code.replace("_", " "): f"{count:,} pictures" for code, count in document["refused_by_quality"].items()}
    return {"no face found": f"{document['failure_to_enrol']['errors']:,} pictures", **codes}


def _with(document: Document) -> dict[str, str]:
    compared = document["stranger_comparisons"]
    return {
        **document["measured_with"],
        "pairs": document["pairs"],
        "pictures": document["images"],
        "comparisons": f"{document['genuine_comparisons']:,} of one person; across people {compared['one_each']:,} "
        f"of one picture each, {compared['every']:,} of every picture",
    }


@dataclass(frozen=True, slots=True)
class _Couple:
    first: "Portrait"
    second: "Portrait"
    distance: float


def _genuine(measured: "Measured") -> list[_Couple]:
    return [_Couple(one.pair.first, one.pair.second, one.distance) for one in measured.found.strangest()[:WORST]]


def _strangers(measured: "Measured") -> list[_Couple]:
    every, portraits = measured.found.every, measured.found.portraits
    nearest = zip(every.first[:WORST], every.second[:WORST], every.nearest[:WORST], strict=True)
    return [_Couple(portraits[one], portraits[other], float(apart)) for one, other, apart in nearest]


def _pairs(measured: "Measured", couples: list[_Couple], threshold: float | None, *, is_genuine: bool) -> str:
    cells = []
    for couple in couples:
        is_right = threshold is None or (couple.distance <= threshold) == is_genuine
        verdict = "" if threshold is None else _VERDICTS[is_genuine, is_right]
        pictures = "".join(picture(measured.chip(one), str(one)) for one in (couple.first, couple.second))
        names = "<br>".join(escape(str(one).replace("_", " ")) for one in (couple.first, couple.second))
        mark = "good" if is_right else "bad"
        cells.append(
            f'<div class="pair">{pictures}<b class="{mark}">{couple.distance:.3f}</b> {verdict}<br>{names}</div>'
        )
    return f'<div class="pairs">{"".join(cells)}</div>'


_VERDICTS: Final = {
    (True, True): "matches", (True, False): "refused",
    (False, True): "told apart", (False, False): "matches",
}  # fmt: skip
