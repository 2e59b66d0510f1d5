"""Who stands at which kiosk, and what the kiosks' processes must know of it. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from auth_client.settings import ServerSettings


@dataclass(frozen=True, slots=True)
class KioskPlan:
    """A registered kiosk; `key` is its raw Ed25519 key."""

    kiosk_id: str
    mac: str
    key: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class PersonPlan:
    """An enrolled person, with the pictures of one submission."""

    name: str
    secret: str = field(repr=False)
    frames: tuple[Path, ...]


@dataclass(frozen=True, slots=True)
class Fleet:
    """All kiosks and people, the servers, and in how many processes the kiosks are simulated."""

    kiosks: tuple[KioskPlan, ...]
    people: tuple[PersonPlan, ...]
    servers: tuple[ServerSettings, ...]
    processes: int

    def kiosks_in(self, process: int, kiosks: int) -> range:
        """The numbers of a process's kiosks, where the first `kiosks` are at work."""
        return range(process, kiosks, self.processes)

    def people_at(self, kiosk: int, kiosks: int) -> Sequence[PersonPlan]:
        """Who stands at a kiosk, where so many are at work: nobody at two, and everybody always in one process."""
        return [self.people[number] for number in standing_at(kiosk, kiosks, len(self.people), self.processes)]


def standing_at(kiosk: int, kiosks: int, people: int, processes: int) -> range:
    """The numbers of the people at a kiosk."""
    process, place = kiosk % processes, kiosk // processes
    beside = len(range(process, kiosks, processes))
    return range(process + place * processes, people, beside * processes)


def kiosks_of(people: int, processes: int, steps: Iterable[int]) -> list[set[int]]:
    """Return for each person the kiosks at which they stand in any of the steps, each a number of kiosks at work."""
    found: list[set[int]] = [set() for _ in range(people)]
    for kiosks in steps:
        for kiosk in range(kiosks):
            for person in standing_at(kiosk, kiosks, people, processes):
                found[person].add(kiosk)
    return found
