#!/usr/bin/env bash
# Boots a stock Debian kernel in QEMU and tries the real drivers on devices that the kernel itself pretends.
set -euo pipefail
here="$(cd "$(dirname "$0")" && pwd)"
project="$(cd "$here/../.." && pwd)"
# shellcheck source=scripts/hardware/common.sh
source "$here/common.sh"

usage() {
    cat <<TEXT
usage: scripts/hardware/qemu.sh [--suite NAME] [--log FILE] [LEG ...]

Boots Debian's own kernel, with nothing in it changed, and tries in it the drivers of the kiosk:
  keypad   a USB keypad (uinput): keys, grab, pulled out and put back
  camera   a V4L2 camera (vivid): form, frames, busy, pulled out and put back
  nic      a wired interface (e1000) whose MAC was changed: the start is refused
  gpio     a key matrix at GPIO lines (hid-cp2112, on a bridge that is made up through uhid)
  relay    a door's relay at such a line: one pulse, and off whoever is killed while it is on
Without LEG all of them. Prints one line for each check; exit 0 when all are good, else 1.

  --suite NAME  the Debian release whose kernel is booted (default: trixie, of which Raspberry Pi OS is made)
  --log FILE    where the kernel's messages go (default: .cache/hardware/console.log)

The kernel is fetched once, from Debian's archive; for a newer one remove .cache/hardware/kernel-*.
Needs .venv (make venv). The guest sees /usr, the Python of .venv and the sources, all read-only, and no network.

example: scripts/hardware/qemu.sh keypad nic
TEXT
}

suite=trixie
log="$project/.cache/hardware/console.log"
while (($#)); do
    case "$1" in
        --help | -h) usage && exit 0 ;;
        --suite) suite="${2:?--suite takes a name}" && shift 2 ;;
        --log) log="${2:?--log takes a file}" && shift 2 ;;
        -*) usage >&2 && exit 2 ;;
        *) break ;;
    esac
done
legs=("${@:-all}")

if [[ "$(uname -m)" != x86_64 ]]; then
    echo "The guest runs this machine's own programs on an x86-64 kernel, and this is $(uname -m)." >&2
    exit 1
fi
need qemu-system-x86_64 qemu-system-x86 "the machine that is booted" \
    modprobe kmod "to find what a kernel module depends on" \
    cpio cpio "to pack what is booted" \
    xz xz-utils "to unpack the kernel's modules" \
    dpkg-deb dpkg "to unpack the kernel"
[[ -x "$project/.venv/bin/python" ]] || { echo "There is no .venv: make venv" >&2 && exit 1; }

mkdir -p "$project/.cache/hardware"
cache="$(cd "$project/.cache/hardware" && pwd -P)"

fetch() { # puts the newest kernel of $suite, and a busybox for what goes before Python, under $kernel
    local part="$kernel.part" image
    echo "Fetching the kernel of Debian $suite into .cache/hardware (130 MB unpacked)"
    apt_of "$cache/apt" "$suite" apt-get -qq update
    image="$(apt_of "$cache/apt" "$suite" apt-cache depends linux-image-amd64 |
        sed -n 's/.*Depends: \(linux-image-[^ ]*\).*/\1/p' | head -1)"
    rm -rf "$part" "$kernel"
    mkdir -p "$part/deb"
    (cd "$part/deb" && apt_of "$cache/apt" "$suite" apt-get -qq download "$image" busybox-static)
    for package in "$part"/deb/*.deb; do
        dpkg-deb --fsys-tarfile "$package" | tar -x --keep-directory-symlink -C "$part"
    done
    rm -r "$part/deb"
    [[ -d "$part/usr/lib/modules" ]] || mv "$part/lib/modules" "$part/usr/lib/"
    depmod -b "$part/usr" "$(basename "$part"/usr/lib/modules/*)"
    mv "$part" "$kernel"
}

pack() { # puts busybox, the kernel's modules and where everything is into $1
    local root="$1/root" module path
    mkdir -p "$root"/{bin,dev,etc,modules,proc,run,sys,tmp,usr}
    cp "$kernel"/{usr/,}bin/busybox "$root/bin/" 2>/dev/null || true # the one place or the other
    cp "$here/init.sh" "$root/init"
    for module in 9p 9pnet_virtio e1000 evdev uinput uhid hid-cp2112 vivid; do
        modprobe --show-depends -d "$kernel/usr" -S "$release" "$module" | sed -n 's/^insmod \([^ ]*\).*/\1/p'
    done | awk '!seen[$0]++' | while read -r path; do
        module="$(basename "${path%.xz}")"
        if [[ "$path" == *.xz ]]; then xz -dc "$path"; else cat "$path"; fi >"$root/modules/$module"
        # One camera: of all that vivid can pretend, capturing video.
        echo "$module$([[ "$module" != vivid.ko ]] || echo ' n_devs=1 node_types=0x1')" >>"$root/modules/order"
    done
    printf '%s\n' "${shares[@]}" >"$root/etc/shares"
    # A process that ignores PYTHONPATH, as the guard of the relay does, finds lgpio too.
    local python packages
    python="$("$venv/bin/python" -c 'import os, sys; print(os.path.realpath(sys.executable))')"
    packages="$("$venv/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')"
    mkdir -p "$root/venv/bin" "$root/venv/${packages#"$venv/"}"
    ln -s "$python" "$root/venv/bin/python"
    echo "home = $(dirname "$python")" >"$root/venv/pyvenv.cfg"
    printf '%s\n' "import site; site.addsitedir('$packages')" "$cache/python" >"$root/venv/${packages#"$venv/"}/shared.pth"
    {
        echo "export PATH=/usr/sbin:/usr/bin:/bin PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=${project@Q}"
        echo "exec /venv/bin/python ${here@Q}/in_guest.py ${legs[*]@Q}"
    } >"$root/etc/program"
    (cd "$root" && find . | cpio -o -H newc --quiet >"$1/initrd")
}

kernel="$cache/kernel-$suite"
[[ -d "$kernel" ]] || fetch
release="$(basename "$kernel"/usr/lib/modules/*)"
venv="$(cd "$project/.venv" && pwd -P)"
if ! "$venv/bin/python" -c 'import lgpio' 2>/dev/null && [[ ! -e "$cache/python/lgpio.py" ]]; then
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --target "$cache/python" 'lgpio>=0.2.2'
fi

shares=(/usr "$("$venv/bin/python" -c 'import sys; print(sys.base_prefix)')" "$venv" "$project" "$cache")
devices=()
for number in "${!shares[@]}"; do
    devices+=(-fsdev "local,id=share$number,path=${shares[number]},security_model=none,readonly=on,multidevs=remap"
        -device "virtio-9p-pci,fsdev=share$number,mount_tag=share$number")
done

folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
pack "$folder"

accel=(-accel tcg -cpu max)
# Opening /dev/kvm tells little: in some virtual machines a guest ends at once all the same.
if bash -c "timeout 10 qemu-system-x86_64 -accel kvm -cpu host -display none -monitor stdio <<<quit" >/dev/null 2>&1; then
    accel=(-accel kvm -cpu host)
fi
echo "Debian $suite, Linux $release, $(qemu-system-x86_64 --version | head -1), ${accel[1]}"
timeout 420 qemu-system-x86_64 "${accel[@]}" -machine pc -smp 1 -m 1024 -nodefaults -no-user-config -no-reboot \
    -display none -kernel "$kernel/boot/vmlinuz-$release" -initrd "$folder/initrd" \
    -append "console=ttyS0 quiet panic=-1" -serial "file:$log" "${devices[@]}" \
    -netdev user,id=wire,restrict=on -device e1000,netdev=wire,mac=b8:27:eb:04:0a:17 \
    -device virtio-serial -chardev file,id=told,path=/dev/stdout -device virtserialport,chardev=told,name=told \
    </dev/null | tee "$folder/told" || true # the last line decides
grep -qx 'all good' "$folder/told" || { echo "Not all good; the kernel's messages are in $log" >&2 && exit 1; }
