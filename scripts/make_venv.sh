#!/usr/bin/env bash
# Makes .venv with exactly the locked releases and 4Auth itself, or says in a sentence why it cannot.
set -euo pipefail
cd "$(dirname "$0")/.."
venv="${VENV:-.venv}"

supported() { # is "$1" a Python that 4Auth runs on?
    "$1" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' 2>/dev/null
}

find_python() {
    local candidate
    for candidate in python3.11 python3.12 python3.13 python3; do
        if supported "$candidate"; then
            echo "$candidate"
            return
        fi
    done
    echo "4Auth needs Python 3.11, 3.12 or 3.13, and none of them is on the PATH." \
        "Install one, or name it: make venv PYTHON=/path/to/python3.11" >&2
    exit 1
}

if [[ ! -x "$venv/bin/python" ]]; then
    python="${PYTHON:-$(find_python)}"
    if ! command -v "$python" >/dev/null; then
        echo "There is no program $python: name a Python 3.11, 3.12 or 3.13." >&2
        exit 1
    elif ! supported "$python"; then
        echo "4Auth needs Python 3.11, 3.12 or 3.13; $python is" \
            "$("$python" --version 2>&1)." >&2
        exit 1
    fi
    if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
        echo "$python cannot make virtual environments; on Debian: apt-get install python3-venv" >&2
        exit 1
    fi
    echo "Making $venv with $("$python" --version)"
    "$python" -m venv "$venv"
elif ! supported "$venv/bin/python"; then
    echo "$venv holds $("$venv/bin/python" --version 2>&1), which 4Auth does not run on: make clean-all, then again" >&2
    exit 1
elif [[ -n "${PYTHON:-}" && "$("$venv/bin/python" --version)" != "$("$PYTHON" --version)" ]]; then
    echo "$venv was made with $("$venv/bin/python" --version) and not with $PYTHON: make clean-all, then again" >&2
    exit 1
fi

echo "Installing the locked releases (the first time takes a minute or two)"
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check --require-hashes \
    --requirement requirements/dev.txt
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps \
    --requirement requirements/picamera2.txt
# The build backend is among the locked releases, so nothing unpinned is fetched to build 4Auth.
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps \
    --no-build-isolation --editable .
# What picamera2 lacks is on purpose; anything else is a fault.
if missing=$("$venv/bin/python" -m pip check | grep -v -e '^picamera2 ' -e '^No broken requirements found'); then
    echo "$missing" >&2
    exit 1
fi
