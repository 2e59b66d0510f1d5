#!/usr/bin/env bash
# Installs the Debian packages that no wheel brings, and says what each is for. Nothing where all are there.
#   scripts/apt-install.sh             all of them (as root, but for promtool), as the tests need
#   scripts/apt-install.sh deploy      those that the deployment's tests need, which boot Debian hosts
#   scripts/apt-install.sh python      only a Python that can make virtual environments
set -euo pipefail
cd "$(dirname "$0")/.."

kind="${1:-all}"
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
if [[ "$kind" == all ]]; then
    command -v chromium >/dev/null || needed[chromium]="the browser that shows the kiosk's page, in its tests"
    command -v systemd-analyze >/dev/null || needed[systemd]="systemd-analyze, which judges the units in their tests"
    compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null || needed[postgresql]="the database of several servers, which the tests start themselves"
    command -v espeak-ng >/dev/null || needed[espeak-ng]="the voice of spoken prompts, in their tests"
    [[ -e /usr/share/fonts/truetype/noto/NotoSans-Regular.ttf ]] || needed[fonts-noto-core]="letters for Arabic and European languages on the page"
    [[ -e /usr/share/fonts/opentype/noto/NotoSansCJK-Regular.ttc ]] || needed[fonts-noto-cjk]="letters for Chinese on the page"
fi
if [[ "$kind" == all || "$kind" == deploy ]]; then
    command -v debootstrap >/dev/null || needed[debootstrap]="Debian as it is installed, for the deployment's tests"
    command -v systemd-nspawn >/dev/null || needed[systemd-container]="hosts that boot, for the deployment's tests"
    command -v ip >/dev/null || needed[iproute2]="their network"
    command -v cc >/dev/null || needed[gcc]="a clock that is wrong, for one program, in the deployment's tests"
    command -v cc >/dev/null || needed[libc6-dev]="the same"
    command -v mkfs.ext4 >/dev/null || needed[e2fsprogs]="a disk that is full, in the deployment's tests"
    command -v testssl >/dev/null || needed[testssl.sh]="a scanner that grades their TLS"
    command -v ssh >/dev/null || needed[openssh-client]="Ansible's way to a host"
fi

unpacked=.cache/promtool
is_promtool_needed() { # by the tests of the alerts; installed, the package would start a Prometheus that nobody asked for
    [[ "$kind" == all ]] && ! command -v promtool >/dev/null && [[ ! -x "$unpacked/usr/bin/promtool" ]]
}

unpack_promtool() {
    echo "Needed: promtool, which judges the alerts in their tests; from the package prometheus, unpacked in $unpacked"
    mkdir -p "$unpacked"
    (cd "$unpacked" && apt-get download -qq prometheus && dpkg-deb --extract prometheus_*.deb . && rm -- *.deb usr/bin/prometheus)
}

if [[ ${#needed[@]} -eq 0 ]] && ! is_promtool_needed; then
    exit 0
fi
for package in "${!needed[@]}"; do
    echo "Needed: $package, ${needed[$package]}"
done
if ! command -v apt-get >/dev/null; then
    echo "There is no apt-get here: install these in this system's own way." >&2
    exit 1
elif [[ ${#needed[@]} -gt 0 && $EUID -ne 0 ]]; then
    echo "Not root, so nothing is installed: sudo apt-get install ${!needed[*]}" >&2
    exit 1
fi

settings=/etc/postgresql-common/createcluster.conf
settings_of_package() {
    cp "/usr/share/postgresql-common/${settings##*/}" "$settings" 2>/dev/null || rm -f "$settings"
}

if [[ $EUID -eq 0 ]]; then
    apt-get update -qq
fi
if [[ -n "${needed[postgresql]:-}" && ! -e "$settings" ]]; then
    # The package would make a database that runs from then on; the tests make their own, and end it.
    trap settings_of_package EXIT
    mkdir -p "${settings%/*}"
    echo "create_main_cluster = false" >"$settings"
fi
if [[ ${#needed[@]} -gt 0 ]]; then
    # A file that is there already stays as it is, and is not asked about.
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends -o Dpkg::Options::=--force-confold "${!needed[@]}"
fi
if is_promtool_needed; then
    unpack_promtool
fi
