"""What an evaluation has found so far, in a folder, so that a run that was stopped goes on.

One line of JSON for each file that was looked at, by the SHA-256 of its content, in a file that is named
by what it was looked at with: another model begins anew. A line that was cut off by a kill is forgotten.
The lines of faces hold embeddings, which are as private as the pictures: the folder is its owner's alone.
"""

import contextlib
import fcntl
import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TextIO

from auth_server.errors import EvaluationRefused


class Ledger:
    """Findings by key; `put` writes each at once. Without a file they are kept in memory alone."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream
        self._found: dict[str, Mapping[str, Any]] = {}

    def __contains__(self, key: str) -> bool:
        return key in self._found

    def __getitem__(self, key: str) -> Mapping[str, Any]:
        return self._found[key]

    def put(self, key: str, finding: Mapping[str, Any]) -> None:
        """Keep a finding: once this returns, no kill of this process loses it."""
        self._found[key] = finding
        if self._stream is not None:
            self._stream.write(json.dumps({"key": key, **finding}, separators=(",", ":")) + "\n")
            self._stream.flush()

    def recall(self, lines: Iterator[str]) -> None:
        """Take over what an earlier run wrote."""
        for line in lines:
            with contextlib.suppress(ValueError, KeyError, TypeError):
                finding = json.loads(line)
                self._found[str(finding.pop("key"))] = finding


@contextlib.contextmanager
def opened(folder: Path | None, kind: str, *names: str) -> Iterator[Ledger]:
    """Open the ledger of a kind, for what is looked at with the models of these names.

    Raises EvaluationRefused when the folder cannot be used, or another run is at work in it.
    """
    if folder is None:
        yield Ledger()
        return
    digest = hashlib.sha256("\n".join(names).encode()).hexdigest()[:12]
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        file = os.open(folder / f"{kind}-{digest}.jsonl", os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise EvaluationRefused(f"{folder} cannot be used to keep what was found: {error.strerror}") from error
    with os.fdopen(file, "r+", encoding="utf-8", errors="replace") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise EvaluationRefused(
                f"another run is at work in {folder}: wait for it, or name another folder"
            ) from error
        ledger = Ledger(stream)
        ledger.recall(iter(stream.readline, ""))
        stream.seek(0, os.SEEK_END)
        _end_line(stream)
        yield ledger


def _end_line(stream: TextIO) -> None:
    """Begin on a line of its own, where the last one was cut off."""
    size = stream.tell()
    if size and os.pread(stream.fileno(), 1, size - 1) != b"\n":
        stream.write("\n")
