"""What was measured, as tables for a terminal."""

from collections.abc import Iterator, Mapping
from typing import Any

from provisioning.output import Output

Document = Mapping[str, Any]


def percent(rate: Document | None) -> str:
    """Return a rate and its interval in words: 3.17 % (1.92 to 4.9; 19 of 600)."""
    if rate is None:
        return "-"
    low, high = (f"{rate[name] * 100:.3g}" for name in ("low", "high"))
    return f"{rate['rate'] * 100:.3g} % ({low} to {high}; {rate['errors']:,} of {rate['trials']:,})"


def show_evaluation(output: Output, found: Document) -> None:
    """Print an evaluation."""
    output.say(f"{found['pictures']:,} pictures of {found['people']:,} people, measured with:")
    for name, value in found["measured_with"].items():
        output.say(f"  {name:<10} {value}")
    output.say(f"No face found (failure to enrol): {percent(found['failure_to_enrol'])}")
    refused = ", ".join(f"{code} {count:,}" for code, count in found["refused_by_quality"].items())
    output.say(f"Login would refuse for quality: {refused or 'none'}")
    _show_accuracy(output, found["lfw_accuracy"])
    output.say()
    output.table(
        (
            "threshold for",
            "distance",
            "FMR, one picture each",
            "FMR, every picture",
            "FNMR, one to one",
            "FNMR, two enrolled",
        ),
        (_row(name, point) for name, point in points(found)),
    )
    output.say()
    output.say(
        "Rates with their 95 % intervals (Clopper-Pearson). A claimed threshold has an FMR that is below the rate"
    )
    output.say("with 95 % confidence, by resampling people; - means that the data are too few to say.")


def points(found: Document) -> Iterator[tuple[str, Document | None]]:
    """Return each threshold's name and its rates, or None where the data have no such threshold."""
    for name, point in found["operating_points"].items():
        yield f"FMR {name} seen", point["seen"]
        yield f"FMR {name} claimed", point["claimed"]
    yield "login, now", found["in_use"]


def _row(name: str, point: Document | None) -> tuple[str, ...]:
    if point is None:
        return (name, *["-"] * 5)
    return (
        name,
        f"{point['threshold']:.4f}",
        _short(point["fmr_one_each"]),
        _short(point["fmr_every"]),
        percent(point["fnmr"]),
        percent(point["fnmr_two_enrolled"]["third"]),
    )


def _short(rate: Document) -> str:
    return f"{rate['rate']:.2g} ({rate['low']:.2g} to {rate['high']:.2g})"


def _show_accuracy(output: Output, told: Document | None) -> None:
    if told is None:
        return
    folds = len(told["folds"])
    error = f" +- {told['standard_error'] * 100:.2f}" if told["standard_error"] is not None else ""
    how = f"over {folds} folds" if told["is_held_out"] else "of one fold, by its own best threshold"
    output.say(f"Accuracy by LFW's protocol: {told['mean'] * 100:.2f} %{error} {how}")


def show_liveness(output: Output, found: Document) -> None:
    """Print what became of recordings."""
    output.say(f"Presence threshold {found['presence_threshold']:g}. Each recording was held before the camera for all")
    output.say(
        f"{found['sequences']} sequences of {found['movements']} movements, from {found['starts']} place(s) of it."
    )
    for name, layer in found["layers"].items():
        output.say()
        output.say(_LAYERS[name])
        for side, error in (("attacks", "APCER"), ("live", "BPCER")):
            kinds, files = layer[side]["kinds"], layer[side]["files"]
            if kinds:
                heads = (side, "passed", error, "no judgement", "presence", "refused for", "asked again for")
                output.table(heads, [_liveness_row(*row) for row in (*kinds.items(), *files.items())])


_LAYERS = {
    "passive": "By the look alone (passive):",
    "active": "By movements alone (active):",
    "both": "By both, as login does by default:",
}


def _liveness_row(name: str, rates: Document) -> tuple[str, ...]:
    return (
        name,
        f"{rates['passed']:,} of {rates['shown']:,}",
        percent(rates["error"]),
        percent(rates["non_response"]),
        "-" if rates["presence_mean"] is None else f"{rates['presence_mean']:.3f}",
        _counts(rates["refused_for"]),
        _counts(rates["asked_again_for"]),
    )


def _counts(counts: Document) -> str:
    return ", ".join(f"{name} {count}" for name, count in counts.items()) or "-"
