"""What may come through a gateway: which actions, and in whose name.

A gateway is a registered kiosk without a MAC. It speaks for clients that no signature proves, so a site must
let it in, says who may come through it, and whether a picture that was not asked for may stand for a person.
"""

from dataclasses import dataclass

from auth_contract.actions import Action
from auth_contract.messages import GatewayRefusal
from auth_server.domain import AuditEntry, Kiosk, through_gateway_of
from auth_server.errors import KioskRefused, Malformed, UseKiosk
from auth_server.gateway_names import GatewayNames
from auth_server.kiosks import Kiosks
from auth_server.policy import RECOVERIES, WIRE_ACTIONS
from auth_server.settings import ThroughGatewaySettings
from auth_server.store.database import Database


@dataclass(frozen=True, slots=True)
class Standing:
    """How a name and a claimed MAC stand: `is_a_kiosks` where a registered kiosk has that MAC."""

    has_leave: bool
    is_a_kiosks: bool


@dataclass(frozen=True, slots=True)
class Gateways:
    """The site's rules for gateways. Methods raise StoreError when the store fails."""

    database: Database
    settings: ThroughGatewaySettings

    def check(self, kiosk: Kiosk, action: Action, peer: str | None) -> None:
        """Look at what was asked and by whom, before anything is judged.

        Raises Malformed where a gateway names no peer, a kiosk names one, or the wire has no such action;
        UseKiosk where the site does it at kiosks alone.
        """
        if not kiosk.is_gateway:
            if peer is not None:
                raise Malformed("peer", "is named by a gateway alone: a kiosk speaks for itself")
            return
        if peer is None:
            raise Malformed("peer", "is the address of the client for whom a gateway asks")
        if action not in WIRE_ACTIONS:
            raise Malformed("action", f"{action.value} cannot be asked for through a gateway")
        # All of them show a face.
        if not self.settings.passive_alone:
            why = f"{action.value}: gateway.passive_alone = false, and nobody can be asked to move through a gateway"
            raise UseKiosk(why)
        if action in RECOVERIES and not self.settings.recoveries:
            raise UseKiosk(f"{action.value}: gateway.recoveries = false, because what is changed holds at kiosks too")

    def standing(self, username: str, mac: str) -> Standing:
        """Return how a name and a claimed MAC stand; a name that no account has is looked up alike."""
        with self.database.read() as session:
            is_listed = GatewayNames.has(session, username)
            is_a_kiosks = Kiosks.has_mac(session, mac)
        return Standing(is_listed or self.settings.users == "all", is_a_kiosks)


def refusal_entry(kiosk: Kiosk, refusal: GatewayRefusal, source_address: str | None) -> AuditEntry:
    """Return the audit row of what a gateway could not take. Raises KioskRefused where a kiosk reports it."""
    if not kiosk.is_gateway:
        raise KioskRefused("a kiosk has no clients to report", kiosk_id=kiosk.kiosk_id, authenticated=True)
    return AuditEntry(
        action="none" if refusal.action is None else refusal.action.value,
        success=False,
        outcome_reason=Malformed.reason.value,
        username=refusal.username,
        kiosk_id=kiosk.kiosk_id,
        source_address=source_address,
        detail={
            "why": f"{refusal.field}: {refusal.rule}",
            "field": refusal.field,
            "rule": refusal.rule,
            **through_gateway_of(refusal.peer),
        },
    )
