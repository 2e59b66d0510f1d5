"""Two real Debian hosts on one bridge, booted by systemd-nspawn in a network namespace of their own.

Nothing leaves the namespace: it has no way out. A host is an overlay over one installed system, so that it boots in
a second and its first state is a clean one. Deleting the namespace deletes the bridge; `teardown` may be called at
any time.
"""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tests.deploy.debian import Debian

NAMESPACE: Final = os.environ.get("FOURAUTH_LAB", "lab4a")
"""Its network's name; two runs side by side need two."""
BRIDGE: Final = "br4a"
CONTROLLER: Final = "10.77.0.1"
OLD_CLIENT: Final = "10.77.1.5"
"""Where a client of the wire protocol asks from."""
STRANGER: Final = "10.77.2.9"
"""Somebody on the same cable whom no inventory names."""
_CGROUPS: Final = Path("/sys/fs/cgroup")
_HIERARCHIES: Final = ("systemd", "unified")
_OFF_WITHIN_S: Final = 60.0
# A host may not set this machine's clock, and so its chrony would not start: it looks, and leaves it.
_CHRONY: Final = """\
[Unit]
ConditionCapability=
[Service]
ExecStart=
ExecStart=!/usr/sbin/chronyd -x -F 1
"""


@dataclass(frozen=True)
class Host:
    """A machine of the lab."""

    name: str
    address: str

    @property
    def port(self) -> str:
        """Its cable's end at the bridge."""
        return f"vb-{self.name}"


SERVER: Final = Host("server", "10.77.0.11")
KIOSK: Final = Host("lobby-1", "10.77.0.21")


def lacking() -> str | None:
    """Why there can be no lab on this machine, in a sentence; None where there can."""
    if os.geteuid() != 0:
        return "booting hosts needs root"
    absent = [name for name in ("debootstrap", "systemd-nspawn", "ip", "ssh", "apt-get") if shutil.which(name) is None]
    if absent:
        return f"booting hosts needs {', '.join(absent)}: scripts/apt-install.sh deploy"
    if not all((_CGROUPS / name).is_dir() for name in _HIERARCHIES):
        return f"{_CGROUPS} has not the layout that the lab knows, with systemd and unified"
    return None


@dataclass
class Lab:
    """The hosts of one run, with all that they wrote under `folder`."""

    folder: Path
    debian: Debian
    hosts: tuple[Host, ...] = (SERVER, KIOSK)
    up_within_s: float = 60.0
    namespace: str = NAMESPACE
    _machines: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    @property
    def key(self) -> Path:
        """The private key that every host lets in as root."""
        return self.folder / "key"

    def root(self, host: Host) -> Path:
        """A host's file system, also while it is off."""
        return self.folder / host.name / "root"

    def debian_of(self, host: Host) -> Debian:
        """What a host is made of."""
        return self.debian

    def build(self) -> None:
        """Make the network and boot all hosts from a clean state."""
        self.teardown()
        self.debian.make()
        self.folder.mkdir(parents=True)
        _run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(self.key))
        _run("ip", "netns", "add", self.namespace)
        self.inside("ip", "link", "set", "lo", "up")
        self.inside("ip", "link", "add", BRIDGE, "type", "bridge")
        self.inside("ip", "addr", "add", f"{CONTROLLER}/24", "dev", BRIDGE)
        for address in (OLD_CLIENT, STRANGER):
            self.inside("ip", "addr", "add", f"{address}/32", "dev", BRIDGE)
        self.inside("ip", "link", "set", BRIDGE, "up")
        for host in self.hosts:
            self._lay(host)
            self.boot(host, waits=False)
        for host in self.hosts:
            self.wait_for_ssh(host)

    def boot(self, host: Host, *, waits: bool = True, disks: Mapping[str, Path] | None = None) -> None:
        """Turn a host on, with folders of this machine as disks in the places of some of its own."""
        command = [
            *("systemd-nspawn", "--quiet", f"--directory={self.root(host)}", "--boot", "--register=no", "--keep-unit"),
            *(f"--machine={host.name}", f"--hostname={host.name}", f"--network-bridge={BRIDGE}"),
            *("--resolv-conf=off", "--timezone=off", "--link-journal=no", "--console=read-only"),
            f"--bind-ro={self.debian_of(host).packages}:/srv/apt",
            *(f"--bind={disk}:{place}" for place, disk in (disks or {}).items()),
            # Without these the kernel does not enforce what units say of addresses and devices.
            *("--system-call-filter=bpf", "--capability=CAP_BPF,CAP_NET_ADMIN"),
        ]
        self.start(host, command, env={"SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1"})
        if waits:
            self.wait_for_ssh(host)

    def start(self, host: Host, command: Sequence[str], env: Mapping[str, str]) -> None:
        """Start the program that a host runs in, so that `cut` can end it."""
        with (self.folder / f"{host.name}.log").open("ab") as log:
            self._machines[host.name] = subprocess.Popen(
                [*self.in_namespace, *command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                env={**os.environ, **env},
                preexec_fn=lambda: self._enter_cgroups(host),
            )

    def cut(self, host: Host) -> None:
        """Cut a host's power: every process of it ends at once."""
        group = self._cgroup("unified", host)
        (group / "cgroup.kill").write_text("1")
        _wait_until(lambda: "populated 0" in (group / "cgroup.events").read_text(), f"{host.name} to be off")
        machine = self._machines.pop(host.name, None)
        if machine is not None:
            machine.wait(timeout=30)

    def stop(self, host: Host) -> None:
        """Shut a host down in order."""
        machine = self._machines.pop(host.name)
        machine.send_signal(signal.SIGTERM)
        machine.wait(timeout=60)

    def plug(self, host: Host, *, is_in: bool) -> None:
        """Put a host's network cable in, or take it out."""
        self.inside("ip", "link", "set", host.port, "up" if is_in else "down")

    @property
    def in_namespace(self) -> list[str]:
        """What a command line begins with that runs in the lab's network."""
        # Not `ip netns exec`: it mounts /sys anew, and the cgroups are gone.
        return ["nsenter", f"--net=/run/netns/{self.namespace}"]

    def inside(self, *words: str, env: Mapping[str, str] | None = None, timeout_s: float = 120) -> str:
        """Run a program of this machine in the lab's network; returns what it printed. Raises RuntimeError."""
        return _run(*self.in_namespace, *words, env=env, timeout_s=timeout_s)

    def ssh(self, host: Host, *words: str, text: str | None = None, timeout_s: float = 120) -> str:
        """Run a command line on a host as root; returns what it printed. Raises RuntimeError with what went wrong."""
        return _run(*self.in_namespace, *self.ssh_words(host), *words, text=text, timeout_s=timeout_s)

    def send(self, host: Host, command: str, data: bytes) -> None:
        """Run a command line on a host as root with `data` at its input. Raises CalledProcessError."""
        words = [*self.in_namespace, *self.ssh_words(host), command]
        subprocess.run(words, input=data, check=True, capture_output=True, timeout=120)

    def begin(self, host: Host, command: str, into: Path) -> "subprocess.Popen[bytes]":
        """Begin a command line on a host as root, whose output goes to a file here; its input is open."""
        with into.open("wb") as file:
            return subprocess.Popen(
                [*self.in_namespace, *self.ssh_words(host), command], stdin=subprocess.PIPE, stdout=file, stderr=file
            )

    def ssh_words(self, host: Host) -> list[str]:
        """The client's command line to a host."""
        options = ("StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "LogLevel=ERROR", "ConnectTimeout=5")
        return ["ssh", "-i", str(self.key), *(w for o in options for w in ("-o", o)), f"root@{host.address}"]

    def wait_for_ssh(self, host: Host) -> None:
        """Wait until a host is up and lets us in."""
        what = f"{host.name} to boot, see {self.folder / host.name}.log"
        _wait_until(lambda: self._answers(host), what, self.up_within_s)

    def teardown(self) -> None:
        """End every host and remove the network and the hosts' files, whatever an earlier run left of them."""
        for host in self.hosts:
            if self._cgroup("unified", host).is_dir():
                self.cut(host)
            root = self.root(host)
            while os.path.ismount(root):
                _run("umount", str(root))
            for hierarchy in _HIERARCHIES:
                _remove_cgroup(self._cgroup(hierarchy, host))
            with suppress(OSError):  # there is none, or another run uses it too
                (Path("/run/systemd/nspawn/propagate") / host.name).rmdir()
        if Path("/run/netns", self.namespace).exists():
            _run("ip", "netns", "del", self.namespace)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _cgroup(self, hierarchy: str, host: Host) -> Path:
        return _CGROUPS / hierarchy / f"{self.namespace}-{host.name}"

    def _enter_cgroups(self, host: Host) -> None:
        """Give a host cgroups of its own: two in the same could not stop their units."""
        for hierarchy in _HIERARCHIES:
            group = self._cgroup(hierarchy, host)
            group.mkdir(exist_ok=True)
            (group / "cgroup.procs").write_text(str(os.getpid()))

    def _answers(self, host: Host) -> bool:
        try:
            self.ssh(host, "systemctl", "is-system-running", "--wait", "||", "true", timeout_s=30)
        except (RuntimeError, subprocess.TimeoutExpired):
            return False
        return True

    def _lay(self, host: Host) -> None:
        """Lay a host's own files over the installed system."""
        layers = {name: self.folder / host.name / name for name in ("upper", "work", "root")}
        for layer in layers.values():
            layer.mkdir(parents=True)
        options = f"lowerdir={self.debian_of(host).root},upperdir={layers['upper']},workdir={layers['work']}"
        _run("mount", "-t", "overlay", f"ov-{host.name}", "-o", options, str(layers["root"]))
        root = self.root(host)
        names = "".join(f"{one.address} {one.name}\n" for one in self.hosts)
        network = f"[Match]\nName=host0\n[Network]\nAddress={host.address}/24\nGateway={CONTROLLER}\n"
        ssh = root / "root/.ssh"
        chrony = root / "etc/systemd/system/chrony.service.d"
        chrony.mkdir(parents=True)
        (chrony / "lab.conf").write_text(_CHRONY)
        ssh.mkdir(mode=0o700, exist_ok=True)
        (root / "etc/hostname").write_text(f"{host.name}\n")
        (root / "etc/hosts").write_text(f"127.0.0.1 localhost\n{names}")
        (root / "etc/systemd/network/10-host0.network").write_text(network)
        (root / "etc/apt/sources.list").write_text("deb [trusted=yes] file:/srv/apt ./\n")
        os.utime(root / "var/lib/apt/lists", (0, 0))  # what debootstrap knew of packages is of other sources
        (ssh / "authorized_keys").write_text(self.key.with_suffix(".pub").read_text())
        _run("ssh-keygen", "-q", "-A", "-f", str(root))


def _remove_cgroup(group: Path) -> None:
    for folder, _, _ in os.walk(group, topdown=False):
        Path(folder).rmdir()


def _wait_until(is_so: Callable[[], bool], what: str, within_s: float = _OFF_WITHIN_S) -> None:
    ends = time.monotonic() + within_s
    while not is_so():
        if time.monotonic() > ends:
            raise RuntimeError(f"waited {within_s:.0f} s for {what}")
        time.sleep(0.1)


def _run(*words: str, text: str | None = None, env: Mapping[str, str] | None = None, timeout_s: float = 120) -> str:
    around = {**os.environ, **(env or {})}
    done = subprocess.run(words, input=text, capture_output=True, text=True, timeout=timeout_s, env=around)
    if done.returncode:
        said = (done.stderr + done.stdout)[-8000:]
        raise RuntimeError(f"{' '.join(words)} ended with {done.returncode}: {said}")
    return done.stdout
