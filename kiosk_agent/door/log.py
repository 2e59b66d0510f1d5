"""A door that is a line in the log, for kiosks whose door is elsewhere, and for trying things out."""

import structlog

from kiosk_agent.events import VerifiedAssertion
from kiosk_agent.settings import LogDoor


class LogBackend:
    """Logs whom it would let in, and never the assertion itself."""

    def __init__(self, settings: LogDoor, *, kiosk_id: str = "", tell: object = None) -> None:
        del settings, kiosk_id, tell
        self._log = structlog.get_logger("kiosk_agent.door")

    def open_for(self, assertion: VerifiedAssertion) -> None:
        """Log the name and the assertion's id, by which the audit log finds the login."""
        self._log.info("door_opened", username=assertion.username, jti=assertion.jti)

    def settle(self) -> None:
        """Nothing moves."""

    def close(self) -> None:
        """Nothing to let go of."""
