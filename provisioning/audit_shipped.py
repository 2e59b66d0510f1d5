"""A folder of shipped audit files: their names, their order, and the proof of all of them together.

    audit-000000000001-000000000120-<SHA-256 of the file>.jsonl

Each file is an export of the rows that its name says, and goes on from the one before. So what is there says what was
shipped, and nothing else need be remembered.
"""

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from auth_server.audit_anchors import Finding
from auth_server.audit_chain import Head
from auth_server.audit_export import Header
from auth_server.audit_export_check import read_header, verify_export
from auth_server.audit_verify import ChainReport
from provisioning.errors import Refused

_NAME: Final = re.compile(r"audit-([0-9]{12})-([0-9]{12})-([0-9a-f]{64})\.jsonl")
_FINDINGS_LISTED: Final = 100


@dataclass(frozen=True, slots=True, order=True)
class Part:
    """One shipped file, with what its name says: its first and last row, and its SHA-256 in hexadecimal."""

    first: int
    last: int
    digest: str
    path: Path


def part_name(first: int, last: int, digest: str) -> str:
    """Return the name of a file that holds these rows."""
    return f"audit-{first:012d}-{last:012d}-{digest}.jsonl"


def parts_in(folder: Path) -> list[Part]:
    """Return the shipped files of a folder, the oldest rows first. Raises Refused where it cannot be read."""
    try:
        found = ((path, _NAME.fullmatch(path.name)) for path in folder.iterdir())
        return sorted(Part(int(name[1]), int(name[2]), name[3], path) for path, name in found if name)
    except OSError as error:
        raise Refused(f"{folder} cannot be read: {error.strerror}: name the folder of shipped files") from error


def digest_of(path: Path) -> str:
    """Return a file's SHA-256 in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def verify_shipped(folder: Path) -> ChainReport:
    """Check all shipped files as one log, with no store and no key of the site's.

    What was cut off at the end, all later files, no file here can tell of. Raises Refused where there is none, and
    StoreError where one is no export.
    """
    parts = parts_in(folder)
    if not parts:
        raise Refused(f"{folder} holds no shipped file, whose names begin with audit-: name another folder")
    reports, findings = [], []
    before: Header | None = None
    for part in parts:
        header = read_header(part.path)
        findings += [Finding(part.first, what) for what in _faults(part, header, before)]
        reports.append(verify_export(part.path, header))
        before = header
    return _joined(parts, reports, findings)


def _faults(part: Part, header: Header, before: Header | None) -> Iterator[str]:
    if digest_of(part.path) != part.digest:
        yield f"{part.path.name} was changed: its SHA-256 is not the one in its name"
    if (header.after.sequence + 1, header.last.sequence) != (part.first, part.last) or not header.is_chained:
        yield f"{part.path.name} says of itself that it holds other rows than its name does"
    if before is None:
        return
    if header.after.sequence > before.last.sequence:
        yield f"rows {before.last.sequence + 1} to {header.after.sequence} are missing: no file here holds them"
    elif header.after != before.last:
        yield f"{part.path.name} does not go on from the file before it"
    if header.site != before.site or header.keys[: len(before.keys)] != before.keys:
        yield f"{part.path.name} is of another site, or its audit keys do not go on from those of the file before it"


def _joined(parts: list[Part], reports: list[ChainReport], findings: list[Finding]) -> ChainReport:
    listed = [*findings, *(finding for report in reports for finding in report.findings)]
    notes = list(dict.fromkeys(note for report in reports for note in report.notes))
    if parts[0].first > 1:
        notes.insert(0, f"rows 1 to {parts[0].first - 1} are not here: the oldest file begins at row {parts[0].first}")
    newest = reports[-1]
    return replace(
        newest,
        rows=sum(report.rows for report in reports),
        head=Head(*newest.head),
        erased=sum(report.erased for report in reports),
        findings=tuple(listed[:_FINDINGS_LISTED]),
        finding_count=len(findings) + sum(report.finding_count for report in reports),
        notes=tuple(notes),
    )
