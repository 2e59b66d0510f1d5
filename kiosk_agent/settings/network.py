"""What a MAC may be beside the one that its interface was made with."""

from enum import StrEnum


class MacTrait(StrEnum):
    """Why a MAC may not be the machine's own; production allows those alone that `allow_mac` lists."""

    VIRTUAL = "virtual"
    """The interface has no device."""
    RANDOM = "random"
    """The kernel drew it."""
    CHANGED = "changed"
    """A user set it, it was copied, or the interface was made with another."""
    LOCAL = "local"
    """It is locally administered, by the second-lowest bit of its first octet (IEEE 802)."""
