"""`4auth-provision user list`: any number of people, as they are read, and those of some standing alone."""

from collections.abc import Iterable, Iterator

import click

from auth_server.accounts import Account
from auth_server.directory import Directory, Wanted
from auth_server.kiosks import Kiosks
from provisioning.desk import Desk, pass_desk, shared_options
from provisioning.params import USERNAME
from provisioning.user_document import account_document, account_standing
from provisioning.user_lookup import places


@click.command("list")
@click.option("--disabled", "is_disabled", is_flag=True, help="Who may not log in: disabled whole, or the face.")
@click.option("--locked", "is_locked", is_flag=True, help="Who must wait now after failures, at one kiosk at least.")
@click.option("--pending", "is_pending", is_flag=True, help="Who has a change that is not in force yet.")
@click.option("--after", type=USERNAME, help="Begin behind this name, as where a page ended.")
@click.option("--limit", type=click.IntRange(1), help="List so many at most.  [default: all]")
@shared_options
@pass_desk
def list_(desk: Desk, limit: int | None, after: str | None, **standing: bool) -> None:
    """List people by name; of several conditions all must hold.

    \b
    Example:
      4auth-provision user list --locked
      4auth-provision user list --json --limit 1000 --after ann
    """
    with desk.site() as opened:
        names = Kiosks(opened.database).macs()
        wanted = Wanted(after=after or "", **standing)
        pages = _limited(Directory(opened.database).pages(wanted, desk.now()), limit)
        if desk.output.is_json:
            desk.output.results("users", (account_document(account) for page in pages for account in page))
            return
        desk.output.pages(
            ("NAME", "STANDING", "KIOSKS", "SINCE"),
            ([_row(account, names) for account in page] for page in pages),
        )


def _row(account: Account, names: dict[str, str]) -> tuple[str, str, str, str]:
    return (
        account.username,
        account_standing(account),
        places(account, names),
        f"{account.created_at:%Y-%m-%d}",
    )


def _limited(pages: Iterable[list[Account]], limit: int | None) -> Iterator[list[Account]]:
    if limit is None:
        yield from pages
        return
    for page in pages:
        yield page[:limit]
        limit -= len(page)
        if limit <= 0:
            return
