#!/usr/bin/env bash
# Makes .cache/deploy/venv, which holds Ansible and its linters and nothing of 4Auth; quick when it is there already.
set -euo pipefail
cd "$(dirname "$0")/.."
venv=.cache/deploy/venv
lock=requirements/deploy.txt
if [[ "$(cat "$venv/.lock" 2>/dev/null)" == "$(sha256sum <"$lock")" ]]; then
    exit 0
fi
echo "Installing Ansible into $venv"
rm -rf "$venv"
mkdir -p "$(dirname "$venv")"
.venv/bin/python -m venv "$venv"
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check --require-hashes --requirement "$lock"
sha256sum <"$lock" >"$venv/.lock"
