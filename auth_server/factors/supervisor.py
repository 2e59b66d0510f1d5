"""Who may approve for others: somebody whom the site has named for it. Pure."""

from auth_server.domain import Factor, Verdict

_MAY_APPROVE = frozenset({"supervisor", "admin"})


def verify(*, role: str | None) -> Verdict:
    """Accept the role of a supervisor or of an administrator. Evidence: `role`, None for a name that has none."""
    return Verdict(Factor.SUPERVISOR, passed=role in _MAY_APPROVE, evidence={"role": role})
