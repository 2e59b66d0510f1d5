"""gunicorn, set up for this server: its master, and the services in each worker."""

import gc
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from gunicorn.app.base import BaseApplication
from gunicorn.arbiter import Arbiter
from gunicorn.errors import AppImportError

from auth_server import bootstrap, tls
from auth_server.app import create_app
from auth_server.errors import StartRefused, StoreAway, StoreError
from auth_server.health import open_port
from auth_server.proxy import BehindProxy
from auth_server.services import Services
from auth_server.settings import ListenSettings, ServerSettings

if TYPE_CHECKING:
    from flask import Flask
    from gunicorn.workers.base import Worker


class Watch(Protocol):
    """Looks at a server from its master."""

    def start(self, server: Any) -> None:
        """Look from now on: `server` begins to listen."""
        ...

    def stop(self) -> None:
        """Look no more: it is ending on purpose."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How a server is to serve: where it listens, as gunicorn spells it, and with how many workers.

    One that `is_trial` delivers no notification: what is tried may be taken back, and a message could not be.
    """

    bind: str
    workers: int
    is_trial: bool = False


def plan_of(listen: ListenSettings, descriptor: int | None) -> Plan:
    """The plan of a server that serves: at a socket that was kept for it, or at one that it opens."""
    host = f"[{listen.host}]" if listen.host.version == 6 else str(listen.host)
    bind = f"{host}:{listen.port}" if descriptor is None else f"fd://{descriptor}"
    return Plan(bind=bind, workers=listen.workers)


class Master(Arbiter):
    """gunicorn's master, which says that it stops before it waits for requests in flight."""

    def __init__(self, app: Any, watch: Watch) -> None:
        self._watch = watch
        super().__init__(app)  # type: ignore[no-untyped-call]

    def stop(self, graceful: bool = True) -> None:
        """Stop the workers."""
        self._watch.stop()
        super().stop(graceful)  # type: ignore[no-untyped-call]


class Application(BaseApplication):
    """Builds the services in each worker, after the fork."""

    def __init__(self, settings: ServerSettings, plan: Plan, watch: Watch, warnings: dict[str, str]) -> None:
        self._settings, self._plan, self._watch, self._warnings = settings, plan, watch, warnings
        super().__init__()  # type: ignore[no-untyped-call]

    def load_config(self) -> None:
        """Set gunicorn's options; it reads none from files or the command line."""
        config: Any = self.cfg
        listen = self._settings.listen
        context = tls.server_context(
            listen.tls_certificate,
            listen.tls_key,
            handshake_timeout_s=listen.handshake_timeout_s,
            connections_per_address=listen.connections_per_address,
        )
        config.set("when_ready", self._watch.start)
        for name, value in options(self._settings, self._plan, context).items():
            config.set(name, value)

    def load(self) -> "Flask":
        """Build one worker's services. Raises AppImportError with a sentence where it must not start."""
        try:
            services = bootstrap.build(self._settings)
            open_port(self._settings.health, services, self._warnings).start()
        except StoreAway as error:
            # The master ends too, and is started anew: it waits for nobody who could mend it here.
            print(f"4auth-server: {error}", file=sys.stderr, flush=True)
            raise SystemExit(Arbiter.WORKER_BOOT_ERROR) from error
        except (StartRefused, StoreError) as error:
            # gunicorn prints this one without a traceback, and its master ends instead of trying again.
            raise AppImportError(f"4auth-server: {error}") from error
        services.housekeeping.start()
        if not self._plan.is_trial:
            services.notifier.start()
        gc.freeze()  # what was built so far stays: no collection need look at it again
        app = create_app(services)
        if self._settings.listen.proxy is not None:
            app.wsgi_app = BehindProxy(app.wsgi_app, str(self._settings.listen.proxy))  # type: ignore[method-assign]
        return app

    def run(self) -> None:
        """Serve until stopped; ends by SystemExit, as gunicorn does."""
        Master(self, self._watch).run()  # type: ignore[no-untyped-call]


def options(settings: ServerSettings, plan: Plan, context: Any) -> dict[str, Any]:
    """What gunicorn is told."""
    listen = settings.listen
    return {
        "bind": [plan.bind],
        "workers": plan.workers,
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


def _leave(_server: Any, worker: "Worker") -> None:
    """The last act of a worker, after its requests in flight: checkpoint and close."""
    app = getattr(worker, "wsgi", None)
    services = app.extensions.get("fourauth") if app is not None else None
    if isinstance(services, Services):
        services.close()


def _forget_worker(_server: Any, worker: "Worker") -> None:
    from prometheus_client.multiprocess import mark_process_dead

    mark_process_dead(worker.pid)
