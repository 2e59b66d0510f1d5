#!/usr/bin/env bash
# Installs the one Debian package that may be missing: a Python that can make virtual environments.
# Everything else comes as wheels.
set -euo pipefail

for python in python3.11 python3.12 python3.13 python3; do
    if "$python" -c 'import ensurepip, sys, venv; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' 2>/dev/null; then
        exit 0
    fi
done

echo "No Python 3.11 to 3.13 that can make virtual environments: Debian's python3-venv brings one."
if ! command -v apt-get >/dev/null; then
    echo "There is no apt-get here: install Python 3.11, 3.12 or 3.13 in this system's own way." >&2
    exit 1
elif [[ $EUID -ne 0 ]]; then
    echo "Not root, so it is not installed: sudo apt-get install python3-venv" >&2
    exit 1
fi
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
apt-get install -y -qq --no-install-recommends python3-venv
