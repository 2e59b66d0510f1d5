"""The kiosk agent's error tree. Leaves carry data; the loop turns them into session events.

What an exchange with the server can end with stands in `auth_client.errors`.

KioskAgentError
├── StartRefused                 the process must not run; exit 78
│   ├── SettingsRefused          a field, its value and the rule it breaks
│   ├── IdentityRefused          the device key or the network interface is not fit for use
│   └── BackendRefused           a camera, keypad, screen or door cannot be loaded or opened here
├── AssertionRefused             a granted login whose proof does not hold; the door stays shut
├── CameraFault                  a camera gives no picture; carries the device and what to do
├── PicturesUnfit                no picture of a person can be judged; carries the hint
├── NobodyWaits                  the person for whom pictures were taken has left
├── KeypadFault                  a keypad cannot be read
├── ScreenFault                  a screen is gone
└── DoorFault                    a door did not open for somebody who may come in
"""

from auth_contract.actions import CaptureHint
from kiosk_agent.vocabulary import CameraState


class KioskAgentError(Exception):
    """Base of all errors that this program raises on purpose."""


class StartRefused(KioskAgentError):
    """The process must not run; the message says what to do."""


class SettingsRefused(StartRefused):
    """A settings field breaks a rule."""


class IdentityRefused(StartRefused):
    """The device key or the network interface is not fit for use."""


class BackendRefused(StartRefused):
    """A backend named in the settings cannot be loaded or opened on this machine."""


class AssertionRefused(KioskAgentError):
    """The proof of a granted login does not hold."""


class CameraFault(KioskAgentError):
    """A camera gives no picture. `device` names it, `advice` says what can be done, `state` is what it is told as."""

    def __init__(self, device: str, problem: str, advice: str, state: CameraState = CameraState.FAILED) -> None:
        super().__init__(f"camera {device}: {problem}; {advice}")
        self.state = state
        self.device = device
        self.problem = problem
        self.advice = advice


class PicturesUnfit(KioskAgentError):
    """In all the time that there is, no picture was had that the server could judge."""

    def __init__(self, hint: CaptureHint) -> None:
        super().__init__(f"no picture can be judged: {hint}")
        self.hint = hint


class NobodyWaits(KioskAgentError):
    """The session for which something is being done has ended."""


class KeypadFault(KioskAgentError):
    """A keypad cannot be read."""


class ScreenFault(KioskAgentError):
    """A screen is gone, such as a terminal whose window was closed."""


class DoorFault(KioskAgentError):
    """A door did not open, or nobody knows whether it did; the message names nobody and no secret."""
