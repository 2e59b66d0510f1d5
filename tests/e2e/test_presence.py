"""A site that asks for movements: a kiosk that shows them, somebody who does them, and what is no person."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from demo.pictures import write_person
from demo.puppet import ada
from demo.site import Site
from tests.e2e.conftest import House, house_of

GUIDED = {"patience_s": 2.0, "movement_s": 2.0, "movement_interval_s": 0.08}


@pytest.fixture(scope="module")
def asking(tmp_path_factory: pytest.TempPathFactory, models_folder: Path, ada_folder: Path) -> Iterator[House]:
    """The site, its server running."""
    site = Site(tmp_path_factory.mktemp("asking"), models_folder.absolute(), name="asking", presence="both")
    for house in house_of(site, ada_folder):
        site.start_server()
        yield house


def asked_in(screen: list[str]) -> list[str]:
    """The movements that a kiosk has shown."""
    return [line for line in screen if "Movement " in line]


@pytest.mark.parametrize("is_guided", [True, False])
def test_somebody_who_does_what_the_screen_asks_is_let_in(is_guided: bool, asking: House) -> None:
    person: Any = asking.person()
    capture = GUIDED | {"models": str(asking.site.models)} if is_guided else {}
    with asking.kiosk_process(capture=capture) as kiosk:
        assert kiosk.enter(asking.entry(person)).startswith(f"Welcome, {person.name}")
        assert len(asked_in(kiosk.screen)) == 3
    (row,) = asking.rows(person.name)
    face = asking.detail(row)["verdicts"]["face"]
    assert (row.success, face["movements"], face["missing_movement"]) == (True, 3, None)


def test_a_photograph_is_asked_and_does_nothing(asking: House, tmp_path: Path, models_folder: Path) -> None:
    """However good it is: its presence by the look of it is that of a person."""
    write_person(tmp_path / "still", ada(models_folder, seed=6).rest(200), {})
    person: Any = asking.person()
    with asking.kiosk_process(capture=GUIDED | {"models": str(asking.site.models)}) as kiosk:
        kiosk.show(tmp_path / "still")
        assert kiosk.enter(asking.entry(person)).startswith("Once more, please: Not all")
    (row,) = asking.rows(person.name)
    assert (row.success, asking.detail(row)["verdicts"]["face"]["missing_movement"]) == (False, 1)
