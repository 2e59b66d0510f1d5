"""A network interface's MAC addresses: the one in use, and the one it was made with."""

import array
import fcntl
import socket
import struct
from dataclasses import dataclass
from pathlib import Path

import netifaces

from auth_contract.fields import canonical_mac
from kiosk_agent.errors import IdentityRefused
from kiosk_agent.settings.network import MacTrait

_SIOCETHTOOL = 0x8946
_ETHTOOL_GPERMADDR = 0x20
_ADDRESS_BYTES = 6
_ASSIGNED = {
    "1": ("was drawn at random", MacTrait.RANDOM),
    "2": ("was copied from another device", MacTrait.CHANGED),
    "3": ("was set by a user", MacTrait.CHANGED),
}
"""/sys/class/net/*/addr_assign_type, from the kernel's netdevice.h; 0 is the maker's own."""


@dataclass(frozen=True, slots=True)
class Nic:
    """One reading of an interface. `faults` say why its MAC may not be the machine's own, `traits` in a word."""

    mac: str
    permanent_mac: str | None
    faults: tuple[str, ...]
    traits: tuple[MacTrait, ...] = ()


def read_nic(interface: str, *, sys_root: Path = Path("/sys"), reader: "MacReader | None" = None) -> Nic:
    """Return the addresses of an interface and what is wrong with them.

    `sys_root` and `reader` let tests stand in for the kernel. Raises IdentityRefused when there is
    no such interface or it has no usable MAC.
    """
    reader = reader or MacReader()
    mac = _usable_mac(interface, reader.current(interface))
    permanent = _mac_or_none(reader.permanent(interface))
    folder = sys_root / "class/net" / interface
    found: list[tuple[str, MacTrait]] = []
    if permanent is not None and permanent != mac:
        found.append((f"{interface}: MAC changed: it has {mac}, it was made with {permanent}", MacTrait.CHANGED))
    assigned = _ASSIGNED.get(_read(folder / "addr_assign_type"))
    if assigned is not None:
        found.append((f"{interface}: MAC {mac} {assigned[0]}", assigned[1]))
    if not (folder / "device").exists():
        found.append((f"{interface}: is virtual, it has no device", MacTrait.VIRTUAL))
    if int(mac[:2], 16) & 2:  # IEEE 802: the second-lowest bit of the first octet
        found.append((f"{interface}: MAC {mac} is locally administered", MacTrait.LOCAL))
    return Nic(mac, permanent, tuple(fault for fault, _ in found), tuple(trait for _, trait in found))


def has_carrier(interface: str, *, sys_root: Path = Path("/sys")) -> bool:
    """Return whether a cable is in and the other end alive; true where the kernel does not say."""
    return _read(sys_root / "class/net" / interface / "carrier") != "0"


class MacReader:
    """Asks the kernel."""

    def current(self, interface: str) -> str | None:
        """The MAC in use, or None when the interface has none or does not exist."""
        try:
            addresses = netifaces.ifaddresses(interface).get(netifaces.AF_LINK, [])
        except (ValueError, OSError):
            return None
        return str(addresses[0]["addr"]) if addresses else None

    def permanent(self, interface: str) -> str | None:
        """The MAC that the interface was made with, or None when its driver does not say."""
        answer = array.array("B", struct.pack("II", _ETHTOOL_GPERMADDR, 32) + bytes(32))
        request = struct.pack("16sP", interface.encode(), answer.buffer_info()[0])
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            try:
                fcntl.ioctl(probe, _SIOCETHTOOL, request)
            except OSError:
                return None
        size = struct.unpack_from("II", answer)[1]
        return answer[8 : 8 + size].tobytes().hex(":") if size == _ADDRESS_BYTES else None


def _usable_mac(interface: str, mac: str | None) -> str:
    usable = _mac_or_none(mac)
    if usable is None:
        known = ", ".join(sorted(netifaces.interfaces()))
        raise IdentityRefused(f"interface {interface!r} has no usable MAC; this machine has {known}")
    return usable


def _mac_or_none(mac: str | None) -> str | None:
    try:
        return None if mac is None else canonical_mac(mac)
    except ValueError:
        return None


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii").strip()
    except OSError:
        return ""
