"""A relay that keeps its state without power, for a kiosk without pins: its level is a file on the host's disk.

It is a pin library of gpiozero's, and so the agent's door, its guard and the guard's sandbox are those of a real relay.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from tests.deploy.lab import KIOSK, Lab

FOLDER: Final = "/srv/lab/pins"
LEVEL: Final = f"{FOLDER}/GPIO17"
"""`1` while the relay is on."""

_LIBRARY: Final = '''
from pathlib import Path

from gpiozero.pins.mock import MockFactory, MockPin


class Latch(MockPin):
    """Its level stays as it is until somebody changes it."""

    def __init__(self, factory, info):
        super().__init__(factory, info)
        self._file = Path("{folder}", info.name)
        self._state = self._file.exists() and self._file.read_text() == "1"

    def _change_state(self, value):
        changed = super()._change_state(value)
        self._file.write_text(str(int(value)))
        return changed


class Factory(MockFactory):
    """Pins that are latches."""

    def __init__(self):
        super().__init__(pin_class=Latch)
'''
_INSTALL: Final = """
site=$(/opt/4auth/current/bin/python -c 'import site; print(site.getsitepackages()[0])')
cat > $site/lab_latch.py
install -d $site/lab_latch-1.dist-info
printf 'Metadata-Version: 2.1\\nName: lab-latch\\nVersion: 1\\n' > $site/lab_latch-1.dist-info/METADATA
printf '[gpiozero_pin_factories]\\nlatch = lab_latch:Factory\\n' > $site/lab_latch-1.dist-info/entry_points.txt
install -d -o fourauth-kiosk {folder}
"""


@contextmanager
def latch(lab: Lab) -> Iterator[str]:
    """Install the library on the kiosk for a while, and give what its agent's unit needs to use it."""
    lab.ssh(KIOSK, _INSTALL.replace("{folder}", FOLDER), text=_LIBRARY.replace("{folder}", FOLDER))
    try:
        yield f"Environment=GPIOZERO_PIN_FACTORY=latch\nReadWritePaths={FOLDER}\n"
    finally:
        lab.ssh(KIOSK, f"rm -r $(ls -d /opt/4auth/current/lib/python3*/site-packages)/lab_latch* {FOLDER}")
