"""`make demo` and `make run`: a throw-away site, performed or left running.

python -m demo            one login granted, one refusal for each way to fail, and every other action
python -m demo --serve    the same site with the kiosk's page for a browser, to try by hand; or in the --terminal
"""

import argparse
import contextlib
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyotp

from demo import wire
from demo.cases import CASES, NOTHING_SENT, Case
from demo.kiosk import Kiosk
from demo.newcomer import Newcomer, at_kiosk
from demo.pictures import Pictures, PicturesMissing, poses, prepare
from demo.puppet import ada
from demo.seat import NotSeen
from demo.site import CommandFailed, Site, command
from demo.stage import MACS, PASSWORD, Stage, secret_of
from provisioning.qr import terminal_lines

_CACHE = Path(".cache")
_CAMERA = Path("/dev/video0")


def main() -> int:
    """Run what was asked for; 0 when everything happened as it should."""
    parser = argparse.ArgumentParser(prog="python -m demo", description=__doc__.splitlines()[0])
    parser.add_argument("--serve", action="store_true", help="leave the site running, with a page to try")
    parser.add_argument("--terminal", action="store_true", help="with --serve: the kiosk in this terminal")
    chosen = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda _number, _frame: sys.exit(143))  # what was started must be ended too
    try:
        with tempfile.TemporaryDirectory(prefix="4auth-demo-") as folder:
            if chosen.serve:
                return _serve(Path(folder), in_terminal=chosen.terminal)
            return _perform(Path(folder))
    except (CommandFailed, NotSeen, PicturesMissing) as error:
        print(f"\nThe demo could not go on: {error}", file=sys.stderr)
        return 1


def _say(text: str = "") -> None:
    print(text, flush=True)


@contextlib.contextmanager
def _stage(folder: Path) -> Iterator[Stage]:
    """A site with one person and two kiosks, its server running."""
    pictures = _prepared()
    _say("Making a site: keys, certificate, encrypted database, two kiosks, one person.")
    site = Site(folder, (_CACHE / "models").absolute())
    site.init()
    kiosk = Kiosk(site, "kiosk-1", mac_override=MACS["kiosk-1"])
    for kiosk_id in ("kiosk-1", "kiosk-2"):
        site.register(kiosk_id, Kiosk(site, kiosk_id, mac_override=MACS[kiosk_id]).settings)
    uri = site.add_user("Ada", PASSWORD, poses(pictures), ["kiosk-1"])
    site.let_gateway_in(users="listed")
    site.provision("gateway", "allow", "ada")
    site.provision("user", "bind", "ada", "--mac", wire.MAC)
    seconds = site.start_server()
    _say(f"4auth-server answers on port {site.port} after {seconds:.1f} s.")
    site.start_gateway()
    _say(f"4auth-gateway serves the wire protocol on port {site.gateway_port}, and lets Ada come that way.")
    try:
        yield Stage(site, pictures, kiosk, pyotp.TOTP(secret_of(uri)), ada(site.models))
    finally:
        kiosk.stop()
        site.stop_gateway()
        site.stop_server()


def _prepared() -> Pictures:
    _say("Real photographs, made to move as people do: an astronaut, and somebody else to be turned away.")
    return prepare(_CACHE / "people", _CACHE / "models")


def _perform(folder: Path) -> int:
    with _stage(folder) as stage:
        stage.kiosk.start()
        _say("4auth-kiosk runs beside it, with moving pictures for a camera and a script for a keypad,")
        _say("and once more on a terminal, for a person with a phone.\n")
        with at_kiosk(stage.site, "kiosk-1", MACS["kiosk-1"], stage.pictures.eve) as seat:
            stage.newcomer = Newcomer(stage.site, seat)
            faults = sum(_play(stage, number, case) for number, case in enumerate(CASES, 1))
        stage.kiosk.stop()
        stage.site.stop_gateway()
        stage.site.stop_server()  # a clean end signs a last checkpoint
        report = stage.site.provision("audit", "verify")
        _say(f"\nThe audit log is whole: {report['rows']} rows, signed checkpoints prove 1 to {report['proved_to']}.")
    if faults:
        _say(f"\n{faults} of {len(CASES)} cases did NOT end as they should.")
        return 1
    _say(f"\nAll {len(CASES)} cases ended as they should.")
    return 0


def _play(stage: Stage, number: int, case: Case) -> int:
    """Perform one case and print what happened; 1 when it did not end as it should."""
    seen = case.perform(stage)
    row = stage.newest_attempt()
    reason = NOTHING_SENT if row is None else row["reason"]
    is_right = seen.startswith(case.seen) and reason == case.reason
    _say(f"{'✓' if is_right else '✗'} {number:2} {case.title}")
    if stage.kiosk.asked:
        _tell("the kiosk asks", "; ".join(stage.kiosk.asked))
        stage.kiosk.asked.clear()
    _tell("the person reads", seen)
    _tell("the audit says", reason if row is None else f"row {row['id']}, {reason}: {_why(row['detail'])}")
    return 0 if is_right else 1


def _tell(who: str, what: str) -> None:
    _say(textwrap.fill(what, 112, initial_indent=f"     {who:<18} ", subsequent_indent=" " * 24))


def _why(detail: dict[str, Any]) -> str:
    """The evidence of an audit row in one line: what failed first, then what passed."""
    verdicts: dict[str, dict[str, Any]] = detail.get("verdicts", {})
    if not verdicts:
        return str(detail.get("why") or ", ".join(f"{name} {value}" for name, value in detail.items()))
    failed = [f"{name} failed ({_evidence(verdict)})" for name, verdict in verdicts.items() if not verdict["passed"]]
    passed = [name for name, verdict in verdicts.items() if verdict["passed"]]
    return "; ".join([*failed, f"{', '.join(passed)} passed"])


def _evidence(verdict: dict[str, Any]) -> str:
    told = {name: value for name, value in verdict.items() if name != "passed" and value is not None}
    return ", ".join(f"{name} {value}" for name, value in told.items()) or "no more is kept"


def _serve(folder: Path, *, in_terminal: bool) -> int:
    with _stage(folder) as stage:
        has_camera = _CAMERA.exists()
        url_file = folder / "screen.url"
        page = {"kind": "page", "port": 0, "url_file": str(url_file), "keyboard": True}
        settings = stage.site.kiosk_settings(
            "kiosk-1",
            mac_override=MACS["kiosk-1"],
            camera={"kind": "opencv", "device": str(_CAMERA)} if has_camera else stage.replay_camera(),
            keypad={"kind": "terminal"} if in_terminal else {"kind": "scripted", "script": "/dev/null"},
            capture={"models": str(stage.site.models)},
            **({} if in_terminal else {"screen": page}),
        )
        _introduce(stage, has_camera=has_camera)
        if in_terminal:
            input("Press Enter to start the kiosk in this terminal. ")
        with contextlib.suppress(KeyboardInterrupt), (folder / "kiosk.log").open("ab") as log:
            kiosk = subprocess.Popen([command("4auth-kiosk"), "--settings", str(settings)], stderr=log)  # noqa: S603 - our own command
            try:
                if not in_terminal:
                    _say(f"Open this page, and type on your keyboard as on the kiosk's: {_address(url_file, kiosk)}")
                kiosk.wait()
            finally:
                kiosk.terminate()
                kiosk.wait(30)
    return 0


def _introduce(stage: Stage, *, has_camera: bool) -> None:
    _say(f"\nLog in as ada, password {PASSWORD}. Add this account to an authenticator app:")
    _say("\n".join(terminal_lines(stage.totp.provisioning_uri(name="ada", issuer_name="4Auth demo"))))
    _say("Without an app, this tells the code of the moment, in another terminal:")
    _say(f"  {sys.executable} -c 'import pyotp; print(pyotp.TOTP(\"{stage.totp.secret}\").now())'")
    if has_camera:
        _say(f"The camera is {_CAMERA}; ada's enrolled face is the astronaut's, so yours will be turned away.")
    else:
        _say("There is no camera here: the kiosk sees the astronaut, who does what the screen asks.")
    _say(f"The wire protocol is on port {stage.site.gateway_port}; clients trust {stage.site.gateway_certificate}.")
    _say(f"Metrics: http://127.0.0.1:{stage.site.health_port}/metrics   Ctrl-C ends everything.\n")


def _address(url_file: Path, kiosk: "subprocess.Popen[bytes]") -> str:
    """Wait for the agent to write where its page is."""
    while not url_file.exists():
        if kiosk.poll() is not None:
            raise CommandFailed(f"4auth-kiosk ended with {kiosk.returncode}: see {url_file.parent / 'kiosk.log'}")
        time.sleep(0.1)
    return url_file.read_text().strip()


if __name__ == "__main__":
    sys.exit(main())
