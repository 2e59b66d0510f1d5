"""A lab whose server becomes a machine with its own kernel, clock and disk, in QEMU; the kiosk beside it is as always.

What containers share with this machine is its own there: a power cut loses what its kernel had not written, its
clock can be wrong, and every controller of control groups is there. It is set up as a container, which takes
minutes and not an hour, and what it has on its disk then is the machine's disk.
"""

import os
import shutil
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from tests.deploy.debian import PACKAGES, Debian, run
from tests.deploy.lab import BRIDGE, CONTROLLER, SERVER, Host, Lab

KERNEL: Final = ("linux-image-cloud-amd64", "initramfs-tools")
MEMORY_MB: Final = 3072
_DISK: Final = "6G"
# Where each instruction is reckoned a start takes a minute or two.
_PATIENT: Final = "[Service]\nTimeoutStartSec=600\nWatchdogSec=300\n"
_APT: Final = "deb [trusted=yes] file:/srv/apt ./\n"


@dataclass(frozen=True)
class BootableDebian(Debian):
    """The same release with a kernel of its own; containers boot the same system, without it."""

    wanted: tuple[str, ...] = (*PACKAGES, *KERNEL)

    @property
    def root(self) -> Path:
        """The system that all hosts share as their lower layer."""
        return self._plain.root.with_name(f"{self._plain.root.name}-kernel")

    @property
    def _plain(self) -> Debian:
        return Debian(self.folder, self.suite, self.wanted)

    def make(self) -> None:
        """Make what is missing. Both take the kernel from the repository that hosts get their packages from."""
        self._plain.make()
        if not self.root.exists():
            draft = self.root.with_suffix(".new")
            shutil.rmtree(draft, ignore_errors=True)
            run("cp", "-a", str(self._plain.root), str(draft))
            self._install_kernel(draft)
            draft.rename(self.root)

    def file(self, name: str) -> Path:
        """What QEMU starts: `vmlinuz` or `initrd.img`."""
        return next((self.root / "boot").glob(f"{name}-*"))

    def _install_kernel(self, root: Path) -> None:
        shutil.copytree(self.packages, root / "srv/apt")
        (root / "etc/apt/sources.list").write_text(_APT)
        apt = ["chroot", str(root), "apt-get", "-qq"]
        places = [["-t", "proc", "proc", f"{root}/proc"], ["--bind", "/dev", f"{root}/dev"]]
        for place in places:
            run("mount", *place)
        try:
            run(*apt, "update")
            run(*apt, "install", "--yes", "--no-install-recommends", *KERNEL)
        finally:
            for place in reversed(places):
                run("umount", place[-1])
        run(*apt, "clean")
        shutil.rmtree(root / "srv/apt")


@dataclass
class MachineLab(Lab):
    """The lab with its server in QEMU, once it `is_machine`.

    `clock_off` is by how much its clock is wrong at the next boot.
    """

    up_within_s: float = 300.0
    clock_off: timedelta = timedelta(0)
    is_machine: bool = False

    @property
    def disk(self) -> Path:
        """The server's disk, which outlives it."""
        return self.folder / f"{SERVER.name}.disk"

    def boot(self, host: Host, *, waits: bool = True, disks: Mapping[str, Path] | None = None) -> None:
        """Turn a host on."""
        if host != SERVER or not self.is_machine:
            super().boot(host, waits=waits, disks=disks)
            return
        self.start(host, self._qemu(), env={})
        if waits:
            self.wait_for_ssh(host)

    def stop(self, host: Host) -> None:
        """Shut a host down in order."""
        if host == SERVER and self.is_machine:
            with suppress(RuntimeError):  # the connection ends with the machine
                self.ssh(host, "systemctl", "poweroff")
            self._machines.pop(host.name).wait(timeout=120)
        else:
            super().stop(host)

    def make_machine(self) -> None:
        """Turn the server's container off, and on as a machine with the same files."""
        super().stop(SERVER)
        root = self.root(SERVER)
        shutil.rmtree(root / "etc/systemd/system/chrony.service.d")  # it may set its own clock
        patient = root / "etc/systemd/system/4auth-server.service.d/slow.conf"
        patient.parent.mkdir(parents=True, exist_ok=True)
        patient.write_text(_PATIENT)
        network = f"[Match]\nName=eth0\n[Network]\nAddress={SERVER.address}/24\nGateway={CONTROLLER}\n"
        (root / "etc/systemd/network/10-host0.network").write_text(network)
        (root / "etc/fstab").write_text("/dev/vda / ext4 defaults 0 1\n")
        with self.disk.open("wb") as disk:
            disk.truncate(int(_DISK.removesuffix("G")) << 30)
        run("mkfs.ext4", "-q", "-d", str(root), "-L", "root", str(self.disk))
        self.inside("ip", "tuntap", "add", SERVER.port, "mode", "tap")
        self.inside("ip", "link", "set", SERVER.port, "master", BRIDGE, "up")
        self.is_machine = True
        self.boot(SERVER)

    def _qemu(self) -> list[str]:
        assert isinstance(self.debian, BootableDebian)
        clock = (datetime.now(UTC) + self.clock_off).strftime("%Y-%m-%dT%H:%M:%S")
        devices = [
            # Only what the guest's kernel has sent to its disk outlives a cut; no page of its own does.
            *("-drive", f"file={self.disk},if=virtio,format=raw,cache=writeback"),
            *("-netdev", f"tap,id=cable,ifname={SERVER.port},script=no,downscript=no"),
            *("-device", "virtio-net-pci,netdev=cable", "-device", "virtio-rng-pci"),
        ]
        return [
            *("qemu-system-x86_64", "-machine", "q35", "-accel", "tcg,thread=multi", "-cpu", "max"),
            *("-smp", str(os.cpu_count()), "-m", str(MEMORY_MB), "-nographic", "-no-reboot", "-rtc", f"base={clock}"),
            *("-kernel", str(self.debian.file("vmlinuz")), "-initrd", str(self.debian.file("initrd.img"))),
            *("-append", "root=/dev/vda rw console=ttyS0 net.ifnames=0", *devices),
        ]
