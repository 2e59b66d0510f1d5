"""Runs the legs named on the command line, or all; the last line is `all good` or how many checks failed."""

import sys
from importlib import import_module

from checks import Checks

from kiosk_agent.logs import configure_logging

LEGS = {
    "keypad": "usb_keypad",
    "camera": "v4l2_camera",
    "nic": "changed_mac",
    "gpio": "gpio_lines",
    "relay": "relay",
}


def main(names: list[str]) -> int:
    """Return how many checks failed."""
    configure_logging("error")
    failed = 0
    for name in LEGS if names == ["all"] else names:
        checks = Checks(name)
        with checks.check("the leg runs to its end"):
            import_module(LEGS[name]).run(checks)
        failed += checks.failed
    print(f"{failed} failed" if failed else "all good", flush=True)
    return failed


if __name__ == "__main__":
    sys.exit(min(main(sys.argv[1:]), 1))
