"""How the board does, as the kernel tells it: its temperature, and what holds it back.

A machine that is no Raspberry Pi has no throttling flags, and some have no thermometer; nothing is made up.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

_TEMPERATURE: Final = "class/thermal/thermal_zone0/temp"
_THROTTLED: Final = "devices/platform/soc/soc:firmware/get_throttled"

FLAGS: Final[Mapping[int, str]] = {
    0: "under-voltage",
    1: "frequency capped",
    2: "throttled",
    3: "soft temperature",
    16: "was under-voltage",
    17: "was capped",
    18: "was throttled",
    19: "was soft temperature",
}
"""The bits of the firmware's `get_throttled` (Raspberry Pi documentation, vcgencmd): now, and since the start."""


class Vitals:
    """Reads them below `sys_root`."""

    def __init__(self, sys_root: Path = Path("/sys")) -> None:
        self._root = sys_root

    def temperature_c(self) -> float | None:
        """Return degrees Celsius, None where there is no thermometer."""
        text = _read(self._root / _TEMPERATURE)
        try:
            return round(int(text) / 1000, 1)
        except ValueError:
            return None

    def throttled(self) -> tuple[str, ...]:
        """Return what holds the board back or did since it was started, at most eight words."""
        text = _read(self._root / _THROTTLED)
        try:
            bits = int(text, 16)
        except ValueError:
            return ()
        return tuple(word for bit, word in FLAGS.items() if bits >> bit & 1)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return ""
