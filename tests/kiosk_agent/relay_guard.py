"""The guard of a relay whose pin is a pipe: each level that it has is a line there, with the time.

Usage: relay_guard.py GUARD FIFO PIN PULSE_S [--active-low], where GUARD is the guard's own script.
"""

import os
import runpy
import sys
import time

from gpiozero import Device
from gpiozero.pins.mock import MockFactory, MockPin

FIFO = os.open(sys.argv[2], os.O_WRONLY)


class TracedPin(MockPin):
    """Writes down each level that is driven, even where it is the one before."""

    def _set_state(self, value):
        super()._set_state(value)
        os.write(FIFO, f"{int(value)} {time.monotonic()} {os.getpid()}\n".encode())


Device.pin_factory = MockFactory(pin_class=TracedPin)
guard, sys.argv[1:] = sys.argv[1], sys.argv[3:]
runpy.run_path(guard, run_name="__main__")
