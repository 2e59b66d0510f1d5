#!/usr/bin/env bash
# Tries the driver picamera2 on libcamera's virtual camera, in a root of Debian testing.
set -euo pipefail
here="$(cd "$(dirname "$0")" && pwd)"
project="$(cd "$here/../.." && pwd)"
# shellcheck source=scripts/hardware/common.sh
source "$here/common.sh"

usage() {
    cat <<TEXT
usage: scripts/hardware/libcamera.sh [--suite NAME] [--rounds N]

Makes a root of another Debian in .cache/hardware, with its libcamera, and tries in it the camera driver picamera2 on
libcamera's virtual camera, which shows pictures from files. Prints one line for each check; exit 0 when all are good.

  --suite NAME  whose libcamera is tried (default: testing; that of Debian 13, 0.4.0, hangs in its virtual camera)
  --rounds N    how often the camera is opened and closed (default: 25)

Needs root, for chroot, and .venv (make venv). The root is made once, with 400 MB from Debian's archive; for a newer
one remove .cache/hardware/root-*. The sources are mounted read-only.

example: scripts/hardware/libcamera.sh --rounds 100
TEXT
}

suite=testing
rounds=25
while (($#)); do
    case "$1" in
        --help | -h) usage && exit 0 ;;
        --suite) suite="${2:?--suite takes a name}" && shift 2 ;;
        --rounds) rounds="${2:?--rounds takes a number}" && shift 2 ;;
        *) usage >&2 && exit 2 ;;
    esac
done

((EUID == 0)) || { echo "This makes a root to change into, so it must itself be started as root: sudo $0" >&2 && exit 1; }
need mmdebstrap mmdebstrap "to make the root of another Debian"
[[ -x "$project/.venv/bin/python" ]] || { echo "There is no .venv: make venv" >&2 && exit 1; }
mkdir -p "$project/.cache/hardware"
root="$(cd "$project/.cache/hardware" && pwd -P)/root-$suite"

make_root() { # puts Debian $suite with libcamera and what the driver imports under $root
    local part="$root.part" version
    echo "Making a root of Debian $suite in .cache/hardware"
    rm -rf "$part"
    # The lists of testing expire after a week, and a mirror of them may be older.
    mmdebstrap --quiet --variant=apt --aptopt='Apt::Install-Recommends "false"' \
        --include=python3,python3-libcamera,libcamera-ipa,python3-numpy,python3-pil,python3-pydantic,python3-structlog \
        "$suite" "$part" "deb [check-valid-until=no signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] \
        $(mirror) $suite main"
    version="$(chroot "$part" python3 -c 'import sys; print(f"{sys.version_info[0]}.{sys.version_info[1]}")')"
    # Debian has no picamera2; what else it imports and a picture needs is pure Python.
    "$project/.venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps --only-binary=:all: \
        --python-version "$version" --target "$part/opt/python" --require-hashes -r "$project/requirements/picamera2.txt"
    "$project/.venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps --only-binary=:all: \
        --python-version "$version" --target "$part/opt/python" 'videodev2>=0.0.4,<0.1'
    mkdir -p "$part"/{project,pictures,dev/dma_heap}
    # libcamera asks whether there is a heap, and takes nothing from it where its user brings the memory.
    : >"$part/dev/dma_heap/linux,cma"
    mv "$part" "$root"
}

[[ -d "$root" ]] || make_root
cat >"$root/usr/share/libcamera/pipeline/virtual/virtual.yaml" <<TEXT
"Virtual0":
  supported_formats:
  - width: 640
    height: 480
    frame_rates: [30]
  frames:
    path: "/pictures/"
  location: "CameraLocationFront"
  model: "Virtual0"
TEXT
packages="$(chroot "$root" dpkg-query -W -f '${Package} ${Version}, ' python3-libcamera)"
echo "Debian $suite, ${packages}picamera2 $(sed -n 's/^picamera2==\([^ ]*\).*/\1/p' "$project/requirements/picamera2.txt")," \
    "$(chroot "$root" python3 --version)"
# The mounts end with this process.
unshare --mount --fork bash -c '
    mount --bind -o ro "$1" "$2/project"
    mount -t proc proc "$2/proc"
    exec timeout 300 chroot "$2" env LIBCAMERA_LOG_LEVELS="*:FATAL" PYTHONDONTWRITEBYTECODE=1 \
        PYTHONPATH=/project:/opt/python python3 /project/scripts/hardware/ribbon_camera.py "$3"
' bash "$project" "$root" "$rounds"
