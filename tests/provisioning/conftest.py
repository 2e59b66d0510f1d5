"""A real site in a temporary folder, and the command run in this process."""

import io
import json
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from PIL import Image

from auth_contract.actions import Action, CaptureHint
from auth_server.accounts import Accounts, NewAccount
from auth_server.changes import Asked, Change, Changes, NewFactors
from auth_server.domain import Template
from auth_server.errors import FaceUnusable
from auth_server.face.observation import EnrolledFace
from auth_server.notifications import Notifications
from auth_server.policy import ActionPolicy, Effect
from auth_server.settings_file import load_settings
from provisioning.__main__ import cli
from provisioning.desk import Desk
from provisioning.params import encode_public_key
from tests import postgres

START = datetime(2026, 11, 22, 9, 30, tzinfo=UTC)


@dataclass
class Clock:
    """A clock that a test moves."""

    time: datetime = START

    def __call__(self) -> datetime:
        return self.time

    def pass_(self, **span: float) -> None:
        self.time += timedelta(**span)


@dataclass
class Command:
    """Runs `4auth-provision` on one settings file, with a clock of the test's."""

    settings: Path
    clock: Clock = field(default_factory=Clock)
    parts: dict[str, object] = field(default_factory=dict)

    def __call__(self, *arguments: str | Path, typed: str | io.BufferedReader | None = None) -> Result:
        desk = Desk(settings_path=self.settings, now=self.clock, **self.parts)
        return CliRunner().invoke(cli, [str(a) for a in arguments], obj=desk, input=typed, catch_exceptions=False)

    def json(self, *arguments: str | Path) -> dict:
        """Run a command that succeeds and return its JSON document."""
        result = self(*arguments, "--json")
        assert result.exit_code == 0, result.stderr
        return json.loads(result.stdout)

    def desk(self) -> Desk:
        return Desk(settings_path=self.settings, now=self.clock)

    def audit_rows(self) -> list[dict]:
        """The audit log, the oldest row first."""
        return self.json("audit", "list", "--limit", "1000")["rows"][::-1]


@pytest.fixture(scope="session")
def made_site(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Path:
    """The folder of a new site named head-office, which no test changes."""
    folder, place = tmp_path_factory.mktemp("made") / "site", ()
    if postgres.IS_WANTED:
        server: postgres.Server = request.getfixturevalue("postgresql_server")
        place = ("--postgresql", server.url(server.new()))
    made = Command(folder / "server.toml")("site", "init", "--folder", folder, "--name", "head-office", *place)
    assert made.exit_code == 0, made.stderr
    return folder


@pytest.fixture
def command(tmp_path: Path, made_site: Path, request: pytest.FixtureRequest) -> Iterator[Command]:
    """The command on a new site of the test's own."""
    folder = tmp_path / "site"
    shutil.copytree(made_site, folder)
    run = Command(folder / "server.toml")
    run.settings.write_text(run.settings.read_text().replace(str(made_site), str(folder)))
    made = load_settings(run.settings).store.database
    if isinstance(made, Path):
        yield run
        return
    server: postgres.Server = request.getfixturevalue("postgresql_server")
    own = server.new(made)
    run.settings.write_text(run.settings.read_text().replace(f'"{made.name}"', f'"{own.name}"'))
    yield run
    server.drop(own)


@pytest.fixture
def new_key() -> Callable[[], str]:
    """Makes public keys as a kiosk prints them."""
    return lambda: encode_public_key(Ed25519PrivateKey.generate().public_key().public_bytes_raw())


@pytest.fixture
def with_kiosk(command: Command, new_key: Callable[[], str]) -> Command:
    """A site with the kiosk lobby-1."""
    added = command("kiosk", "add", "lobby-1", "--public-key", new_key(), "--mac", "b8:27:eb:12:34:56")
    assert added.exit_code == 0, added.stderr
    return command


@pytest.fixture
def with_ann(with_kiosk: Command) -> Command:
    """A site with the kiosk lobby-1 and the account ann, whose face nobody has."""
    account = NewAccount(
        username="ann",
        password_hash=b"$2b$12$no-password-fits",
        totp_secret="JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP",
        totp_last_step=0,
        template=Template("4auth", b"\0" * 2048),
        face_png=b"no picture",
        mac_addresses=frozenset({"b8:27:eb:12:34:56"}),
    )
    with with_kiosk.desk().site() as site:
        Accounts(site.database, site.keyring.field, "4auth").add(account, START)
    return with_kiosk


class Typist(io.RawIOBase):
    """A person at the terminal: each line is decided when it is asked for."""

    def __init__(self, lines: Sequence[str | Callable[[], str]]) -> None:
        self._lines: Iterator[str | Callable[[], str]] = iter(lines)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray) -> int:
        line = next(self._lines, None)
        if line is None:
            return 0
        data = (line if isinstance(line, str) else line()).encode() + b"\n"
        buffer[: len(data)] = data
        return len(data)


@pytest.fixture
def typist() -> Callable[..., io.BufferedReader]:
    """Makes somebody who types the given lines; a function is called when its line is asked for."""
    return lambda *lines: io.BufferedReader(Typist(lines))


@pytest.fixture
def password_file(tmp_path: Path) -> Path:
    """A good password in a file that nobody else can read."""
    path = tmp_path / "password"
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600), "w") as file:
        file.write("correct Horse 7 battery\n")
    return path


@dataclass
class Engine:
    """Finds one face in every picture whose side is 64 pixels, and none in others."""

    seen: list[bytes] = field(default_factory=list)
    threshold = 0.5

    def enrol(self, pictures, *, is_vouched):
        if not is_vouched and len(pictures) < 3:
            raise FaceUnusable(len(pictures) - 1, CaptureHint.ONE_POSE, "3 pictures or more are needed")
        self.seen += pictures
        for index, picture in enumerate(pictures):
            with Image.open(io.BytesIO(picture)) as opened:
                if opened.width != 64:
                    raise FaceUnusable(index, CaptureHint.NO_FACE)
        return EnrolledFace(Template("test-model", b"\1" * 16), b"aligned face")


@pytest.fixture
def face(tmp_path: Path) -> Path:
    """A picture in which the engine finds a face."""
    path = tmp_path / "ann.png"
    Image.new("RGB", (64, 64)).save(path)
    return path


@pytest.fixture
def no_face(tmp_path: Path) -> Path:
    """A picture in which it finds none."""
    path = tmp_path / "wall.png"
    Image.new("RGB", (32, 32)).save(path)
    return path


@pytest.fixture
def engine() -> Engine:
    """A quick engine, which remembers what it has seen."""
    return Engine()


@pytest.fixture
def pend() -> Callable[..., Change]:
    """Leaves a change of somebody's at a kiosk, as a granted recovery does."""

    def put(command: Command, username: str = "ann", action: Action = Action.RECOVER_PASSWORD, **asked) -> Change:
        new = asked.pop("new", NewFactors(password_hash=b"$2b$12$what-will-be-in-force"))
        policy = ActionPolicy((), Effect.CHANGE, second_person=True, approval_window_s=900)
        with command.desk().site() as site, site.database.transaction() as session:
            changes = Changes(site.database, site.keyring.field, lambda: f"change-{username}")
            wanted = Asked(username=username, action=action, kiosk_id=asked.pop("kiosk_id", "lobby-1"), new=new)
            change = replace(changes.new(wanted, policy, command.clock()), **asked)
            changes.put(session, change)
            return change

    return put


@pytest.fixture
def told() -> Callable[[Command], list[tuple[str, str]]]:
    """Returns the event and the name of each notification that waits."""

    def listed(command: Command) -> list[tuple[str, str]]:
        with command.desk().site() as site:
            return [(one.event, one.username) for one in Notifications(site.database).list()]

    return listed


@pytest.fixture
def with_notify(with_ann: Command) -> Command:
    """A site with ann, and a program that is told."""
    settings = with_ann.settings
    settings.write_text(settings.read_text() + '\n[notify]\nkind = "command"\nargv = ["/bin/true"]\n')
    return with_ann
