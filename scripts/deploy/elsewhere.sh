#!/usr/bin/env bash
# Tries the deployment where `make test` does not: on Debian 13, on aarch64, on a machine with a kernel of its own.
set -euo pipefail
here="$(cd "$(dirname "$0")" && pwd)"
cd "$here/../.."
# shellcheck source=scripts/hardware/common.sh
source scripts/hardware/common.sh

usage() {
    cat <<TEXT
usage: scripts/deploy/elsewhere.sh LEG [OPTION OF PYTEST ...]

As root, on x86-64. Boots Debian hosts as the tests of the deployment do, and runs
  debian-13  these same tests, on hosts of Debian 13
  arm64      the base and kiosk roles on a kiosk of aarch64, each instruction reckoned by QEMU
  qemu       the site with its server on a machine with its own kernel, disk and clock, in QEMU:
             power cuts in the middle of logins, what its kernel holds units to, a clock that is wrong
Prints one line for each test; exit 0 when all are good. It fetches packages from Debian's archive, and wheels.

  FOURAUTH_LOGINS  how many logins of the leg qemu are acknowledged before its last cut (500)

example: scripts/deploy/elsewhere.sh qemu -k memory
TEXT
}

case "${1:-}" in
    --help | -h) usage && exit 0 ;;
    debian-13 | arm64 | qemu) leg="$1" && shift ;;
    *) usage >&2 && exit 2 ;;
esac
if ((EUID != 0)); then
    echo "Booting hosts needs root." >&2
    exit 1
fi
scripts/apt-install.sh deploy
case "$leg" in
    debian-13)
        export FOURAUTH_DEBIAN=trixie FOURAUTH_DRILLS=1
        tests=(tests/deploy)
        ;;
    arm64)
        need qemu-aarch64-static qemu-user-static "to run programs of aarch64"
        tests=(tests/deploy/elsewhere/test_arm64.py)
        ;;
    qemu)
        need qemu-system-x86_64 qemu-system-x86 "the machine that is booted" \
            mkfs.ext4 e2fsprogs "to make its disk"
        tests=(tests/deploy/elsewhere/test_qemu.py)
        ;;
esac
export FOURAUTH_ELSEWHERE="$leg" ORT_DISABLE_TELEMETRY=1
exec .venv/bin/python -m pytest -v -s -o faulthandler_timeout=7200 "${tests[@]}" "$@"
