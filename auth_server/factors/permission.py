"""Whose leave it is: an enrolment ticket for this name, or an administrator's own secret. Pure.

The caller looks the claim up by its hash: with 80 bits or more nobody finds one by trying, and
nothing of it can be told from the time that the lookup takes.
"""

from auth_server.domain import Factor, Granted, Verdict


def verify(*, username: str, found: Granted | None, ticket_name: str | None) -> Verdict:
    """Accept a found administrator's secret for any name, a found ticket for the name that it was made for.

    Evidence: `kind` (`ticket`, `admin` or `unknown`), `by`, and for a ticket `is_for_this_name`.
    """
    if found is None:
        return Verdict(Factor.PERMISSION, passed=False, evidence={"kind": "unknown"})
    evidence = {"kind": found.kind, "by": found.by}
    if found.kind != "ticket":
        return Verdict(Factor.PERMISSION, passed=True, evidence=evidence)
    is_for_this_name = ticket_name == username
    return Verdict(
        Factor.PERMISSION, passed=is_for_this_name, evidence={**evidence, "is_for_this_name": is_for_this_name}
    )
