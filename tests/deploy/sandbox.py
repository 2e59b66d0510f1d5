"""What a unit may do on a booted host: programs run in its sandbox, in the place of its own."""

import json
from pathlib import Path
from typing import Final

from tests.deploy.lab import Host, Lab
from tests.systemd import forbidden, units

ACTS: Final = "/usr/local/lib/forbidden.py"
# A unit that ended well may be forgotten at once, so its result is asked for only where it did not.
_TRY: Final = """
cursor=$(journalctl -n 0 --show-cursor -q | sed -n 's/^-- cursor: //p')
systemctl daemon-reload
systemctl start {unit} 2>/dev/null && echo success || systemctl show --property=Result --value {unit}
journalctl --sync; journalctl -q -o cat -u {unit} --after-cursor="$cursor"
rm -r {dropped}; systemctl daemon-reload; systemctl reset-failed {unit} 2>/dev/null || true
"""


def bring_acts(lab: Lab, host: Host) -> None:
    """Bring the program that tries what units are forbidden."""
    lab.ssh(host, f"install -D -m 644 /dev/stdin {ACTS}", text=Path(forbidden.__file__).read_text())


def tried(lab: Lab, host: Host, unit: str, command: str) -> tuple[str, str]:
    """Run a command in a unit's sandbox, in the place of its program: how that ended for systemd, and what it said."""
    dropped = f"/run/systemd/system/{unit}.d"
    lab.ssh(host, f"systemctl stop {unit}; mkdir -p {dropped}")
    lab.ssh(host, f"cat > {dropped}/tried.conf", text=units.in_its_place(command))
    said = lab.ssh(host, _TRY.format(unit=unit, dropped=dropped), timeout_s=300)
    result, _, lines = said.partition("\n")
    return result, lines


def found_in(said: str) -> dict[str, object]:
    """What `forbidden.py` printed, among what systemd wrote of the unit."""
    return dict(json.loads(next(line for line in said.splitlines() if line.startswith("{"))))
