"""Somebody new, at a kiosk's terminal with a phone: every action but a log in, each performed for real."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import takewhile
from pathlib import Path

from demo.kiosk import backends
from demo.phone import Phone
from demo.seat import Seat
from demo.site import Site, command

NAME = "grace"
_PASSWORD, _NEW_PASSWORD = "Silent otter 77", "Quiet heron 1906"
_MENU = {"register": "2", "totp": "31", "password": "32", "face": "33", "kiosk": "34"}


@dataclass
class Newcomer:
    """The person, and the kiosk's terminal before them. What they do returns the page that answers."""

    site: Site
    seat: Seat
    ticket: str = field(default="", repr=False)
    phone: Phone | None = None
    old_phone: Phone | None = None
    password: str = field(default=_PASSWORD, repr=False)

    def register(self) -> str:
        """Type the ticket, look at the camera, scan the code, type the app's first one."""
        if not self.ticket:
            self.ticket = str(self.site.provision("user", "invite", NAME, "--kiosk", "kiosk-1")["ticket"])
        self._choose("register", "New name")
        self.seat.type(f"{self.ticket}\r", at="Permission")
        self._type_new_password(_PASSWORD)
        return self._answer("Scan this code", "Request denied")

    def confirm(self) -> str:
        """Scan what the kiosk shows, and type what the app makes of it."""
        self.old_phone, self.phone = self.phone, Phone(self.seat.scan(), before=self.phone)
        self.seat.type(f"{self.phone.code()}\r")
        return self._answer("Registered", "New authenticator in force")

    def log_in(self, phone: Phone | None = None) -> str:
        """Log in with name, password, a code and the face."""
        code = self._code(phone)
        self.seat.type(f"{NAME}\r", at="Type your name to log in")
        self._show_password_and(code)
        return self._answer("Welcome, ", "Access denied")

    def recover_totp(self) -> str:
        """Ask for a new secret."""
        self._choose("totp", "Your name")
        self.seat.type(f"{self.password}\r", at="Your password")
        return self._answer("Scan this code")

    def recover_password(self) -> str:
        """Set another password."""
        code = self._code()
        self._choose("password", "Your name")
        self._type_new_password(_NEW_PASSWORD)
        self.seat.type(f"{code}\r", at="Your code")
        self.password = _NEW_PASSWORD
        return self._answer("New password in force")

    def move(self) -> str:
        """Bind the account to the kiosk at which they stand."""
        code = self._code()
        self._choose("kiosk", "Your name")
        self._show_password_and(code)
        return self._answer("This kiosk is yours now")

    def _choose(self, what: str, page: str) -> None:
        self.seat.type("\r", at="Type your name to log in")
        self.seat.type(_MENU[what], at="What would you like to do?")
        self.seat.type(f"{NAME}\r", at=page)

    def _type_new_password(self, password: str) -> None:
        self.seat.type(f"{password}\r", at="New password")
        self.seat.type(f"{password}\r", at="New password, again")

    def _show_password_and(self, code: str) -> None:
        self.seat.type(f"{self.password}\r", at="Your password")
        self.seat.type(f"{code}\r", at="Your code")

    def _code(self, phone: Phone | None = None) -> str:
        """A code, asked for before anything is typed: a page does not wait for the next half minute."""
        shown = phone or self.phone
        return "" if shown is None else shown.code()

    def _answer(self, *titles: str) -> str:
        """The page that begins with one of these titles, in one line."""
        self.seat.look_until(lambda: bool(self._page(titles)))
        return self._page(titles)

    def _page(self, titles: tuple[str, ...]) -> str:
        """What stands under one of these titles down to the keys; a title beside a QR code stands alone."""
        lines = [line.strip() for line in self.seat.seen.lines]
        rows = [row for row, line in enumerate(lines) if any(title in line for title in titles)]
        if not rows:
            return ""
        said = takewhile(lambda line: not line.startswith("---"), lines[rows[0] + 1 :])
        is_alone = self.seat.seen.has_code
        return lines[rows[0]] + ("" if is_alone else f": {' '.join(line for line in said if line)}")


@contextmanager
def at_kiosk(site: Site, kiosk_id: str, mac: str, person: Path) -> Iterator[Seat]:
    """A seat at a kiosk of its own process, with this person before its camera."""
    parts = {**backends(person.absolute(), site.models), "keypad": {"kind": "terminal"}}
    settings = site.kiosk_settings(kiosk_id, mac_override=mac, **parts)
    with (site.folder / f"{kiosk_id}-seat.log").open("ab") as log:
        seat = Seat([command("4auth-kiosk"), "--settings", str(settings)], log)
        try:
            yield seat
        finally:
            seat.process.terminate()
            seat.leave()
