"""The process that holds a door's relay, so that nothing that happens to the agent leaves the door open.

It is started by `gpio_relay` as a script of its own and knows nothing of the agent: each line on its
standard input turns the relay on for one pulse from now. The relay is off before it says `ready`, at
the end of the pulse, when the other end of the pipe is gone, and whenever this process ends.
"""

import argparse
import os
import select
import signal
import sys
import time
from collections.abc import Callable, Sequence
from types import FrameType
from typing import Any, Final

from gpiozero.output_devices import OutputDevice

READY, ON, OFF, REFUSED = "ready", "on", "off", "refused"
"""What it says on standard output, each with a line end; `refused` with the reason."""

_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


def open_line(pin: int, *, active_high: bool) -> Any:
    """Return the relay's line, which is off from its first moment."""
    return OutputDevice(pin, active_high=active_high, initial_value=False)


def main(argv: Sequence[str] | None = None, opened: Callable[..., Any] = open_line) -> int:
    """Hold the relay until standard input ends; return 1 where there is no such line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pin", type=int)
    parser.add_argument("pulse_s", type=float)
    parser.add_argument("--active-low", action="store_true")
    arguments = parser.parse_args(argv)
    try:
        line = opened(arguments.pin, active_high=not arguments.active_low)
    except Exception as error:  # each pin library has errors of its own
        _say(f"{REFUSED} {type(error).__name__}: {error}")
        return 1
    try:
        for number in _SIGNALS:
            signal.signal(number, _leave)
        _say(READY)
        _serve(line, arguments.pulse_s)
    except OSError:  # nobody hears any more
        return 0
    finally:
        line.off()
        line.close()
    return 0


def _serve(line: Any, pulse_s: float) -> None:
    ends_s: float | None = None
    while True:
        left_s = None if ends_s is None else max(0.0, ends_s - time.monotonic())
        is_asked = bool(select.select([0], [], [], left_s)[0])
        asked = os.read(0, 4096) if is_asked else None
        if asked == b"":
            return
        if asked:
            line.on()
            ends_s = time.monotonic() + pulse_s
            _say(ON)
        elif ends_s is not None and time.monotonic() >= ends_s:
            line.off()
            ends_s = None
            _say(OFF)


def _leave(_number: int, _frame: FrameType | None) -> None:
    for number in _SIGNALS:  # a second one must not break off what the first one began
        signal.signal(number, signal.SIG_IGN)
    sys.exit(0)


def _say(text: str) -> None:
    os.write(1, (text.replace("\n", " ") + "\n").encode())


if __name__ == "__main__":
    sys.exit(main())
