#!/usr/bin/env bash
# Installs the Debian packages that no wheel brings, and says what each is for. Nothing where all are there.
#   scripts/apt-install.sh             all of them (as root), as the tests need
#   scripts/apt-install.sh deploy      those that the deployment's tests need, which boot Debian hosts
#   scripts/apt-install.sh python      only a Python that can make virtual environments
set -euo pipefail

declare -A needed=() # package -> what for

has_python() {
    local python
    for python in python3.11 python3.12 python3.13 python3; do
        if "$python" -c 'import ensurepip, sys, venv; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' 2>/dev/null; then
            return 0
        fi
    done
    return 1
}

has_python || needed[python3-venv]="a Python 3.11 to 3.13 that can make virtual environments"
if [[ "${1:-all}" == all ]]; then
    command -v chromium >/dev/null || needed[chromium]="the browser that shows the kiosk's page, in its tests"
    command -v systemd-analyze >/dev/null || needed[systemd]="systemd-analyze, which judges the units in their tests"
    command -v espeak-ng >/dev/null || needed[espeak-ng]="the voice of spoken prompts, in their tests"
    [[ -e /usr/share/fonts/truetype/noto/NotoSans-Regular.ttf ]] || needed[fonts-noto-core]="letters for Arabic and European languages on the page"
    [[ -e /usr/share/fonts/opentype/noto/NotoSansCJK-Regular.ttc ]] || needed[fonts-noto-cjk]="letters for Chinese on the page"
fi
if [[ "${1:-all}" == all || "${1:-all}" == deploy ]]; then
    command -v debootstrap >/dev/null || needed[debootstrap]="Debian as it is installed, for the deployment's tests"
    command -v systemd-nspawn >/dev/null || needed[systemd-container]="hosts that boot, for the deployment's tests"
    command -v ip >/dev/null || needed[iproute2]="their network"
    command -v cc >/dev/null || needed[gcc]="a clock that is wrong, for one program, in the deployment's tests"
    command -v cc >/dev/null || needed[libc6-dev]="the same"
    command -v mkfs.ext4 >/dev/null || needed[e2fsprogs]="a disk that is full, in the deployment's tests"
    command -v testssl >/dev/null || needed[testssl.sh]="a scanner that grades their TLS"
    command -v ssh >/dev/null || needed[openssh-client]="Ansible's way to a host"
fi

if [[ ${#needed[@]} -eq 0 ]]; then
    exit 0
fi
for package in "${!needed[@]}"; do
    echo "Needed: $package, ${needed[$package]}"
done
if ! command -v apt-get >/dev/null; then
    echo "There is no apt-get here: install these in this system's own way." >&2
    exit 1
elif [[ $EUID -ne 0 ]]; then
    echo "Not root, so nothing is installed: sudo apt-get install ${!needed[*]}" >&2
    exit 1
fi
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
apt-get install -y -qq --no-install-recommends "${!needed[@]}"
