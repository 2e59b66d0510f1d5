"""The one place that imports onnxruntime, because its environment comes first.

Importing this module sets process environment variables: each is read by the library at import and
has no other switch.
"""

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, Protocol

# onnxruntime's wheel writes a device id under the home and temporary folders when imported.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

import cv2
import numpy as np
import onnxruntime
from numpy.typing import NDArray

from auth_vision.errors import ModelsRefused
from auth_vision.models import ModelFile
from auth_vision.onnx_weights import without_negligible_weights

# Processes are the unit of scaling: two threads made one pass 1.4 times faster on twice the cores.
cv2.setNumThreads(1)
_THREADS_PER_SESSION: Final = 1
_LOG_ERRORS_ONLY: Final = 3


class Session(Protocol):
    """A loaded model; `run` may be called from any thread."""

    def run(self, output_names: None, input_feed: dict[str, NDArray[np.float32]]) -> Sequence[NDArray[np.float32]]:
        """Return every output for one set of inputs."""


def load_session(folder: Path, file: ModelFile, *, is_small: bool = False) -> Session:
    """Return an inference session of a model file in `folder`; it may be run from any thread.

    One that is small keeps no memory from one run to the next.

    Raises ModelsRefused when the file is absent, is not the one that was pinned, or does not load.
    """
    path = folder / file.name
    try:
        model = path.read_bytes()
    except OSError as error:
        raise ModelsRefused(
            f"{path}: {error.strerror}; install the models with `4auth-provision models fetch`"
        ) from error
    found = hashlib.sha256(model).hexdigest()
    if found != file.sha256:
        raise ModelsRefused(
            f"{path} has SHA-256 {found}, expected {file.sha256}; install it anew with `4auth-provision models fetch`"
        )
    # Its own package hides these two names from type checkers.
    runtime: Any = onnxruntime
    options = runtime.SessionOptions()
    options.intra_op_num_threads = _THREADS_PER_SESSION
    options.inter_op_num_threads = _THREADS_PER_SESSION
    options.log_severity_level = _LOG_ERRORS_ONLY
    options.enable_cpu_mem_arena = not is_small
    session: Session = runtime.InferenceSession(
        without_negligible_weights(model), sess_options=options, providers=["CPUExecutionProvider"]
    )
    # The package keeps the file for a fallback to other processors, of which there is none.
    vars(session)["_model_bytes"] = None
    return session


def run(session: Session, tensor: NDArray[np.float32]) -> Sequence[NDArray[np.float32]]:
    """Return all outputs of a model that has one input, named `input`."""
    return session.run(None, {"input": tensor})


def softmax(scores: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return probabilities of a model's scores."""
    odds = np.exp(scores.astype(np.float64) - scores.max())
    return np.asarray(odds / odds.sum())
