"""Everything a request may use, built once in each worker."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from auth_server.accounts import Accounts
from auth_server.asking import Asking
from auth_server.assertions import Assertions
from auth_server.attempts import Attempts
from auth_server.audit import AuditLog
from auth_server.authenticator import Authenticator
from auth_server.face.engine import FaceEngine
from auth_server.gateways import Gateways
from auth_server.housekeeping import Housekeeping
from auth_server.kiosks import Kiosks
from auth_server.notifier import Notifier
from auth_server.row_budget import RowBudget
from auth_server.signature import SignatureCheck
from auth_server.store.database import Database
from auth_server.timesource import TimeSource


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """The parts of one worker, wired by `bootstrap.build`."""

    site: str
    database: Database
    accounts: Accounts
    kiosks: Kiosks
    attempts: Attempts
    asking: Asking
    audit: AuditLog
    assertions: Assertions
    face_engine: FaceEngine
    signatures: SignatureCheck
    authenticator: Authenticator
    gateways: Gateways
    time: TimeSource
    row_budget: RowBudget
    executor: ThreadPoolExecutor
    housekeeping: Housekeeping
    notifier: Notifier

    def close(self) -> None:
        """Stop the background work, with a last checkpoint, and let go of the store."""
        self.housekeeping.stop()
        self.notifier.stop()
        self.time.stop()
        self.executor.shutdown(wait=True)
        self.database.close()
