"""The one place that imports DeepFace, because its environment comes first.

Importing this module sets process environment variables: each is read by the library at import
or at first use, and has no other switch.
"""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

# DeepFace may import onnxruntime, whose wheel then writes a device id under the home and temporary folders.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
# DeepFace prints its log to stdout; 60 is above all of its levels, and what matters it raises.
os.environ["DEEPFACE_LOG_LEVEL"] = "60"
# Zoo models exist for three backends; onnxruntime is the one that 4Auth installs.
os.environ.setdefault("DEEPFACE_BACKEND_ENGINE", "onnx")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from deepface.commons import folder_utils, weight_utils
from deepface.models.Detector import Detector, FacialAreaRegion
from deepface.models.FacialRecognition import FacialRecognition
from deepface.modules import modeling, preprocessing

from auth_server.errors import ModelsRefused
from auth_vision.errors import ModelsRefused as VisionRefused

__all__ = [
    "Detector",
    "FacialAreaRegion",
    "FacialRecognition",
    "modeling",
    "prepare_zoo",
    "preprocessing",
    "refused_at_start",
    "represent",
    "set_deepface_home",
]


def set_deepface_home(folder: Path) -> None:
    """Keep DeepFace out of the home folder: whatever it stores goes under `folder`."""
    os.environ["DEEPFACE_HOME"] = str(folder)


def prepare_zoo() -> None:
    """Make the place, `.deepface/weights` in its home, from which DeepFace loads its own zoo's weights.

    An operator who chooses a zoo model puts its file there by hand: nothing is downloaded, because DeepFace
    would do so unasked and check no checksum. Raises OSError when the place cannot be made.
    """
    folder_utils.initialize_folder()
    weight_utils.download_weights_if_necessary = _installed_weights


def _installed_weights(file_name: str, source_url: object, compress_type: str | None = None) -> str:
    """In the place of DeepFace's download: the path of weights that are there, or a refusal that names them."""
    path = Path(folder_utils.get_deepface_home(), ".deepface", "weights", file_name)
    if not path.is_file():
        raise ModelsRefused(f"{path} is missing: the server downloads nothing, so put the weights there by hand")
    return str(path)


def represent(picture: NDArray[np.uint8], **options: Any) -> list[dict[str, Any]]:
    """Return what `DeepFace.represent` makes of a BGR picture.

    Its module is imported by the call, as no login needs it and it takes 0.2 s.
    """
    from deepface import DeepFace

    return cast(list[dict[str, Any]], DeepFace.represent(picture, **options))


@contextlib.contextmanager
def refused_at_start() -> Iterator[None]:
    """Tell in the server's own tree of errors what the vision package refuses."""
    try:
        yield
    except VisionRefused as error:
        raise ModelsRefused(str(error)) from error
