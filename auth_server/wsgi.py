"""The command `4auth-server`: gunicorn with TLS 1.3 around the Flask application."""

import argparse
import gc
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
from typing import TYPE_CHECKING, Any

from auth_server.errors import AuthServerError, StartRefused, StoreError

if TYPE_CHECKING:
    from flask import Flask
    from gunicorn.workers.base import Worker

    from auth_server.settings import ServerSettings
    from auth_server.watchdog import Watchdog

EX_CONFIG = 78
"""sysexits.h: something in the settings, keys, models or store must be mended before a start."""

_EPILOG = """\
exit codes:
  0   stopped as asked, or the check passed
  1   another failure, such as listen.port in use
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
        except (StartRefused, StoreError) as error:
            print(f"4auth-server: {error}", file=sys.stderr)
            return EX_CONFIG
        except AuthServerError as error:
            print(f"4auth-server: {error}", file=sys.stderr)
            return 1


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
    return _serve(settings)


def _serve(settings: "ServerSettings") -> int:
    """Serve until stopped. Returns 78 where a worker refused to start, which it has said, 1 for other failures."""
    from gunicorn.arbiter import Arbiter

    from auth_client.systemd import Notifier
    from auth_server.watchdog import Watchdog

    master = os.getpid()
    watchdog = Watchdog(settings.listen, Notifier.taken())
    try:
        _gunicorn(settings, watchdog).run()
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
        check_log(AuditLog(database), Checkpoints(settings.store.checkpoints, keyring.audit))
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


def _gunicorn(settings: "ServerSettings", watchdog: "Watchdog") -> Any:
    from gunicorn.app.base import BaseApplication
    from gunicorn.errors import AppImportError

    from auth_server import bootstrap, tls
    from auth_server.app import create_app
    from auth_server.health import open_port
    from auth_server.proxy import BehindProxy
    from auth_server.watchdog import Master

    context = tls.server_context(
        settings.listen.tls_certificate,
        settings.listen.tls_key,
        handshake_timeout_s=settings.listen.handshake_timeout_s,
        connections_per_address=settings.listen.connections_per_address,
    )

    class Application(BaseApplication):
        """Builds the services in each worker, after the fork."""

        def load_config(self) -> None:
            config: Any = self.cfg
            config.set("when_ready", watchdog.start)
            for name, value in _options(settings, context).items():
                config.set(name, value)

        def load(self) -> "Flask":
            try:
                services = bootstrap.build(settings)
                open_port(settings.health, services, _told(settings)).start()
            except (StartRefused, StoreError) as error:
                # gunicorn prints this one without a traceback, and its master ends instead of trying again.
                raise AppImportError(f"4auth-server: {error}") from error
            services.housekeeping.start()
            services.notifier.start()
            gc.freeze()  # what was built so far stays: no collection need look at it again
            app = create_app(services)
            if settings.listen.proxy is not None:
                app.wsgi_app = BehindProxy(app.wsgi_app, str(settings.listen.proxy))  # type: ignore[method-assign]
            return app

        def run(self) -> None:
            Master(self, watchdog).run()  # type: ignore[no-untyped-call]

    return Application()  # type: ignore[no-untyped-call]


def _leave(_server: Any, worker: "Worker") -> None:
    """The last act of a worker, after its requests in flight: checkpoint and close."""
    from auth_server.services import Services

    app = getattr(worker, "wsgi", None)
    services = app.extensions.get("fourauth") if app is not None else None
    if isinstance(services, Services):
        services.close()


def _options(settings: "ServerSettings", context: Any) -> dict[str, Any]:
    listen = settings.listen
    host = f"[{listen.host}]" if listen.host.version == 6 else str(listen.host)
    return {
        "bind": [f"{host}:{listen.port}"],
        "workers": listen.workers,
        "threads": listen.threads,
        "worker_class": "auth_server.tls.DeadlineWorker",
        "keyfile": str(listen.tls_key),
        "certfile": str(listen.tls_certificate),
        "ssl_context": lambda _conf, _factory: context,
        "graceful_timeout": listen.graceful_timeout_s,
        "keepalive": 5,
        "limit_request_line": 1024,
        "limit_request_fields": 32,
        "limit_request_field_size": 2048,
        "forwarded_allow_ips": "",
        "proc_name": "4auth-server",
        "errorlog": "-",
        "accesslog": None,
        "logger_class": "auth_server.logs.GunicornLogger",
        "control_socket_disable": True,
        "worker_exit": _leave,
        "child_exit": _forget_worker,
    }


def _forget_worker(_server: Any, worker: "Worker") -> None:
    from prometheus_client.multiprocess import mark_process_dead

    mark_process_dead(worker.pid)


if __name__ == "__main__":
    sys.exit(main())
