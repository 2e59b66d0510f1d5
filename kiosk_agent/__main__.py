"""The command `4auth-kiosk`: runs the agent, or one login, or tells who the kiosk is."""

import argparse
import json
import os
import resource
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from kiosk_agent.errors import KioskAgentError, StartRefused
from kiosk_agent.screen import BACKENDS
from kiosk_agent.settings import KioskSettings, load_settings

EX_CONFIG = 78
"""sysexits.h: something in the settings or on the machine must be mended before a start."""

_AT_TERMINAL = "terminal"
"""The kind of screen that, asked for by an option, makes a terminal client of the agent."""

_EXAMPLE = """examples:
  4auth-kiosk --settings /etc/4auth/kiosk.toml               run the kiosk until SIGTERM
  4auth-kiosk --settings kiosk.toml --once                   one login; exit 0 when granted, 1 when not
  4auth-kiosk --settings kiosk.toml --screen terminal        a menu in this terminal until a login is granted, or exit
  4auth-kiosk --settings kiosk.toml --check-config           exit 78 and say what is wrong, or 0
  4auth-kiosk identity --json --settings kiosk.toml          what `4auth-provision kiosk add` asks for
  4auth-kiosk hardware --check --settings kiosk.toml         try each part; exit 0 when all work, 1 when one does not
  4auth-kiosk door --off --settings kiosk.toml               the relay off, when no agent runs any more

exit codes:
  0   stopped by SIGTERM or SIGINT; with --once or --screen terminal, a login was granted; else, what was asked is done
  1   with --once or --screen terminal, none was granted; else, a part failed, such as the keypad, or a terminal hung up
  2   the command line is not understood
  78  settings, device key, interface or a backend must be mended before a start; standard error says which
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return 78 with a sentence on standard error where it must not start."""
    forbid_core_files()
    # A namespace of its own keeps the default out of the parsers, of which the second would put it over the first's.
    arguments = _parser().parse_args(argv, argparse.Namespace(settings=_default_settings()))
    try:
        settings = _read(arguments)
        if arguments.command == "identity":
            return _identity(settings, as_json=arguments.json)
        if arguments.command == "hardware":
            return _hardware(settings, arguments)
        if arguments.command == "door":
            return _door_off(settings)
        if arguments.dump_config:
            print(settings.model_dump_json(indent=2))
            return 0
        if arguments.check_config:
            return _check(settings, arguments.settings)
        try:
            return _run(settings, arguments)
        finally:
            _forget_what_nobody_reads()
    except StartRefused as error:
        print(f"4auth-kiosk: {error}", file=sys.stderr)
        return EX_CONFIG
    except KioskAgentError as error:
        print(f"4auth-kiosk: {error}", file=sys.stderr)
        return 1


def _read(arguments: argparse.Namespace) -> KioskSettings:
    from kiosk_agent.settings.chosen import at_terminal, with_screen

    settings = load_settings(arguments.settings)
    if arguments.screen is None:
        return settings
    return at_terminal(settings) if arguments.screen == _AT_TERMINAL else with_screen(settings, arguments.screen)


def forbid_core_files() -> None:
    """Let the kernel write no core file of this process, whatever ends it: it would hold secrets."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))


def _default_settings() -> Path:
    return Path(os.environ.get("FOURAUTH_KIOSK_SETTINGS", "/etc/4auth/kiosk.toml"))


def _parser() -> argparse.ArgumentParser:
    named = argparse.ArgumentParser(add_help=False)
    named.add_argument(
        "--settings",
        type=Path,
        default=argparse.SUPPRESS,
        help="TOML file (default: $FOURAUTH_KIOSK_SETTINGS, else /etc/4auth/kiosk.toml)",
    )
    parser = argparse.ArgumentParser(
        prog="4auth-kiosk",
        description="The agent of a 4Auth kiosk.",
        epilog=_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        parents=[named],
    )
    parser.add_argument(
        "--screen",
        choices=sorted(BACKENDS),
        metavar="KIND",
        help="%(choices)s: in place of the kind in the settings, with its defaults; "
        "terminal is a menu, here, until a login is granted",
    )
    mode = parser.add_mutually_exclusive_group()
    mode.add_argument("--once", action="store_true", help="run one login and exit 0 when it was granted, else 1")
    mode.add_argument("--check-config", action="store_true", help="check settings, key and interface, then exit")
    mode.add_argument("--dump-config", action="store_true", help="print the settings in effect as JSON, then exit")
    commands = parser.add_subparsers(dest="command", metavar="identity|hardware|door")
    identity = commands.add_parser(
        "identity",
        parents=[named],
        help="print this kiosk's id, public key and MAC",
        description="Print what the server must know of this kiosk; the device key is made where there is none.",
        epilog="example: 4auth-kiosk identity --json --settings /etc/4auth/kiosk.toml",
    )
    identity.add_argument("--json", action="store_true", help="print one JSON object")
    hardware = commands.add_parser(
        "hardware",
        parents=[named],
        help="print each part and server with the settings in force, and try it",
        description="Print each part of this kiosk, and its servers, with the settings in force. Stop the agent before "
        "--check.",
        epilog="example: 4auth-kiosk hardware --check --picture /tmp/seen.jpg --settings /etc/4auth/kiosk.toml",
    )
    hardware.add_argument("--check", action="store_true", help="try each part; exit 1 where one does not work")
    hardware.add_argument("--pulse-door", action="store_true", help="with --check, turn the door's relay on once")
    hardware.add_argument("--picture", type=Path, metavar="FILE", help="with --check, save a picture as JPEG")
    _add_door(commands, named)
    return parser


def _add_door(commands: Any, named: argparse.ArgumentParser) -> None:
    door = commands.add_parser(
        "door",
        parents=[named],
        help="turn the door's relay off, when no agent runs any more",
        description="Turn the door's relay off: for systemd, after the agent and its guard were killed.",
        epilog="example, in the agent's unit: ExecStopPost=4auth-kiosk door --off",
    )
    door.add_argument("--off", action="store_true", required=True, help="the only thing that there is to do")


def _door_off(settings: KioskSettings) -> int:
    from kiosk_agent.door.off import turn_off

    print(f"door.kind = {settings.door.kind!r}: {turn_off(settings.door)}")
    return 0


def _check(settings: KioskSettings, path: Path) -> int:
    from kiosk_agent import camera, door, indicators, keypad, screen, speech
    from kiosk_agent.guide import open_guide
    from kiosk_agent.identity import check_identity
    from kiosk_agent.registry import load_backend

    load_backend("camera", settings.camera.kind, camera.BACKENDS)
    load_backend("keypad", settings.keypad.kind, keypad.BACKENDS)
    load_backend("screen", settings.screen.kind, screen.BACKENDS)
    load_backend("door", settings.door.kind, door.BACKENDS)
    load_backend("indicators", settings.indicators.kind, indicators.BACKENDS)
    load_backend("speech", settings.speech.kind, speech.BACKENDS)
    open_guide(settings.capture.models)
    has_key = check_identity(settings)
    for variant in settings.unsafe_variants:
        print(f"4auth-kiosk: development mode: {variant}", file=sys.stderr)
    if not has_key:
        print(f"4auth-kiosk: key_file {settings.key_file}: none yet, the first start makes it", file=sys.stderr)
    print(f"{path}: good")
    return 0


def _identity(settings: KioskSettings, *, as_json: bool) -> int:
    from kiosk_agent.identity import load_identity

    identity = load_identity(settings)
    nic = identity.read()
    if as_json:
        facts = {
            "kiosk_id": identity.kiosk_id,
            "public_key": identity.public_key,
            "mac": nic.mac,
            "permanent_mac": nic.permanent_mac,
            "faults": list(nic.faults),
        }
        print(json.dumps(facts))
        return 0
    print(f"kiosk id    {identity.kiosk_id}\npublic key  {identity.public_key}\nMAC         {nic.mac}")
    print(f"made with   {nic.permanent_mac or 'unknown: the driver does not say'}")
    for fault in nic.faults:
        print(f"fault       {fault}")
    return 0


def _hardware(settings: KioskSettings, arguments: argparse.Namespace) -> int:
    from kiosk_agent.hardware import Options, report

    options = Options(arguments.picture, pulses_door=arguments.pulse_door)
    return 0 if report(settings, options, is_checked=arguments.check) else 1


def _run(settings: KioskSettings, arguments: argparse.Namespace) -> int:
    from kiosk_agent import memory, service
    from kiosk_agent.agent import Until
    from kiosk_agent.events import Ending
    from kiosk_agent.logs import configure_logging

    is_at_terminal = arguments.screen == _AT_TERMINAL
    configure_logging(settings.log_level, is_silent=is_at_terminal and sys.stderr.isatty())
    until = Until.ENDED if arguments.once else Until.GRANTED if is_at_terminal else Until.STOPPED
    # Until there is an agent to stop: the default would end the process without putting the terminal back.
    signal.signal(signal.SIGTERM, lambda _signal, _frame: sys.exit(0 if until is Until.STOPPED else 1))
    signal.signal(signal.SIGHUP, lambda _signal, _frame: sys.exit(1))
    memory.limit()
    if until is Until.STOPPED:
        return 0 if service.serve(settings, lambda: _read(arguments), arguments.settings) else 1
    outcome = service.run_once(settings, until)
    if outcome is not None and sys.stdout.isatty():
        print(f"{outcome.ending.value}: {outcome.message}")  # a terminal was cleared when its screen was closed
    return 0 if outcome is not None and outcome.ending is Ending.GRANTED else 1


def _forget_what_nobody_reads() -> None:
    """Where the terminal is gone, Python would try once more to write to it, and end with 120."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    sys.exit(main())
