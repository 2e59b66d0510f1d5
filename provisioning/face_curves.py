"""The charts of an evaluation: the DET curve, and how distances are spread."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from provisioning.face_chart import Axis, Chart, Point, deviate, logarithmic

if TYPE_CHECKING:
    from auth_server.face.comparisons import Distances, Strangers
    from auth_server.face.evaluation import Evaluation

_FMR: Final = Axis(
    "false match rate (FMR)",
    1e-6,
    0.3,
    [(1e-6, "1e-6"), (1e-5, "1e-5"), (1e-4, "1e-4"), (1e-3, "1e-3"), (1e-2, "1e-2"), (0.1, "0.1")],
    deviate,
)
_FNMR: Final = Axis(
    "false non-match rate (FNMR)",
    1e-3,
    0.4,
    [(share, f"{share * 100:g} %") for share in (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.4)],
    deviate,
)
_END: Final = 1.5
_BIN: Final = 0.02


def det_chart(found: "Evaluation", in_use: Mapping[str, Any] | None) -> str:
    """Return the DET curve: how many people are refused for how many strangers that match."""
    chart = Chart(_FMR, _FNMR, "DET curve")
    curves = [
        ("one picture each", "genuine", found.one_each, found.genuine()),
        ("every picture", "stranger", found.every, found.genuine()),
        ("two enrolled, all later ones", "third", found.every, found.enrolled.later),
    ]
    drawn = [(words, colour, det_points(across, inside)) for words, colour, across, inside in curves if len(inside)]
    for _, colour, points in drawn:
        chart.line(points, colour)
    chart.legend([(words, colour) for words, colour, _ in drawn])
    if in_use is not None and in_use["fnmr"] is not None:
        chart.dot((in_use["fmr_every"]["rate"], in_use["fnmr"]["rate"]), "login, now", "limit")
    return chart.svg()


def det_points(strangers: "Strangers", genuine: "Distances") -> list[Point]:
    """Return FMR and FNMR by rising threshold: at each of the nearest strangers first, then in even steps."""
    near = [float(one) for one in strangers.nearest[:200]]
    steps = [step / 500 for step in range(int(_END * 500))]
    points: list[Point] = []
    for threshold in sorted({*near, *steps}):
        point = (strangers.accepted(threshold) / strangers.total, float((genuine > threshold).mean()))
        if point[0] > 0 and point[1] > 0 and (not points or point != points[-1]):
            points.append(point)
    return points


def spread_chart(found: "Evaluation", threshold: float | None) -> str:
    """Return how the distances of one person's pictures and of strangers' are spread."""
    bins = int(_END / _BIN)
    genuine, strangers = _shares(found, bins)
    top = max(*genuine, *strangers, 0.01) * 1.15
    ticks = [(step / 5, f"{step / 5:.1f}") for step in range(8)]
    step = 0.05 if top > 0.12 else 0.02
    across = Axis("cosine distance", 0.0, _END, ticks)
    up = Axis(
        "share of comparisons", 0.0, top, [(n * step, f"{n * step * 100:.0f} %") for n in range(int(top / step) + 1)]
    )
    chart = Chart(across, up, "Distances of one person's pictures, and of strangers'")
    return _spread(chart, genuine, strangers, threshold, _stairs)


def tail_chart(found: "Evaluation", threshold: float | None) -> str:
    """Return the same on a scale of ratios, which shows the few that are on the wrong side."""
    genuine, strangers = _shares(found, int(_END / _BIN))
    low = 10**-6.5
    ticks = [(10.0**power, f"1e{power}" if power else "1") for power in range(-6, 1)]
    across = Axis("cosine distance", 0.2, 1.2, [(step / 5, f"{step / 5:.1f}") for step in range(1, 7)])
    chart = Chart(across, Axis("share of comparisons", low, 1.0, ticks, logarithmic), "The same, near the threshold")
    return _spread(chart, genuine, strangers, threshold, lambda shares: _stairs([max(one, low) for one in shares]))


def _spread(chart: Chart, genuine: list[float], strangers: list[float], threshold: float | None, stairs: Any) -> str:
    chart.area(stairs(strangers), "stranger")
    chart.area(stairs(genuine), "genuine")
    chart.legend([("strangers", "stranger"), ("one person", "genuine")])
    if threshold is not None:
        chart.mark_across(threshold, f"login, now: {threshold:.3f}", "limit")
    return chart.svg()


def _shares(found: "Evaluation", bins: int) -> tuple[list[float], list[float]]:
    each = len(found.every.counts) * _BIN / 2
    counts = [int(found.every.counts[round(n * each) : round((n + 1) * each)].sum()) for n in range(bins)]
    distances = found.genuine()
    inside = [int(((distances >= n * _BIN) & (distances < (n + 1) * _BIN)).sum()) for n in range(bins)]
    return [one / max(len(distances), 1) for one in inside], [one / found.every.total for one in counts]


def _stairs(shares: Sequence[float]) -> list[Point]:
    return [(n * _BIN + shift, share) for n, share in enumerate(shares) for shift in (0.0, _BIN)]
