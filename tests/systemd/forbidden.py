"""Tries what a unit forbids, from inside its sandbox; run in the place of its program, with nothing but Python.

Prints one JSON object: each act, and None where it was refused, else what it got. Arguments are acts to leave out.
"""

import ctypes
import json
import mmap
import os
import socket
import sys
import tempfile
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

ACTS: dict[str, Callable[[], object]] = {}
LIBC = ctypes.CDLL(None, use_errno=True)
BLUETOOTH = 31  # a Python that was built without its headers has no name for it
NEW_USER, NEW_NET, NEW_NS = 0x10000000, 0x40000000, 0x00020000


def act(made: Callable[[], object]) -> Callable[[], object]:
    """An act under its name; it raises OSError where it is refused."""
    ACTS[made.__name__] = made
    return made


def call(function: str, *arguments: object) -> int:
    found: int = getattr(LIBC, function)(*arguments)
    if found < 0:
        raise OSError(ctypes.get_errno(), function)
    return found


def each(tried: Callable[[str], object], names: Iterable[str]) -> list[str]:
    """Those of the names for which it was not refused. Raises PermissionError where there is none."""
    found = []
    for name in names:
        with suppress(OSError):
            tried(name)
            found.append(name)
    if not found:
        raise PermissionError("each was refused")
    return found


@act
def write_to_the_system() -> object:
    folders = (
        "/usr",
        "/etc",
        "/opt",
        "/opt/4auth/current",
        "/etc/4auth",
        "/var/lib",
        "/var/lib/4auth",
        "/var/lib/4auth/models",
    )
    return each(lambda folder: Path(folder, "4auth-was-here").write_text("x"), folders)


@act
def change_its_own_settings() -> object:
    names = ("server.toml", "gateway/gateway.toml", "kiosk.toml")
    return each(lambda name: Path("/etc/4auth", name).open("a").close(), names)


@act
def read_the_originals_of_keys() -> object:
    names = ("/etc/4auth/admin.secret", "/var/lib/4auth/kiosk/device.pem", "/etc/4auth/keys/database.key")
    own = os.environ.get("CREDENTIALS_DIRECTORY", "/nowhere")
    return each(
        lambda name: Path(name).read_bytes(), [name for name in names if not Path(own, Path(name).name).exists()]
    )


@act
def read_the_systems_passwords() -> object:
    return Path("/etc/shadow").read_text()[:1]


@act
def read_another_units_credentials() -> object:
    own = os.environ.get("CREDENTIALS_DIRECTORY", "")
    return each(os.listdir, [str(folder) for folder in Path("/run/credentials").iterdir() if str(folder) != own])


@act
def reach_the_host_through_another_process() -> object:
    return list(Path("/proc/1/root").iterdir())


@act
def see_other_processes() -> object:
    return each(
        os.stat,
        [str(place) for place in Path("/proc").iterdir() if place.name.isdecimal() and place.name != str(os.getpid())],
    )


@act
def look_into_home() -> object:
    return list(Path("/root").iterdir())


@act
def become_root() -> object:
    return os.setuid(0)


@act
def give_a_file_away() -> object:
    with tempfile.NamedTemporaryFile() as file:
        return os.chown(file.name, 0, 0)


@act
def make_a_file_that_runs_as_its_owner() -> object:
    with tempfile.NamedTemporaryFile() as file:
        return Path(file.name).chmod(0o4755)


@act
def make_a_namespace() -> object:
    return each(lambda flags: call("unshare", int(flags)), (str(NEW_USER), str(NEW_NET), str(NEW_NS)))


@act
def mount_something() -> object:
    return call("mount", b"none", b"/tmp", b"tmpfs", 0, None)


@act
def write_memory_and_run_it() -> object:
    return mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC).close()


@act
def run_in_real_time() -> object:
    return os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))


@act
def trace_itself() -> object:
    return call("ptrace", 0, 0, None, None)


@act
def load_a_program_into_the_kernel() -> object:
    return call("syscall", 321, 0, None, 0)


@act
def change_the_kernels_settings() -> object:
    return Path("/proc/sys/kernel/hostname").write_text("x")


@act
def change_a_control_group() -> object:
    return Path("/sys/fs/cgroup/4auth-was-here").mkdir()


@act
def set_the_clock() -> object:
    import time

    return time.clock_settime(time.CLOCK_REALTIME, time.time())


@act
def read_raw_packets() -> object:
    return socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0).close()


@act
def speak_bluetooth() -> object:
    return socket.socket(BLUETOOTH, socket.SOCK_RAW, 1).close()


@act
def speak_with_the_internet() -> object:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        return sender.sendto(b"x", ("198.51.100.7", 9))


@act
def make_a_device() -> object:
    with tempfile.TemporaryDirectory() as folder:
        return os.mknod(f"{folder}/mem", 0o600 | 0o020000, os.makedev(1, 1))


@act
def open_a_device() -> object:
    return each(lambda name: os.open(name, os.O_RDWR), ("/dev/fuse", "/dev/kmsg", "/dev/net/tun", "/dev/console"))


def main() -> None:
    found: dict[str, object] = {}
    for name, tried in ACTS.items():
        if name in sys.argv[1:]:
            continue
        try:
            found[name] = repr(tried())
        except OSError as error:
            found[name] = None
            if os.environ.get("FORBIDDEN_SAYS_WHY"):
                print(f"{name}: {error}", file=sys.stderr)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
