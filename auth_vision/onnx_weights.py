"""Weights of an ONNX file that are too small to matter are set to zero before it is run.

The recogniser and the landmark model hold thousands of denormal weights (below 1.2e-38), the
residue of weight decay. Processors multiply them by slow microcode: the recogniser was measured
at 61 ms with them and 10 ms without, with the same embeddings. onnxruntime's own switch
`session.set_denormal_as_zero` reaches only the thread that creates the first session.

Only the fields that lead to the weights are read, as onnx.proto numbers them:
ModelProto.graph 7, GraphProto.initializer 5, TensorProto.data_type 2 (FLOAT is 1), raw_data 9.
"""

from collections.abc import Iterator

import numpy as np

NEGLIGIBLE = np.float32(1e-20)
"""Far below what a float32 sum of weights of ordinary size (1e-3 and more) can notice."""

_GRAPH, _INITIALIZER, _DATA_TYPE, _RAW_DATA = 7, 5, 2, 9
_FLOAT = 1
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


def without_negligible_weights(model: bytes) -> bytes:
    """Return the ONNX file with every float32 weight below `NEGLIGIBLE` set to zero.

    Raises ValueError when the bytes are not protobuf.
    """
    data = bytearray(model)
    for start, end in _float_tensors(data):
        weights = np.frombuffer(data, dtype="<f4", count=(end - start) // 4, offset=start)
        weights[np.abs(weights) < NEGLIGIBLE] = 0
    return bytes(data)


def _float_tensors(data: bytearray) -> Iterator[tuple[int, int]]:
    for graph in _children(data, (0, len(data)), _GRAPH):
        for tensor in _children(data, graph, _INITIALIZER):
            if any(value == _FLOAT for value in _varints(data, tensor, _DATA_TYPE)):
                yield from _children(data, tensor, _RAW_DATA)


def _children(data: bytearray, span: tuple[int, int], field: int) -> Iterator[tuple[int, int]]:
    for number, kind, start, end in _fields(data, span):
        if number == field and kind == _BYTES:
            yield start, end


def _varints(data: bytearray, span: tuple[int, int], field: int) -> Iterator[int]:
    for number, kind, start, _ in _fields(data, span):
        if number == field and kind == _VARINT:
            yield _varint(data, start)[0]


def _fields(data: bytearray, span: tuple[int, int]) -> Iterator[tuple[int, int, int, int]]:
    """Give each field of one message: its number, wire type and the span of its value."""
    position, limit = span
    while position < limit:
        key, position = _varint(data, position)
        kind, start = key & 7, position
        if kind == _VARINT:
            end = _varint(data, position)[1]
        elif kind == _BYTES:
            size, start = _varint(data, position)
            end = start + size
        elif kind in (_FIXED64, _FIXED32):
            end = start + (8 if kind == _FIXED64 else 4)
        else:
            raise ValueError(f"not an ONNX file: wire type {kind} at byte {position}")
        if end > limit:
            raise ValueError(f"not an ONNX file: a field at byte {position} runs past its message")
        yield key >> 3, kind, start, end
        position = end


def _varint(data: bytearray, position: int) -> tuple[int, int]:
    value = shift = 0
    while shift < 64 and position < len(data):
        byte = data[position]
        value |= (byte & 0x7F) << shift
        position, shift = position + 1, shift + 7
        if not byte & 0x80:
            return value, position
    raise ValueError(f"not an ONNX file: no number ends at byte {position}")
