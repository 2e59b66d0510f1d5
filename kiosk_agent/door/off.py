"""Turns a relay off when nobody is left who would: the agent and its guard were killed together."""

from kiosk_agent.errors import DoorFault
from kiosk_agent.settings.doors import AnyDoor, GpioRelayDoor


def turn_off(settings: AnyDoor) -> str:
    """Turn the door's relay off and return what was done.

    Raises DoorFault where the pin cannot be had: a guard that still runs holds it, and turns it off itself.
    """
    if not isinstance(settings, GpioRelayDoor):
        return "nothing here holds this door, so there is nothing to turn off"
    from kiosk_agent.door.guard import open_line

    try:
        line = open_line(settings.pin, active_high=settings.active_high)
        line.off()
        line.close()
    except Exception as error:  # each pin library has errors of its own
        raise DoorFault(f"door.pin = {settings.pin} cannot be turned off: {type(error).__name__}: {error}") from error
    return f"the relay at GPIO {settings.pin} is off"
