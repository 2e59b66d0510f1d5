"""A kiosk at work writes nothing to the disk: its cards wear out, and a root may be read-only."""

from bench.soak_figures import look
from scripts.soak import Agent
from tests.e2e.conftest import MACS, PASSWORD, House


def test_sessions_write_nothing(house: House) -> None:
    """By the kernel's own count; the log goes to a pipe."""
    pictures = house.scene / "rest"
    for picture in pictures.iterdir():
        picture.read_bytes()  # who reads a new file first has its time noted on the disk
    person = house.person()
    settings = house.site.kiosk_settings(
        "kiosk-1",
        mac_override=MACS["kiosk-1"],
        camera={"kind": "replay", "sources": [str(pictures)]},
        keypad={"kind": "scripted", "script": "-"},
    )
    agent = Agent(settings)
    try:
        agent.press(step="attract", text=person.name)
        agent.press(step="password", keys=["cancel"])
        assert agent.wait_for(1) == "cancelled"
        before = look(agent.pid, 0, 0.0).written_bytes
        agent.press(step="attract", text=person.name)
        agent.press(step="password", text=PASSWORD)
        agent.press(step="code", text=person.code())
        assert agent.wait_for(2) == "granted"
        agent.press(step="granted", keys=["cancel"])
        agent.press(step="attract", text=person.name)
        agent.press(step="password", keys=["cancel"])
        assert agent.wait_for(3) == "cancelled"
        assert look(agent.pid, 0, 0.0).written_bytes == before
    finally:
        agent.stop()
