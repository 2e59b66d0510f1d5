"""A lab whose kiosk is of aarch64, as a Pi is: its programs are reckoned one by one by QEMU, on this machine's kernel.

That shows that everything is there for the processor, installs and runs. It shows nothing of hardening, because QEMU
hands system calls on that the kernel then cannot tell apart.
"""

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.deploy.debian import PACKAGES, Debian, run
from tests.deploy.lab import CONTROLLER, KIOSK, Host, Lab

ARM64_PACKAGES: Final = (*PACKAGES, "python3-evdev")
_BINFMT: Final = Path("/proc/sys/fs/binfmt_misc")
_NAME: Final = "4auth-aarch64"
_RULE: Final = Path("/usr/lib/binfmt.d/qemu-aarch64.conf")
"""How the package qemu-user-static has the kernel know such programs."""

# QEMU shows this machine's own processor there, at which onnxruntime crashes; these are the lines of a Pi 4.
_CPUINFO: Final = "".join(
    f"processor\t: {core}\nBogoMIPS\t: 108.00\nFeatures\t: fp asimd evtstrm crc32 cpuid\nCPU implementer\t: 0x41\n"
    "CPU architecture: 8\nCPU variant\t: 0x0\nCPU part\t: 0xd08\nCPU revision\t: 3\n\n"
    for core in range(4)
)
_CPUINFO_MOUNT: Final = (
    "[Unit]\nDefaultDependencies=no\n[Mount]\nWhat=/srv/cpuinfo\nWhere=/proc/cpuinfo\nOptions=bind\n"
)
# Neither the copies of secrets nor what hides parts of the system can be set up under QEMU.
_UNCLOSED: Final = "[Service]\nUser=root\n" + "".join(
    f"{name}\n"
    for name in (
        *("LoadCredential=", "SetCredential=", "BindReadOnlyPaths=", "SystemCallFilter=", "MemoryDenyWriteExecute=no"),
        *("ProtectSystem=no", "ProtectHome=no", "PrivateTmp=no", "PrivateMounts=no", "ProtectProc=default"),
        *("ProtectControlGroups=no", "ProtectHostname=no", "ProtectClock=no", "ProtectKernelTunables=no"),
        *("ProtectKernelModules=no", "ProtectKernelLogs=no"),
        *("TimeoutStartSec=600", "TimeoutStopSec=120", "WatchdogSec=300"),
    )
)


@contextmanager
def foreign_programs() -> Iterator[None]:
    """Let this machine's kernel run programs of aarch64 for as long as this is open, unless it does so always."""
    is_mounted = (_BINFMT / "register").exists()
    if not is_mounted:
        run("mount", "-t", "binfmt_misc", "none", str(_BINFMT))
    ours = _BINFMT / _NAME
    try:
        if not (_BINFMT / "qemu-aarch64").exists():
            if ours.exists():  # an earlier run was killed
                ours.write_text("-1")
            rule = next(line for line in _RULE.read_text().splitlines() if line.startswith(":qemu-aarch64:"))
            (_BINFMT / "register").write_text(rule.replace("qemu-aarch64", _NAME, 1))
        yield
    finally:
        if ours.exists():
            ours.write_text("-1")
        if not is_mounted:
            run("umount", str(_BINFMT))


@dataclass
class Arm64Lab(Lab):
    """The lab with a kiosk of another processor than its server."""

    up_within_s: float = 300.0

    def debian_of(self, host: Host) -> Debian:
        """What a host is made of."""
        if host != KIOSK:
            return self.debian
        return Debian(self.debian.folder, self.debian.suite, ARM64_PACKAGES, "arm64")

    def _lay(self, host: Host) -> None:
        super()._lay(host)
        if host == KIOSK:  # whose filter of system calls QEMU cannot set
            unfiltered = self.root(host) / "etc/systemd/system/chrony.service.d/lab.conf"
            unfiltered.write_text(unfiltered.read_text().replace("-F 1", "-F 0"))
            (self.root(host) / "srv/cpuinfo").write_text(_CPUINFO)
            unclosed = self.root(host) / "etc/systemd/system/4auth-kiosk.service.d/qemu.conf"
            unclosed.parent.mkdir(parents=True)
            unclosed.write_text(_UNCLOSED)
            mount = unclosed.parents[1] / "proc-cpuinfo.mount"
            mount.write_text(_CPUINFO_MOUNT)
            wanted = mount.parent / "sysinit.target.wants" / mount.name
            wanted.parent.mkdir(exist_ok=True)
            wanted.symlink_to(f"/etc/systemd/system/{mount.name}")

    def boot(self, host: Host, *, waits: bool = True) -> None:
        """Turn a host on; the kiosk's networkd cannot set its address under QEMU, so it is set from outside."""
        super().boot(host, waits=False)
        if host == KIOSK:
            self._address(host)
        if waits:
            self.wait_for_ssh(host)

    def _address(self, host: Host) -> None:
        ends = time.monotonic() + self.up_within_s
        while True:
            try:
                self._within(host, "addr", "replace", f"{host.address}/24", "dev", "host0")
                break
            except RuntimeError:
                if time.monotonic() > ends:
                    raise
                time.sleep(0.2)
        self._within(host, "link", "set", "host0", "up")
        self._within(host, "route", "replace", "default", "via", CONTROLLER)

    def _within(self, host: Host, *words: str) -> None:
        """Run this machine's `ip` in the network of a host. Raises RuntimeError, while it boots for one."""
        parent = str(self._machines[host.name].pid)
        found = subprocess.run(["pgrep", "-P", parent], capture_output=True, text=True).stdout.split()
        if not found:
            raise RuntimeError(f"{host.name} does not run, see {self.folder / host.name}.log")
        run("nsenter", "-t", found[0], "-n", "ip", *words)
