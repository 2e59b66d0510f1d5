"""Weights too small to matter become zero; everything else of the file stays as it is, byte for byte."""

import struct
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from hypothesis import given
from hypothesis import strategies as st

from auth_vision.models import FEATURE, LANDMARK, ModelFile
from auth_vision.onnx_weights import NEGLIGIBLE, without_negligible_weights


def field(number: int, kind: int, payload: bytes) -> bytes:
    size = varint(len(payload)) if kind == 2 else b""
    return varint(number << 3 | kind) + size + payload


def varint(value: int) -> bytes:
    out = b""
    while value > 0x7F:
        out, value = out + bytes([value & 0x7F | 0x80]), value >> 7
    return out + bytes([value])


def model(weights: bytes, data_type: int = 1) -> bytes:
    tensor = field(1, 0, varint(4)) + field(2, 0, varint(data_type)) + field(8, 2, b"name") + field(9, 2, weights)
    graph = field(2, 2, b"graph") + field(5, 2, tensor)
    return field(1, 0, varint(8)) + field(7, 2, graph) + field(14, 1, b"12345678") + field(15, 5, b"1234")


def test_small_weights_become_zero_and_no_other_byte_changes() -> None:
    before = struct.pack("<5f", 1.0, 1e-40, -1e-30, -0.001, 2e-20)
    after = struct.pack("<5f", 1.0, 0.0, 0.0, -0.001, 2e-20)
    assert without_negligible_weights(model(before)) == model(after)


def test_integers_are_left_alone() -> None:
    numbers = struct.pack("<4i", 1, 2, 3, 4)  # as float32 all of them are denormal
    assert without_negligible_weights(model(numbers, data_type=6)) == model(numbers, data_type=6)


@given(st.lists(st.floats(width=32, allow_nan=False), max_size=40))
def test_every_weight_is_kept_or_negligible(weights: list[float]) -> None:
    raw = np.array(weights, dtype="<f4").tobytes()
    cleaned = without_negligible_weights(model(raw))
    expected = [0.0 if abs(weight) < NEGLIGIBLE else weight for weight in weights]
    assert cleaned == model(np.array(expected, dtype="<f4").tobytes())


@given(st.binary(max_size=200))
def test_no_bytes_do_more_than_be_refused(data: bytes) -> None:
    try:
        assert len(without_negligible_weights(data)) == len(data)
    except ValueError as error:
        assert "not an ONNX file" in str(error)


@pytest.mark.parametrize("cut", [1, 10, 100])
def test_a_cut_file_is_refused(cut: int) -> None:
    with pytest.raises(ValueError, match="not an ONNX file"):
        without_negligible_weights(model(bytes(400))[:-cut])


@pytest.mark.parametrize("file", [FEATURE, LANDMARK], ids=lambda file: file.name)
def test_the_models_have_such_weights_and_answer_the_same_without(models_folder: Path, file: ModelFile) -> None:
    raw = (models_folder / file.name).read_bytes()
    cleaned = without_negligible_weights(raw)
    assert cleaned != raw
    sessions = [onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"]) for model in (raw, cleaned)]
    shape = sessions[0].get_inputs()[0].shape
    pixels = np.random.default_rng(1).random(shape, dtype=np.float32)
    before, after = (session.run(None, {"input": pixels})[0] for session in sessions)
    assert np.abs(before - after).max() < 1e-6
