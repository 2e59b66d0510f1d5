"""Who this kiosk is: its id, its key, and the MAC that it claims."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import zip_longest

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from auth_client.device_key import check_key, load_or_make_key, public_text
from auth_client.errors import DeviceKeyRefused
from kiosk_agent.errors import IdentityRefused
from kiosk_agent.nic import Nic, read_nic
from kiosk_agent.settings import KioskSettings


@dataclass(frozen=True, slots=True)
class Identity:
    """A kiosk's id and key; the interface is read anew each time, since it may change."""

    kiosk_id: str
    key: Ed25519PrivateKey = field(repr=False)
    read: Callable[[], Nic]
    interface: str = ""

    @property
    def public_key(self) -> str:
        """The public key as the server registers it."""
        return public_text(self.key)


def load_identity(settings: KioskSettings, *, read: Callable[[str], Nic] = read_nic) -> Identity:
    """Return this kiosk's identity; its key is made where there is none.

    Raises IdentityRefused when the key or the interface is not fit for use.
    """
    with _key_refused():
        key = load_or_make_key(settings.key_file)
    return Identity(settings.kiosk_id, key, lambda: _reading(settings, read), settings.interface)


def check_identity(settings: KioskSettings, *, read: Callable[[str], Nic] = read_nic) -> bool:
    """Return whether the device key is there already, and make none.

    Raises IdentityRefused when the key, its folder or the interface would not do for a start.
    """
    has_key = has_device_key(settings)
    nic = _reading(settings, read)
    if settings.environment == "production":
        check_fit_for_production(nic, settings)
    return has_key


def has_device_key(settings: KioskSettings) -> bool:
    """Return whether the device key is there already, and make none. Raises IdentityRefused where it would not do."""
    with _key_refused():
        return check_key(settings.key_file)


@contextmanager
def _key_refused() -> Iterator[None]:
    try:
        yield
    except DeviceKeyRefused as error:
        raise IdentityRefused(str(error)) from error


def _reading(settings: KioskSettings, read: Callable[[str], Nic]) -> Nic:
    if settings.mac_override is not None:
        fault = f"mac_override: the agent claims {settings.mac_override} and reads no interface"
        return Nic(settings.mac_override, None, (fault,))
    return read(settings.interface)


def check_fit_for_production(nic: Nic, settings: KioskSettings) -> None:
    """Raise IdentityRefused when the MAC may not be the machine's own, and the settings do not allow that."""
    found = list(zip_longest(nic.faults, nic.traits))
    refused = [(fault, trait) for fault, trait in found if trait not in settings.allow_mac]
    if not refused:
        return
    traits = ", ".join(dict.fromkeys(f'"{trait.value}"' for _, trait in refused if trait is not None))
    made_with = nic.permanent_mac or "its driver does not say which"
    raise IdentityRefused(
        f"interface {'; '.join(str(fault) for fault, _ in refused)}: the MAC {nic.mac} is a factor of every login, "
        f"so in production it must be the one that {settings.interface} was made with ({made_with}): put that one "
        f"back, or list {traits or 'the reason'} in allow_mac"
    )
