#!/usr/bin/env bash
# Writes requirements/*.txt: every release pinned, with the hashes of all its files, for Python
# 3.11 to 3.13 on any architecture, and without naming where the files come from.
set -euo pipefail
cd "$(dirname "$0")/.."
uv="${UV:-.venv/bin/uv}"

lock() { # name, then the extras and options of uv
    local name="$1"
    shift
    echo "locking requirements/$name.txt"
    # Settings of the person who runs this (indexes, find-links, constraints) must not leak in.
    env -u UV_INDEX -u UV_FIND_LINKS -u UV_CONSTRAINT -u UV_EXTRA_INDEX_URL \
        "$uv" pip compile --quiet --no-config --universal --python-version 3.11 \
        --generate-hashes --no-emit-index-url --no-emit-find-links \
        --no-emit-package fourauth --custom-compile-command "make lock" \
        --output-file "requirements/$name.txt" "$@"
}

# dev holds everything, so it is solved first and the others take their releases from it.
lock dev --extra dev ${UPGRADE:+--upgrade} pyproject.toml
for extra in server kiosk provisioning; do
    rm -f "requirements/$extra.txt"
    lock "$extra" --extra "$extra" --constraint requirements/dev.txt pyproject.toml
done
# The controller's programs, which share nothing with the rest.
lock deploy --group deploy ${UPGRADE:+--upgrade}

if grep -nE '://|find-links|index' requirements/*.txt; then
    echo "the lines above name a place; a lock names none" >&2
    exit 1
fi
