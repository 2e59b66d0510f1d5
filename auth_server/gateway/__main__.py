"""The command `4auth-gateway`: serves the wire protocol, or tells who the gateway is."""

import argparse
import asyncio
import json
import os
import resource
import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from threading import Event, Thread

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from prometheus_client import REGISTRY, generate_latest

from auth_client.addresses import Addresses
from auth_client.client import AuthClient, Surroundings, real_surroundings
from auth_client.device_key import check_key, load_or_make_key, public_text
from auth_client.errors import DeviceKeyRefused
from auth_client.systemd import Notifier
from auth_client.version import program_version
from auth_server.errors import AuthServerError, StartRefused
from auth_server.gateway.forwarding import Forwarder
from auth_server.gateway.heartbeat import Heartbeat
from auth_server.gateway.server import Gateway, open_socket, tls_context
from auth_server.gateway.settings import GatewaySettings
from auth_server.gateway.watchdog import Watchdog
from auth_server.key_files import read_key_file
from auth_server.local_port import LocalPort, refuse_taken_port
from auth_server.settings_file import read_settings

EX_CONFIG = 78
"""sysexits.h: something in the settings, keys or ports must be mended before a start."""

_EPILOG = """\
examples:
  4auth-gateway --settings /etc/4auth/gateway.toml            serve until SIGTERM
  4auth-gateway --settings gateway.toml --check-config        exit 78 and say what is wrong, or 0
  4auth-gateway identity --settings gateway.toml              what `4auth-provision kiosk add ID --gateway` asks for

exit codes:
  0   stopped as asked, or what was asked for is done
  2   the command line is not understood
  78  settings, device key, TLS files or a port: mend what is named, then start again
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return 78 with a sentence on standard error where it must not start."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core file would hold passwords
    # A namespace of its own keeps the default out of the parsers, of which the second would put it over the first's.
    arguments = _parser().parse_args(argv, argparse.Namespace(settings=_default_settings()))
    try:
        settings = read_settings(arguments.settings, GatewaySettings)
        if arguments.command == "identity":
            return _identity(settings, as_json=arguments.json)
        if arguments.dump_config:
            print(settings.model_dump_json(indent=2))
            return 0
        _check(settings)
        if arguments.check_config:
            print(f"{arguments.settings}: good")
            return 0
        return _serve(settings)
    except (AuthServerError, DeviceKeyRefused) as error:
        print(f"4auth-gateway: {error}", file=sys.stderr)
        return EX_CONFIG


def _default_settings() -> Path:
    return Path(os.environ.get("FOURAUTH_GATEWAY_SETTINGS", "/etc/4auth/gateway.toml"))


def _parser() -> argparse.ArgumentParser:
    named = argparse.ArgumentParser(add_help=False)
    named.add_argument(
        "--settings",
        type=Path,
        default=argparse.SUPPRESS,
        help="TOML file (default: $FOURAUTH_GATEWAY_SETTINGS, else /etc/4auth/gateway.toml)",
    )
    parser = argparse.ArgumentParser(
        prog="4auth-gateway",
        description="Serves the clients that speak 4Auth's wire protocol, and hands what they ask to the auth server.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        parents=[named],
    )
    mode = parser.add_mutually_exclusive_group()
    mode.add_argument("--check-config", action="store_true", help="check settings, keys and certificate, then exit")
    mode.add_argument("--dump-config", action="store_true", help="print the settings in effect as JSON, then exit")
    identity = parser.add_subparsers(dest="command", metavar="identity").add_parser(
        "identity",
        parents=[named],
        help="print this gateway's id and public key",
        description="Print what the server must know of this gateway; the device key is made where there is none.",
        epilog="example: 4auth-gateway identity --json --settings /etc/4auth/gateway.toml",
    )
    identity.add_argument("--json", action="store_true", help="print one JSON object")
    return parser


def _identity(settings: GatewaySettings, *, as_json: bool) -> int:
    public_key = public_text(load_or_make_key(settings.key_file))
    if as_json:
        print(json.dumps({"kiosk_id": settings.gateway_id, "public_key": public_key}))
    else:
        print(f"gateway id  {settings.gateway_id}\npublic key  {public_key}")
    return 0


def _check(settings: GatewaySettings) -> None:
    """Refuse here, in one sentence, what would fail later."""
    check_key(settings.key_file)
    listen = settings.listen
    read_key_file(listen.tls_key)
    try:
        tls_context(listen)
    except OSError as error:
        named = {"tls_certificate": listen.tls_certificate, "tls_key": listen.tls_key, "client_ca": listen.client_ca}
        files = ", ".join(f"listen.{name} = {path}" for name, path in named.items() if path is not None)
        raise StartRefused(f"{files}: {error.strerror or error}") from error


def _serve(settings: GatewaySettings) -> int:
    from auth_server.logs import configure_logging

    configure_logging(settings.log_level)
    refuse_taken_port(settings.health)
    around = real_surroundings()
    new_client = _clients(settings, load_or_make_key(settings.key_file), around)
    with closing(open_socket(settings.listen)) as listener:
        heartbeat = Heartbeat(
            new_client(),
            around,
            version=program_version(),
            interval_s=settings.server.heartbeat_s,
        )
        stopped = Event()
        Thread(target=heartbeat.run, args=(stopped,), name="heartbeat", daemon=True).start()
        LocalPort(settings.health, lambda: _faults(heartbeat), dict, lambda: generate_latest(REGISTRY)).start()
        forwarder = Forwarder(new_client, around)
        gateway = Gateway(settings, listener, forwarder)
        asyncio.run(_run(gateway, Watchdog(settings.listen, Notifier.taken(), lambda: gateway.is_full)))
        stopped.set()
    return 0


async def _run(gateway: Gateway, watchdog: Watchdog) -> None:
    def stop() -> None:
        watchdog.stop()
        gateway.stop()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    watchdog.start()
    await gateway.serve()


def _faults(heartbeat: Heartbeat) -> dict[str, str]:
    return {} if heartbeat.fault is None else {"server": heartbeat.fault}


def _clients(settings: GatewaySettings, key: Ed25519PrivateKey, around: Surroundings) -> Callable[[], AuthClient]:
    """What makes clients, one for each thread, which tell each other how the servers do."""
    addresses = Addresses(settings.server, around.monotonic)
    return lambda: AuthClient(settings.server, settings.gateway_id, key, around, addresses)


if __name__ == "__main__":
    sys.exit(main())
