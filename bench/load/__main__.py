"""Logins of many simulated kiosks at one, two and three servers that share a database; `make load`.

First a ramp: 1, 2, 4 ... kiosks, each of which logs in again as soon as it has its answer (closed loop). Then the
bar: as many kiosks for each server, at one, two and three servers in turn and back, in rounds. Last, people who
come whenever they come, at parts of the rate that the rounds found (open loop).
"""

import argparse
import json
import os
import platform
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Final

from bench.load import report
from bench.load.faces import FacesMissing
from bench.load.figures import arrivals, growth
from bench.load.kiosks import KioskFailed, Kiosks
from bench.load.measuring import Meter, Step
from bench.load.picture import draw, panels
from bench.load.report import Report
from bench.load.shares import shared_out, usual_share
from bench.load.site import Wanted, serving
from demo.pictures import PicturesMissing, prepare
from demo.site import CommandFailed

_CACHE: Final = Path(".cache")
_KIOSKS_A_SERVER: Final = 4
"""At which the bar is measured: two for each worker keep it at work, and nobody is refused."""

_WARM_UP_S: Final = 2.0
_LONGER_MAX: Final = 5.0
"""Times as long as the others a step may take in which people wait for long."""

_PROCESSES: Final = 2
_EPILOG: Final = """\
example: python -m bench.load --kiosks 1,16,256 --seconds 20 --people lfw/images --plot load.png

It needs PostgreSQL, and root for control groups; without these each server has a core to itself.
"""


@dataclass(frozen=True)
class Plan:
    """What is measured for how long. `steps` are numbers of kiosks, `fractions` parts of what the rounds let in."""

    servers: int = 3
    steps: tuple[int, ...] = (1, 2, 4, 8, 16, 32, 64, 128, 256)
    seconds: float = 8.0
    rounds: int = 3
    fractions: tuple[float, ...] = (0.5, 0.8, 1.0, 1.2)
    enrolled: int = 2048
    seed: int = 1


QUICK: Final = Plan(servers=2, steps=(1, 4), seconds=4.0, rounds=1, fractions=(0.5,), enrolled=128)


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, print the table, write JSON and plot; 0 even where the bar is missed, which the output says."""
    arguments = _parser().parse_args(argv)
    plan = _plan(arguments)
    try:
        found = run(plan, arguments.share or usual_share(plan.servers, os.cpu_count() or 1), arguments.people)
    except (CommandFailed, FacesMissing, PicturesMissing, KioskFailed) as error:
        print(f"The load could not be measured: {error}", file=sys.stderr)
        return 1
    for path in (arguments.json, arguments.plot):
        path.parent.mkdir(parents=True, exist_ok=True)
    arguments.json.write_text(json.dumps(found.json, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    arguments.plot.write_bytes(draw(panels(found.ramp, found.opened), found.told))
    print(f"\nWritten to {arguments.json} and {arguments.plot}")
    return 0


def run(plan: Plan, share: float, people: Path | None) -> Report:
    """Make the site, measure, and print each step as it is done. Raises what the site and the kiosks raise."""
    _progress("making a site on PostgreSQL, with kiosks and people")
    pictures = prepare(_CACHE / "people", _CACHE / "models")
    with (
        tempfile.TemporaryDirectory(prefix="4auth-load-") as folder,
        shared_out(plan.servers, share) as shares,
    ):
        plan = replace(plan, servers=shares.servers)
        steps = (*plan.steps, *(_KIOSKS_A_SERVER * servers for servers in range(1, plan.servers + 1)))
        wanted = Wanted(plan.servers, steps, plan.enrolled, _PROCESSES, people)
        with (
            serving(Path(folder), (_CACHE / "models").absolute(), pictures, wanted, shares) as servers,
            Kiosks(servers.fleet) as kiosks,
        ):
            told = (
                f"{shares.told}; {len(servers.fleet.people)} people with {servers.faces} faces, passive presence; "
                "PostgreSQL on this machine, by a socket, without a standby"
            )
            print(f"{told}\n\n{report.LEGEND}\n\n{report.HEAD}", flush=True)
            found = Report(told, _machine())
            meter = Meter(kiosks, servers, shares, _WARM_UP_S)
            _measure(found, plan, meter)
            found.outcomes, found.granted_by_servers = dict(meter.outcomes), meter.granted_by_servers()
            found.store_faults = servers.store_faults()
    print(f"\n{report.outcomes_line(found)}")
    print("\n".join([*map(report.growth_line, found.growth), report.caution(found.rounds)]).rstrip(), flush=True)
    return found


def _measure(found: Report, plan: Plan, meter: Meter) -> None:
    numbers = range(1, plan.servers + 1)
    _progress("ramp")
    for kiosks in plan.steps:
        for servers in numbers:
            seconds = _long_enough(plan.seconds, kiosks, [step for step in found.ramp if step.servers == servers])
            found.ramp.append(_told(meter.closed(kiosks, servers, seconds)))
    rates: dict[int, list[float]] = {servers: [] for servers in numbers}
    for number in range(plan.rounds):
        _progress(f"round {number + 1} of {plan.rounds}")
        # Back again in every other round: a machine that grows slower would else be slower for three servers.
        for servers in numbers if number % 2 == 0 else reversed(numbers):
            step = _told(meter.closed(_KIOSKS_A_SERVER * servers, servers, 2 * plan.seconds))
            rates[servers].append(step.seen.rate)
            found.rounds.append(step)
    found.growth = growth(rates)
    _progress("people who come whenever they come")
    for fraction in plan.fractions:
        for servers in numbers:
            rate, kiosks = fraction * median(rates[servers]), max(plan.steps)
            coming = arrivals(rate, _WARM_UP_S + 2 * plan.seconds, kiosks, plan.seed)
            found.opened.append(_told(meter.open(kiosks, servers, coming, 2 * plan.seconds)))


def _long_enough(seconds: float, kiosks: int, before: Sequence[Step]) -> float:
    """Of a step in the ramp: twice what a person will wait, by the steps before, within bounds."""
    rate = max((step.seen.rate for step in before), default=0.0)
    return min(_LONGER_MAX * seconds, max(seconds, 2 * kiosks / rate)) if rate else seconds


def _told(step: Step) -> Step:
    print(report.line(step), flush=True)
    return step


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m bench.load",
        description=__doc__,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    plan = Plan()
    parser.add_argument("--quick", action="store_true", help="two servers and few kiosks, in a minute: does it work?")
    parser.add_argument(
        "--kiosks", type=_numbers, metavar="N,N,...", help=f"the ramp  [default: {','.join(map(str, plan.steps))}]"
    )
    parser.add_argument("--servers", type=int, help=f"at the most  [default: {plan.servers}]")
    parser.add_argument(
        "--seconds",
        type=float,
        help=f"of a step of the ramp, more where people wait long; others take twice that  [default: {plan.seconds:g}]",
    )
    parser.add_argument("--rounds", type=int, help=f"for the bar  [default: {plan.rounds}]")
    parser.add_argument("--seed", type=int, help=f"of when people come in open loop  [default: {plan.seed}]")
    parser.add_argument(
        "--share",
        type=float,
        help="cores of each server  [default: all shares leave half a core to kiosks and database]",
    )
    parser.add_argument("--people", type=Path, help="a folder with a folder of JPEG files for each of more people")
    parser.add_argument("--json", type=Path, default=_CACHE / "load.json", help="where to write the figures")
    parser.add_argument("--plot", type=Path, default=_CACHE / "load.png", help="where to draw them, as PNG")
    return parser


def _plan(arguments: argparse.Namespace) -> Plan:
    given = {
        "servers": arguments.servers,
        "steps": arguments.kiosks,
        "seconds": arguments.seconds,
        "rounds": arguments.rounds,
        "seed": arguments.seed,
    }
    return replace(QUICK if arguments.quick else Plan(), **{name: value for name, value in given.items() if value})


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(sorted({int(word) for word in text.split(",")}))


def _machine() -> dict[str, object]:
    return {"cores": os.cpu_count(), "python": platform.python_version(), "arch": platform.machine()}


def _progress(what: str) -> None:
    print(f"... {what}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
