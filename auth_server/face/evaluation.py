"""Measures the face engine, in the form of the package's calibration file.

    python -m auth_server.face.evaluation --models DIR --lfw DIR --liveness DIR

The result is printed; `--out FILE` writes it as well, into what the file already tells of other
recognisers. `--lfw` is a folder with pairs.txt and images/NAME/NAME_0001.jpg, in the format of Labeled Faces
in the Wild. `--liveness` holds live-*, replay-* and attack-* pictures and videos. Any set of
those forms will do; the site's own cameras give the better one.
"""

import argparse
import json
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from auth_server.face import statistics
from auth_server.face.frames import decode_frame
from auth_server.face.pipeline import Pipeline
from auth_server.settings import FaceSettings
from auth_vision import quality
from auth_vision.geometry import Picture
from auth_vision.look import Face

TARGETS: Final = {"1e-3": 1e-3, "1e-4": 1e-4}
PRESENCE_THRESHOLD: Final = 0.5
"""The middle: the attacks at hand leave it by far on one side, live people at a usual camera on the other."""

FRAMES_IN_SUBMISSION: Final = 3
_VIDEO_STEP = 5
_SEED = 4

Embeddings = dict[Path, NDArray[np.float32]]


@dataclass(frozen=True, slots=True)
class Portraits:
    """What was found in a folder of portraits: embeddings, presence, and how many were not usable."""

    embeddings: Embeddings
    presence: list[float]
    hints: Counter[str]
    without_face: int


def main(arguments: list[str] | None = None) -> int:
    """Measure and print, and write where asked to; the exit status is 0."""
    options = _options(arguments)
    pipeline = Pipeline(FaceSettings(models=options.models, recogniser=options.recogniser, detector=options.detector))
    today = datetime.now(UTC).date().isoformat()
    document = _document(options.out)
    portraits = look_at_portraits(pipeline, options.lfw / "images", _say)
    document["recognisers"][pipeline.model] = recogniser_report(options.lfw, portraits) | {"date": today}
    if options.liveness:
        document["presence"] = presence_report(pipeline, options.liveness, portraits) | {"date": today}
    text = json.dumps(document, indent=2)
    if options.out is not None:
        options.out.write_text(text + "\n", encoding="utf-8")
    print(text)
    return 0


def look_at_portraits(pipeline: Pipeline, folder: Path, progress: Callable[[str], None]) -> Portraits:
    """Embed every portrait by the face nearest its centre; LFW's label is that one's."""
    found = Portraits({}, [], Counter(), 0)
    without_face = 0
    for count, path in enumerate(sorted(folder.glob("*/*.jpg"))):
        if count % 500 == 0:
            progress(f"{count} portraits")
        picture = decode_frame(path.read_bytes(), str(path))
        faces = pipeline.faces(picture)
        if not faces:
            without_face += 1
            continue
        face = _most_central(picture, faces)
        hint = quality.hint_of(pipeline.look(picture, faces))
        found.hints.update([hint.value] if hint else [])
        found.embeddings[path] = pipeline.embed(picture, face)
        found.presence.append(pipeline.presence(picture, face) or 0.0)
    return Portraits(found.embeddings, found.presence, found.hints, without_face)


def recogniser_report(lfw: Path, portraits: Portraits) -> dict[str, Any]:
    """Return the thresholds, and the error rates at each with their 95 % upper bounds."""
    paths = list(portraits.embeddings)
    names = np.array([path.parent.name for path in paths])
    data = statistics.strangers(np.stack([portraits.embeddings[path] for path in paths]), names)
    genuine = np.array(list(_genuine_distances(lfw, portraits.embeddings)), dtype=np.float32)
    pictures = len(paths) + portraits.without_face
    return {
        "data": "Labeled Faces in the Wild, folds 1 and 2 of its pairs protocol",
        "distance": "cosine",
        "pictures": pictures,
        "people": len(set(names.tolist())),
        "without_face": portraits.without_face,
        "failure_to_enrol": round(portraits.without_face / pictures, 5),
        "refused_by_quality": dict(sorted(portraits.hints.items())),
        "stranger_comparisons": len(data.distances),
        "genuine_comparisons": len(genuine),
        "bound": "95 % one-sided; FMR by resampling people, FNMR exact binomial",
        "operating_points": {name: _operating_point(data, genuine, rate) for name, rate in TARGETS.items()},
    }


def presence_report(pipeline: Pipeline, folder: Path, portraits: Portraits) -> dict[str, Any]:
    """Return the presence threshold and both error rates: by submission, bounded by presentation."""
    live = [list(_presence_of(pipeline, path)) for path in sorted(folder.glob("live-*"))]
    attacks = [
        list(_presence_of(pipeline, path)) for kind in ("replay-*", "attack-*") for path in sorted(folder.glob(kind))
    ]
    refused_stills = sum(score < PRESENCE_THRESHOLD for score in portraits.presence)
    return {
        "threshold": PRESENCE_THRESHOLD,
        "frames_in_submission": FRAMES_IN_SUBMISSION,
        "attacks": _presence_errors(attacks, lambda mean: mean >= PRESENCE_THRESHOLD),
        "live": _presence_errors(live, lambda mean: mean < PRESENCE_THRESHOLD),
        "live_news_photographs": {
            "pictures": len(portraits.presence),
            "error_rate": round(refused_stills / len(portraits.presence), 4),
        },
        "note": "So few presentations show that the check works, not how often it fails: see the upper bounds.",
    }


def _operating_point(data: statistics.Strangers, genuine: statistics.Distances, rate: float) -> dict[str, float]:
    threshold, bound = statistics.claimable_threshold(data, rate, np.random.default_rng(_SEED))
    missed = int((genuine > threshold).sum())
    return {
        "threshold": threshold,
        "fmr": float(f"{statistics.share_within(data.distances, threshold):.3g}"),
        "fmr_upper_95": float(f"{bound:.3g}"),
        "fnmr": round(missed / len(genuine), 4),
        "fnmr_upper_95": round(statistics.upper_bound(missed, len(genuine)), 4),
    }


def _genuine_distances(lfw: Path, embeddings: Embeddings) -> Iterator[float]:
    for line in (lfw / "pairs.txt").read_text(encoding="utf-8").splitlines():
        columns = line.split()
        if len(columns) != 3:
            continue
        name, *numbers = columns
        first, second = (lfw / "images" / name / f"{name}_{int(number):04d}.jpg" for number in numbers)
        if first in embeddings and second in embeddings:
            yield float(1 - embeddings[first] @ embeddings[second])


def _presence_of(pipeline: Pipeline, path: Path) -> Iterator[float]:
    for picture in _pictures_of(path):
        faces = pipeline.faces(picture)
        score = pipeline.presence(picture, faces[0]) if faces else None
        if score is not None:
            yield score


def _pictures_of(path: Path) -> Iterator[Picture]:
    if path.suffix == ".jpg":
        yield decode_frame(path.read_bytes(), path.name)
        return
    video = cv2.VideoCapture(str(path))
    try:
        while video.grab():
            if int(video.get(cv2.CAP_PROP_POS_FRAMES)) % _VIDEO_STEP == 0:
                yield np.asarray(video.retrieve()[1], dtype=np.uint8)
    finally:
        video.release()


def _presence_errors(presentations: list[list[float]], is_error: Callable[[float], bool]) -> dict[str, Any]:
    """Count wrong submissions of consecutive frames, and presentations of which most were wrong."""
    submissions = [
        [float(np.mean(scores[i : i + FRAMES_IN_SUBMISSION])) for i in range(0, len(scores), FRAMES_IN_SUBMISSION)]
        for scores in presentations
        if scores
    ]
    means = [mean for one in submissions for mean in one]
    wrong = sum(sum(map(is_error, one)) * 2 > len(one) for one in submissions)
    return {
        "presentations": len(submissions),
        "submissions": len(means),
        "error_rate": round(sum(map(is_error, means)) / len(means), 4),
        "wrong_presentations": wrong,
        "upper_95_by_presentation": round(statistics.upper_bound(wrong, len(submissions)), 3),
    }


def _most_central(picture: Picture, faces: list[Face]) -> Face:
    rows, columns = picture.shape[:2]
    return min(
        faces,
        key=lambda face: (
            abs(face.box.x + (face.box.width - columns) / 2) + abs(face.box.y + (face.box.height - rows) / 2)
        ),
    )


def _document(out: Path | None) -> Any:
    """What stands in the file to be written, or nothing yet."""
    if out is not None and out.exists():
        return json.loads(out.read_text(encoding="utf-8"))
    return {"recognisers": {}, "presence": {}}


def _say(line: str) -> None:
    print(line, file=sys.stderr)  # standard output is the result alone


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m auth_server.face.evaluation", description="Measure the face engine."
    )
    parser.add_argument("--models", type=Path, required=True, help="folder of model files")
    parser.add_argument("--lfw", type=Path, required=True, help="folder with pairs.txt and images/")
    parser.add_argument("--liveness", type=Path, help="folder with live-*, replay-* and attack-* files")
    parser.add_argument("--recogniser", default="4auth", help="DeepFace's name of it")
    parser.add_argument("--detector", default="4auth", help="DeepFace's name of it")
    parser.add_argument("--out", type=Path, metavar="FILE", help="write the result there too (default: print only)")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
