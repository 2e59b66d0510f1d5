"""Checking the signatures of a long checkpoint file in processes of their own.

A signature takes as long as ten rows, so that with a checkpoint every twenty rows the signatures are
a third of the work. Threads do not help: each would wait for the GIL after each signature.
"""

import os
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from multiprocessing import get_context
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from auth_server.audit_anchors import Judged, judge_lines
from auth_server.audit_chain import Checkpoint, DamagedLine
from auth_server.audit_keys import KeyPath
from auth_server.errors import StoreError

Line = Checkpoint | DamagedLine
Plain = tuple[int, str, str, str, bytes, int]
"""An ordinary checkpoint as it passes to another process: its first six fields, which is a tenth of the work."""

_BATCH: Final = 256
_PROCESSES_MAX: Final = 4
_PENDING_MAX: Final = 4
"""Batches under way for each process: so many lines are kept in memory, however long the file is."""

_keys: list[KeyPath] = []


def judge_in_processes(lines: Iterable[Line], keys: KeyPath) -> Iterator[Judged]:
    """Give what `judge_lines` gives. Raises StoreError when a process was killed."""
    count = max(1, min(_PROCESSES_MAX, len(os.sched_getaffinity(0)) - 1))
    raw = tuple(key.public_bytes_raw() for key in keys.keys)
    # Spawned, not forked: an open database must not cross a fork.
    with ProcessPoolExecutor(count, get_context("spawn"), _begin, (raw, keys.hand_overs)) as pool:
        waiting: deque[tuple[Sequence[Line], Future[list[str | None]]]] = deque()
        batches = _batches(iter(lines))
        try:
            while True:
                for batch in islice(batches, count * _PENDING_MAX - len(waiting)):
                    waiting.append((batch, pool.submit(_faults, [_plain(line) for line in batch])))
                if not waiting:
                    return
                batch, judged = waiting.popleft()
                for line, fault in zip(batch, judged.result(), strict=True):
                    yield next(judge_lines([line], keys)) if _plain(line) is None else Judged(line, fault)
        except BrokenProcessPool as error:
            raise StoreError("a process that checks signatures was killed: try again with more free memory") from error
        finally:
            pool.shutdown(cancel_futures=True)


def _batches(lines: Iterator[Line]) -> Iterator[Sequence[Line]]:
    while batch := list(islice(lines, _BATCH)):
        yield batch


def _begin(raw: Sequence[bytes], hand_overs: tuple[Checkpoint, ...]) -> None:
    _keys.append(KeyPath(tuple(map(Ed25519PublicKey.from_public_bytes, raw)), hand_overs))


def _plain(line: Line) -> Plain | None:
    """What a process needs of an ordinary checkpoint; the few others are judged here."""
    if isinstance(line, DamagedLine) or line.restore is not None or line.hand_over is not None:
        return None
    return line.sequence, line.head, line.ts_utc, line.key_id, line.signature, line.line


def _faults(batch: Sequence[Plain | None]) -> list[str | None]:
    return [None if plain is None else _keys[0].fault(Checkpoint(*plain)) for plain in batch]
