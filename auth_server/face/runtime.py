"""The one place that imports onnxruntime and DeepFace, because their environment comes first.

Importing this module sets process environment variables: each is read by the library at import
or at first use, and has no other switch.
"""

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

# onnxruntime's wheel writes a device id under the home and temporary folders when imported.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
# DeepFace prints its log to stdout; 60 is above all of its levels, and what matters it raises.
os.environ["DEEPFACE_LOG_LEVEL"] = "60"
# Zoo models exist for three backends; onnxruntime is the one that 4Auth installs.
os.environ.setdefault("DEEPFACE_BACKEND_ENGINE", "onnx")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import cv2
import numpy as np
import onnxruntime
from deepface.commons import folder_utils
from deepface.models.Detector import Detector, FacialAreaRegion
from deepface.models.FacialRecognition import FacialRecognition
from deepface.modules import modeling, preprocessing
from numpy.typing import NDArray

from auth_server.errors import ModelsRefused
from auth_server.face.onnx_weights import without_negligible_weights

__all__ = [
    "Detector",
    "FacialAreaRegion",
    "FacialRecognition",
    "Session",
    "load_session",
    "modeling",
    "prepare_zoo",
    "preprocessing",
    "run",
    "set_deepface_home",
]

# Workers are the unit of scaling: two threads made one pass 1.4 times faster on twice the cores.
cv2.setNumThreads(1)
_THREADS_PER_SESSION = 1
_LOG_ERRORS_ONLY = 3


class Session(Protocol):
    """A loaded model; `run` may be called from any thread."""

    def run(self, output_names: None, input_feed: dict[str, NDArray[np.float32]]) -> Sequence[NDArray[np.float32]]:
        """Return every output for one set of inputs."""


def set_deepface_home(folder: Path) -> None:
    """Keep DeepFace out of the home folder: whatever it stores goes under `folder`."""
    os.environ["DEEPFACE_HOME"] = str(folder)


def prepare_zoo() -> None:
    """Make the place, `.deepface/weights` in its home, from which DeepFace loads its own zoo's weights.

    DeepFace fetches a file that is absent there by itself, and checks no checksum: an operator
    who chooses a zoo model puts the file there by hand. Raises OSError when it cannot be made.
    """
    folder_utils.initialize_folder()


def load_session(path: Path, sha256: str) -> Session:
    """Return an inference session of the model file at `path`; it may be run from any thread.

    Raises ModelsRefused when the file is absent, is not the one named by `sha256`, or does not load.
    """
    try:
        model = path.read_bytes()
    except OSError as error:
        raise ModelsRefused(
            f"{path}: {error.strerror}; install the models with `4auth-provision models fetch`"
        ) from error
    found = hashlib.sha256(model).hexdigest()
    if found != sha256:
        raise ModelsRefused(
            f"{path} has SHA-256 {found}, expected {sha256}; install it anew with `4auth-provision models fetch`"
        )
    # Its own package hides these two names from type checkers.
    runtime: Any = onnxruntime
    options = runtime.SessionOptions()
    options.intra_op_num_threads = _THREADS_PER_SESSION
    options.inter_op_num_threads = _THREADS_PER_SESSION
    options.log_severity_level = _LOG_ERRORS_ONLY
    session: Session = runtime.InferenceSession(
        without_negligible_weights(model), sess_options=options, providers=["CPUExecutionProvider"]
    )
    return session


def run(session: Session, tensor: NDArray[np.float32]) -> Sequence[NDArray[np.float32]]:
    """Return all outputs of a model that has one input, named `input`."""
    return session.run(None, {"input": tensor})
