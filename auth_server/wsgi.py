"""The command `4auth-server`: gunicorn with TLS 1.3 around the Flask application."""

import argparse
import json
import os
import resource
import shutil
import sys
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from auth_server.errors import AuthServerError, StartRefused, StoreAway, StoreError

if TYPE_CHECKING:
    from auth_server.serving import Application
    from auth_server.settings import ServerSettings

EX_CONFIG = 78
"""sysexits.h: something in the settings, keys, models or store must be mended before a start."""

_EPILOG = """\
exit codes:
  0   stopped as asked, or the check or the trial passed
  1   another failure, such as listen.port in use, a database that does not answer, or a trial in which it did not serve
  78  settings, keys, models, store or health.port: mend what is named, then start again

example: 4auth-server --settings /etc/4auth/server.toml --check-config
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the server; return 78 with a sentence on standard error where it must not start."""
    arguments = _parser().parse_args(argv)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core file would hold keys and passwords
    # prometheus_client chooses its storage when it is first imported, so this precedes the heavy imports.
    with _folder_of_metrics() as metrics_folder:
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = metrics_folder
        try:
            return _run(arguments)
        except AuthServerError as error:
            print(f"4auth-server: {error}", file=sys.stderr)
            must_be_mended = isinstance(error, StartRefused | StoreError) and not isinstance(error, StoreAway)
            return EX_CONFIG if must_be_mended else 1


@contextmanager
def _folder_of_metrics() -> Iterator[str]:
    """A folder that all workers share; removed by the master alone, for workers leave through here too."""
    made_by, folder = os.getpid(), tempfile.mkdtemp(prefix="4auth-metrics-")
    try:
        yield folder
    finally:
        if os.getpid() == made_by:
            shutil.rmtree(folder, ignore_errors=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="4auth-server",
        description="The 4Auth server.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--settings",
        type=Path,
        default=Path(os.environ.get("FOURAUTH_SETTINGS", "/etc/4auth/server.toml")),
        help="TOML file (default: $FOURAUTH_SETTINGS, else /etc/4auth/server.toml)",
    )
    parser.add_argument("--check-config", action="store_true", help="check settings, keys, store and models, then exit")
    parser.add_argument(
        "--trial",
        action="store_true",
        help="start at a port that nobody is told of, ask itself over TLS and whether it is ready, then exit",
    )
    parser.add_argument("--dump-config", action="store_true", help="print the settings in effect, then exit")
    return parser


def _run(arguments: argparse.Namespace) -> int:
    from auth_server.bootstrap import load_settings

    settings = load_settings(arguments.settings)
    if arguments.dump_config:
        print(settings.model_dump_json(indent=2))
        return 0
    _check_start(settings)
    if arguments.check_config:
        told = {"warnings": list(_told(settings).values())} if _told(settings) else {}
        print(json.dumps({"settings": str(arguments.settings), "usable": True, **told}))
        return 0
    _warn_of_development(settings)
    _warn_of_presence(settings)
    from auth_server.local_port import refuse_taken_port
    from auth_server.logs import configure_logging

    configure_logging(settings.log_level)
    refuse_taken_port(settings.health)
    return _try(settings) if arguments.trial else _serve(settings)


def _serve(settings: "ServerSettings") -> int:
    """Serve until stopped. Returns 78 where a worker refused to start, which it has said, 1 for other failures."""
    from auth_client.systemd import Notifier
    from auth_server import listener
    from auth_server.serving import Application, plan_of
    from auth_server.watchdog import Watchdog

    notifier = Notifier.taken()
    kept = listener.kept(settings.listen, notifier)
    watchdog = Watchdog(settings.listen, notifier, is_kept=kept is not None)
    return _run_to_its_end(Application(settings, plan_of(settings.listen, kept), watchdog, _told(settings)))


def _try(settings: "ServerSettings") -> int:
    """Start where nobody else can reach it, and tell whether it serves. Returns 0 where it does."""
    from auth_client.systemd import Notifier
    from auth_server.serving import Application
    from auth_server.trial import PLAN, Trial

    Notifier.taken()  # it has nothing to say to systemd
    trial = Trial(settings.health)
    code = _run_to_its_end(Application(settings, PLAN, trial, _told(settings)))
    if code == 0 and trial.fault is not None:
        print(f"4auth-server: on trial: {trial.fault}", file=sys.stderr)
        return 1
    return code


def _run_to_its_end(application: "Application") -> int:
    from gunicorn.arbiter import Arbiter

    master = os.getpid()
    try:
        application.run()
    except SystemExit as end:
        if os.getpid() != master:  # a worker: its code is for gunicorn's master
            raise
        if end.code == Arbiter.APP_LOAD_ERROR:
            return EX_CONFIG
        return 1 if end.code else 0
    return 0


def _check_start(settings: "ServerSettings") -> None:
    """Refuse here, in one sentence, what would otherwise fail in each worker."""
    from auth_server import bootstrap
    from auth_server.audit import AuditLog
    from auth_server.checkpoints import Checkpoints, check_log
    from auth_server.face import engine
    from auth_server.face.runtime import refused_at_start
    from auth_server.key_files import read_key_file
    from auth_server.keyring import Keyring
    from auth_server.notifier import backend_of
    from auth_server.store.database import open_database
    from auth_server.tls import server_context
    from auth_vision import models

    bootstrap.refuse_loose_threshold(settings)
    keyring = Keyring.load(settings.store.keys)
    with closing(open_database(settings.store.database, keyring)) as database:
        check_log(AuditLog(database), Checkpoints.of(settings.store, keyring.audit))
    with refused_at_start():
        models.check(settings.face.models)
    engine.check(settings.face)
    backend_of(settings.notify)
    read_key_file(settings.listen.tls_key)
    try:
        server_context(settings.listen.tls_certificate, settings.listen.tls_key, handshake_timeout_s=1)
    except OSError as error:
        raise StartRefused(
            f"listen.tls_certificate = {settings.listen.tls_certificate}, "
            f"listen.tls_key = {settings.listen.tls_key}: {error.strerror or error}"
        ) from error


def _warn_of_development(settings: "ServerSettings") -> None:
    if settings.environment == "development":
        warnings.warn(
            "environment = development: settings that no real door may have are allowed", UserWarning, stacklevel=2
        )


def _told(settings: "ServerSettings") -> dict[str, str]:
    """What the settings cost, by part."""
    return {} if settings.face.cost is None else {"presence": settings.face.cost}


def _warn_of_presence(settings: "ServerSettings") -> None:
    if settings.face.cost is not None:
        warnings.warn(settings.face.cost, UserWarning, stacklevel=2)


if __name__ == "__main__":
    sys.exit(main())
