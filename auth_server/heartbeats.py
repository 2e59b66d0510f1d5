"""What a kiosk's sign of life leaves behind: when it was seen, and a row whenever its faults change."""

from datetime import datetime

from auth_contract.messages import HeartbeatRequest
from auth_server.domain import AuditEntry, Kiosk
from auth_server.services import Services


def note_heartbeat(
    services: Services, kiosk: Kiosk, report: HeartbeatRequest, source_address: str | None, now: datetime
) -> None:
    """Store a report; other faults than last time, or none any more, are an audit row in the same transaction."""
    faults = report.faults
    if report.mac != kiosk.mac_address:
        faults = (f"its MAC is {report.mac or 'none'}, and {kiosk.mac_address or 'none'} is registered", *faults)
    with services.database.transaction() as session:
        if services.kiosks.record_heartbeat(session, kiosk.kiosk_id, now, report.agent_version, faults, report.state):
            entry = AuditEntry(
                action="heartbeat",
                success=not faults,
                outcome_reason="faults" if faults else "sound",
                username=None,
                kiosk_id=kiosk.kiosk_id,
                source_address=source_address,
                detail={"faults": list(faults), "mac": report.mac, "permanent_mac": report.permanent_mac},
            )
            services.audit.append(session, entry, now)
