"""What the gateway costs: `python -m bench.gateway_speed`, about three minutes.

The same logins of one picture each, by the same number of clients, through the gateway and by HTTPS, in turn
within one run; then logins through the gateway alone and beside 200 idle and 50 slow connections, in turn.
"""

import argparse
import json
import socket
import ssl
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from threading import Event, Thread

from auth_contract.actions import Action
from auth_contract.messages import LoginRequest
from auth_contract.wire import HEADER
from auth_contract.wire_client import WireClient, log_in, trusting
from bench.people import PASSWORD, BenchKiosk, Crowd, Person, enrol
from demo.pictures import Pictures, prepare
from demo.site import Site

_CACHE = Path(".cache")
_MAC = "02:00:5e:30:00:01"
_CLIENTS = 4
_ROUNDS = 6
_LOGINS = 24
"""Of one route in one round."""

_ALONE = 12
"""One after the other, in one round."""

_IDLE, _SLOW = 200, 50
_SLOW_EVERY_S = 0.5
_SLOW_BYTES = 250_000
_PEOPLE = _ROUNDS * 2 * (_LOGINS + _ALONE)


@dataclass(frozen=True)
class GatewaySpeed:
    """Logins a second of each round by route, and the seconds of single logins without and with a crowd."""

    https: tuple[float, ...]
    gateway: tuple[float, ...]
    quiet_s: tuple[float, ...]
    crowded_s: tuple[float, ...]

    @property
    def throughput(self) -> float:
        """The gateway's rate over that of HTTPS, medians of the rounds."""
        return median(self.gateway) / median(self.https)

    @property
    def slowdown(self) -> float:
        """A login beside the crowd over one without, medians."""
        return median(self.crowded_s) / median(self.quiet_s)


def main() -> int:
    """Measure, print and write the JSON."""
    parser = argparse.ArgumentParser(prog="python -m bench.gateway_speed", description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path, default=_CACHE / "gateway.json", help="where to write the figures")
    target = parser.parse_args().json
    with tempfile.TemporaryDirectory(prefix="4auth-bench-") as folder:
        found = measure(Path(folder), prepare(_CACHE / "people", _CACHE / "models"))
    print(f"logins a second, HTTPS    {_spread(found.https, '{:.2f}')}")
    print(f"logins a second, gateway  {_spread(found.gateway, '{:.2f}')}")
    print(f"gateway / HTTPS           {found.throughput:.3f}   (bar: 0.95)")
    print(f"a login alone             {_spread(tuple(s * 1000 for s in found.quiet_s), '{:.0f} ms')}")
    print(f"beside {_IDLE} idle, {_SLOW} slow  {_spread(tuple(s * 1000 for s in found.crowded_s), '{:.0f} ms')}")
    print(f"crowded / alone           {found.slowdown:.3f}   (bar: 1.10)")
    figures = {"throughput": found.throughput, "slowdown": found.slowdown, **vars(found)}
    target.write_text(json.dumps(figures, indent=2) + "\n")
    print(f"\nWritten to {target}")
    return 0


def measure(folder: Path, pictures: Pictures) -> GatewaySpeed:
    """Return what one run measured."""
    site = Site(folder, (_CACHE / "models").absolute(), name="bench", presence="passive")
    site.init()
    site.let_gateway_in()
    with site.gateway_settings.open("a") as settings:
        settings.write("[limits]\nconnections_per_address = 400\nrequests_per_address_s = 1000\n")
    # Of another pose than the logins, since a copy of the enrolled picture is refused.
    enrolled = [pictures.ada / "turn_left" / "003.jpg"]
    crowd = enrol(site, people=_PEOPLE, kiosks=_CLIENTS, scene=pictures.ada, frames=1, enrolled=enrolled, device=_MAC)
    with ExitStack() as ends:
        ends.callback(site.stop_server)
        ends.callback(site.stop_gateway)
        site.start_server()
        site.start_gateway()
        return _rounds(site, crowd)


def _rounds(site: Site, crowd: Crowd) -> GatewaySpeed:
    people = iter(crowd.people)
    rates: dict[str, list[float]] = {"https": [], "gateway": []}
    seconds: dict[str, list[float]] = {"quiet": [], "crowded": []}
    with ExitStack() as opened:
        wires = [opened.enter_context(_wire(site)) for _ in range(_CLIENTS)]
        for number in range(_ROUNDS):
            print(f"round {number + 1} of {_ROUNDS}", file=sys.stderr)
            rates["https"].append(_rate([_by_https(kiosk, crowd) for kiosk in crowd.kiosks], people))
            rates["gateway"].append(_rate([_by_wire(wire, crowd) for wire in wires], people))
            seconds["quiet"] += _alone(_by_wire(wires[0], crowd), people)
            with _crowd_of_connections(site):
                seconds["crowded"] += _alone(_by_wire(wires[0], crowd), people)
    return GatewaySpeed(*map(tuple, (*rates.values(), *seconds.values())))


LogIn = Callable[[Person], bool]


def _by_https(kiosk: BenchKiosk, crowd: Crowd) -> LogIn:
    def work(person: Person) -> bool:
        attempt = kiosk.client.open_attempt(Action.LOGIN, person.name)
        submission = LoginRequest(
            attempt_id=attempt.attempt_id,
            username=person.name,
            password=PASSWORD,
            totp=person.code() or "",
            frames=crowd.frames,
            mac=kiosk.mac,
            client_ts_utc=datetime.now(UTC),
        )
        kiosk.client.submit(Action.LOGIN, submission, attempt.nonce)
        return True

    return work


def _by_wire(wire: WireClient, crowd: Crowd) -> LogIn:
    def work(person: Person) -> bool:
        return log_in(
            wire,
            username=person.name,
            password=PASSWORD,
            totp=person.code() or "",
            picture=crowd.frames[0],
            mac=_MAC,
        )

    return work


def _rate(clients: list[LogIn], people: Iterator[Person]) -> float:
    """All clients at once, each with its share of the people: logins a second, every one of them granted."""
    shares = [[next(people) for _ in range(_LOGINS // len(clients))] for _ in clients]
    started = time.perf_counter()
    with ThreadPoolExecutor(len(clients)) as pool:
        granted = list(pool.map(lambda work, share: all([work(person) for person in share]), clients, shares))
    seconds = time.perf_counter() - started
    if not all(granted):
        raise RuntimeError("a login was denied, so the rates mean nothing")
    return _LOGINS / seconds


def _alone(work: LogIn, people: Iterator[Person]) -> list[float]:
    samples = []
    for _ in range(_ALONE):
        person = next(people)
        started = time.perf_counter()
        if not work(person):
            raise RuntimeError("a login was denied, so its time means nothing")
        samples.append(time.perf_counter() - started)
    return samples


def _wire(site: Site) -> WireClient:
    return WireClient("127.0.0.1", site.gateway_port, context=trusting(site.gateway_certificate))


@contextmanager
def _crowd_of_connections(site: Site) -> Iterator[None]:
    """Idle connections, and slow ones that send a byte of a request now and then and come back when cut off."""
    context, ended = trusting(site.gateway_certificate), Event()
    with ExitStack() as opened:
        for _ in range(_IDLE):
            opened.enter_context(_connected(site, context))
        slow = Thread(target=_dribble, args=(site, context, ended))
        slow.start()
        opened.callback(slow.join)
        opened.callback(ended.set)
        yield


def _dribble(site: Site, context: ssl.SSLContext, ended: Event) -> None:
    connections = [_connected(site, context) for _ in range(_SLOW)]
    for connection in connections:
        connection.sendall(HEADER.pack(_SLOW_BYTES))
    while not ended.wait(_SLOW_EVERY_S):
        for place, connection in enumerate(connections):
            with suppress(OSError):
                connection.sendall(b"x")
                continue
            connection.close()
            connections[place] = _connected(site, context)
            connections[place].sendall(HEADER.pack(_SLOW_BYTES))
    for connection in connections:
        connection.close()


def _connected(site: Site, context: ssl.SSLContext) -> ssl.SSLSocket:
    return context.wrap_socket(socket.create_connection(("127.0.0.1", site.gateway_port), 10))


def _spread(samples: tuple[float, ...], form: str) -> str:
    low, middle, high = min(samples), median(samples), max(samples)
    return f"{form.format(middle)}   ({form.format(low)} to {form.format(high)})"


if __name__ == "__main__":
    sys.exit(main())
