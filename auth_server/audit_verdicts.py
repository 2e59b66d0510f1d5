"""Each factor's verdict in plain words, from the evidence that its audit row keeps. Pure.

Evidence is read as it was found: what is missing, or of a shape that this program does not know, is
passed over and never makes it fail.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeGuard

Evidence = Mapping[str, Any]

_NAMES: Final = {
    "password": "Password",
    "totp": "Code",
    "face": "Face",
    "device": "Device",
    "kiosk": "Kiosk",
    "clock": "Clock",
    "permission": "Leave to register",
    "new_face": "New face",
    "new_totp": "First code",
    "supervisor": "Supervisor",
}

FACTORS: Final = tuple(_NAMES)
"""The factors in the order in which they are told."""

_DRIFTS: Final = {"0": "of this time step", "-1": "of the time step before", "1": "of the next time step"}

_HINTS: Final = {
    "no_face": "no face was found",
    "several_faces": "more than one face was found",
    "too_small": "the face was too small",
    "too_dark": "it was too dark",
    "too_bright": "it was too bright",
    "blurred": "the pictures were blurred",
}


def verdict_words(factor: str, verdict: object) -> str:
    """Return one sentence on one factor."""
    name = _NAMES.get(factor, factor)
    if not isinstance(verdict, Mapping):
        return f"{name}: {verdict}"
    passed = "passed" if verdict.get("passed") is True else "failed"
    if "unusable_frame" in verdict or verdict.get("hint") is not None:
        passed = "not judged"
    reasons = _because(factor, verdict)
    return f"{name}: {passed}{': ' if reasons else '.'}{'; '.join(reasons)}{'.' if reasons else ''}"


def _because(factor: str, found: Evidence) -> list[str]:
    told = list(_WORDS.get(factor, _nothing)(found))
    if "problem" in found:
        told.append(f"it could not be judged ({found['problem']})")
    if "incident" in found:
        told.append(f"the check itself broke, incident {found['incident']}, which counts as failed")
    known = _KNOWN.get(factor, frozenset()) | {"passed", "problem", "incident"}
    told += [f"{name} {_spelt(value)}" for name, value in found.items() if name not in known]
    return told


def _password(found: Evidence) -> list[str]:
    if "problem" in found or "incident" in found:
        return []
    return ["it is the one enrolled"] if found.get("passed") is True else ["it is not the one enrolled"]


def _code(found: Evidence) -> list[str]:
    if "step" not in found:
        return []
    if found["step"] is None:
        return ["it belongs to no time step within 30 s of the server's clock"]
    drift = found.get("drift_steps")
    when = _DRIFTS.get(str(drift), "")
    told = [f"it is the right code {when}".rstrip() + f" (step {_spelt(found['step'])})"]
    if found.get("reused") is True:
        told.append("it was used before, and each code counts once")
    return told


def _face(found: Evidence) -> list[str]:
    told = []
    distance, limit = found.get("distance"), found.get("threshold")
    if _is_number(distance) and _is_number(limit):
        side = "within" if distance <= limit else "beyond"
        which = "the face as it followed good logins" if found.get("template") == "followed" else "the enrolled face"
        told.append(f"distance {distance:g} from {which}, {side} the limit of {limit:g}")
    told += _presence(found)
    told += _recording(found)
    if found.get("is_one_person") is False:
        told.append(f"the pictures show two different people (spread {_spelt(found.get('spread'))})")
    told += _unusable(found)
    told += _pictures(found)
    return told


def _presence(found: Evidence) -> list[str]:
    presence, least = found.get("presence"), found.get("presence_threshold")
    if "unusable_frame" in found:
        return []
    if _is_number(presence) and _is_number(least):
        side = "a real person" if presence >= least else "not a real person but a picture of one"
        return [f"presence {presence:g} where {least:g} is needed: {side}"]
    if "presence_threshold" in found and least is None:
        return ["whether a real person stood there was not checked"]
    return []


_PROBLEMS: Final[Mapping[str, str]] = {
    "nothing_asked": "no movements were asked for, which this site's policy demands",
    "mixed_sizes": "the pictures have different sizes",
    "identical_frames": "two pictures are the same one",
    "repeated": "a picture came again after the face had moved: a recording was played in a loop",
    "out_of_order": "the recording's parts or times are out of order",
    "too_fast": "the recording is quicker than a person, or longer than the attempt",
    "too_slow": "the recording has a gap, or a movement took too long",
    "broken": "the pictures are not one continuous recording",
    "flat": "the face turned without depth, as a picture does",
    "copy": "the face is the enrolled picture itself",
    "drawn_for_another": "the movements were drawn for somebody who can do less",
}


def _recording(found: Evidence) -> list[str]:
    """What speaks against a live person who did as asked, and which movement was not seen."""
    told = []
    problem = found.get("presence_problem")
    if problem is not None:
        told.append(f"{_PROBLEMS.get(str(problem), str(problem))} ({problem})")
    missing, asked = _whole(found.get("missing_movement")), _whole(found.get("movements"))
    if missing is not None and asked is not None:
        told.append(f"movement {missing} of {asked} was not seen")
    elif asked:
        told.append(f"all {asked} movements were seen")
    return told


def _unusable(found: Evidence) -> list[str]:
    hint, frame = found.get("hint"), _whole(found.get("unusable_frame"))
    which = "a picture" if frame is None else f"picture {frame + 1}"
    if hint is None and frame is None:
        return []
    return [f"{which} could not be used" + ("" if hint is None else f", because {_HINTS.get(str(hint), hint)}")]


def _pictures(found: Evidence) -> list[str]:
    frames, height, model = found.get("frames"), found.get("face_height_px"), found.get("model")
    told = [f"{_spelt(frames)} pictures"] if frames is not None else []
    if height is not None:
        told.append(f"the face {_spelt(height)} pixels high")
    if model is not None:
        told.append(f"judged by {model}")
    return [", ".join(told)] if told else []


def _device(found: Evidence) -> list[str]:
    # A client of a gateway says what its MAC is, and nobody has signed it.
    told = [f"{what} {_spelt(found[name])}" for name, what in _MACS.items() if name in found]
    return told + _findings(
        found,
        is_kiosks_own=("the MAC is the kiosk's own", "the MAC is not the one registered for the kiosk"),
        has_leave=("the name may come through a gateway", "the name may not come through a gateway"),
        is_a_kiosks=(
            "the claimed MAC is that of a registered kiosk, which would have signed",
            "the claimed MAC is no registered kiosk's",
        ),
        is_bound=("the account is bound to it", "the account is not bound to it"),
    )


_MACS: Final = {"mac": "MAC", "claimed_mac": "claimed MAC"}


def _clock(found: Evidence) -> list[str]:
    skew = found.get("skew_s")
    if not _is_number(skew):
        return []
    side = "ahead of" if skew > 0 else "behind"
    return [f"the kiosk's clock was {abs(skew):g} s {side} the server's, where 120 s are allowed"]


def _permission(found: Evidence) -> list[str]:
    kind, by = found.get("kind"), found.get("by")
    if kind == "unknown":
        return ["no ticket and no administrator's secret is spelt so"]
    told = {"ticket": f"a ticket that {by} made out", "admin": f"the secret of administrator {by}"}
    named = [told.get(str(kind), f"{_spelt(kind)} of {by}")] if kind is not None else []
    return named + _findings(found, is_for_this_name=("for this very name", "for another name"))


def _supervisor(found: Evidence) -> list[str]:
    role = found.get("role")
    return ["this name has no role at the site" if role is None else f"this name's role is {role}"]


def _findings(found: Evidence, **words: tuple[str, str]) -> list[str]:
    return [words[name][found[name] is not True] for name in words if name in found]


def _nothing(_found: Evidence) -> list[str]:
    return []


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _whole(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _spelt(value: object) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)


_WORDS: Final[Mapping[str, Callable[[Evidence], list[str]]]] = {
    "password": _password,
    "totp": _code,
    "new_totp": _code,
    "face": _face,
    "new_face": _face,
    "device": _device,
    "kiosk": _device,
    "clock": _clock,
    "permission": _permission,
    "supervisor": _supervisor,
}

_OF_CODE: Final = frozenset({"step", "drift_steps", "reused"})
_OF_FACE: Final = frozenset(
    {
        *("distance", "threshold", "presence", "presence_threshold", "is_one_person", "spread"),
        *("frames", "face_height_px", "model", "template", "hint", "unusable_frame"),
        *("presence_problem", "movements", "missing_movement"),
    }
)
_KNOWN: Final[Mapping[str, frozenset[str]]] = {
    "totp": _OF_CODE,
    "new_totp": _OF_CODE,
    "face": _OF_FACE,
    "new_face": _OF_FACE,
    "device": frozenset({*_MACS, "is_kiosks_own", "has_leave", "is_a_kiosks", "is_bound"}),
    "kiosk": frozenset({*_MACS, "is_kiosks_own", "has_leave", "is_a_kiosks"}),
    "clock": frozenset({"skew_s"}),
    "permission": frozenset({"kind", "by", "is_for_this_name"}),
    "supervisor": frozenset({"role"}),
}
