"""An account as commands show it: never with a secret, a hash or a face."""

from auth_server.accounts import Account


def account_standing(account: Account) -> str:
    """Return in a word or two whether a person may log in."""
    if not account.enabled:
        return "disabled"
    return "enabled" if account.face_enabled else "face disabled"


def account_document(account: Account) -> dict[str, object]:
    """Return an account for `--json`."""
    return {
        "username": account.username,
        "enabled": account.enabled,
        "face_enabled": account.face_enabled,
        "face_model": account.face_model,
        "mac_addresses": sorted(account.mac_addresses),
        "created_at": account.created_at.isoformat(timespec="seconds"),
    }
