#!/usr/bin/env bash
# Asks, for each Python and each architecture that 4Auth runs on, whether every locked release has
# a wheel: a kiosk has no compiler. Installs nothing.
set -euo pipefail
cd "$(dirname "$0")/.."
uv="${UV:-.venv/bin/uv}"
empty="$(mktemp -d)"
trap 'rm -rf "$empty"' EXIT
failed=0
for lock in server kiosk provisioning dev; do
    for arch in x86_64 aarch64; do
        for python in 3.11 3.12 3.13; do
            if "$uv" pip install --quiet --no-config --dry-run --target "$empty" --require-hashes \
                --only-binary :all: --python-platform "$arch-manylinux_2_28" \
                --python-version "$python" --requirement "requirements/$lock.txt"; then
                echo "wheels for $lock on $arch, Python $python: all"
            else
                echo "wheels for $lock on $arch, Python $python: MISSING" >&2
                failed=1
            fi
        done
    done
done
exit "$failed"
