"""The check of `4auth-kiosk hardware` for doors. It opens none, unless whoever stands there asks for one pulse.

No backend is asked to open: that takes a verified assertion, and there is none. The relay is turned on
through its guard, which only who may reach the pin anyway can do.
"""

from kiosk_agent.door import open_door
from kiosk_agent.errors import BackendRefused
from kiosk_agent.hardware import Finding, Options
from kiosk_agent.settings import KioskSettings
from kiosk_agent.settings.doors import GpioRelayDoor


def check_door(settings: KioskSettings, options: Options) -> Finding:
    """Open and close the backend; with `--pulse-door`, turn the relay on for one pulse."""
    if isinstance(settings.door, GpioRelayDoor):
        return _check_relay(settings.door, is_pulsed=options.pulses_door)
    open_door(settings.door, settings.kiosk_id).close()
    if options.pulses_door:
        return Finding(faults=(f'--pulse-door: door.kind = "{settings.door.kind}" is opened by a login alone',))
    return Finding({"tried": "nothing but that it can be set up: this kind is opened by a login alone"})


def _check_relay(settings: GpioRelayDoor, *, is_pulsed: bool) -> Finding:
    from kiosk_agent.door.gpio_relay import guard_command
    from kiosk_agent.door.watch import GuardWatch

    watch = GuardWatch(guard_command(settings), settings.pulse_s)
    try:
        if not watch.start():
            raise BackendRefused(f"door.pin = {settings.pin}: the relay cannot be held: {watch.problem}")
        if is_pulsed:
            watch.ask()
            watch.settle()
        return Finding({"relay": f"was on for {settings.pulse_s:g} s" if is_pulsed else "held, and off"})
    finally:
        watch.close()
