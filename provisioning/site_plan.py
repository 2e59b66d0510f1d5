"""Where a new site's files lie, and the settings file that says so."""

import json
from dataclasses import dataclass
from pathlib import Path

from auth_server.store.location import Location, Postgresql
from provisioning.gateway_files import GatewayPlan

_TEMPLATE = """\
# 4Auth server settings. Unknown keys are refused; `4auth-server --check-config` names what is wrong.
# Secrets stand in files of their own: this file holds none.

# The site's name is the audience of the assertions that it issues.
site = {site}
# "development" allows what no real door may have, such as face.presence = "off".
environment = {environment}
log_level = "info"

[listen]
# Kiosks connect here over TLS 1.3 and pin the key of this certificate: `4auth-provision site pin`.
host = {host}
port = {port}
tls_certificate = {certificate}
tls_key = {tls_key}
workers = 2
threads = 8
# In each worker; raise it where a proxy stands before all kiosks.
# connections_per_address = 6
# The proxy's address, where one stands before all kiosks: it tells who they are. Nobody else is believed.
# proxy = "127.0.0.1"

[health]
# Liveness, readiness and Prometheus metrics, on this machine only.
host = "127.0.0.1"
port = {health_port}

[store]
# Keys and database open nothing without each other: keep them on different media in backups.
database = {database}
keys = {keys}
# Signed heads of the audit log. Copy them elsewhere: they prove that the log was not cut.
checkpoints = {checkpoints}

[face]
# Fetch them with `4auth-provision models fetch`.
models = {models}
# Real-face check: "both" asks for movements that are drawn for each attempt and looks for signs of a print or a
# screen; "active" and "passive" do one of the two. Each layer stops what the other lets pass.
presence = {presence}
# Face checks in a worker at once, fewer than listen.threads; more are told to come back.
# queue_max = 6

# Whom to tell of changes of people's factors: "none", "command" or "webhook".
# [notify]
# kind = "command"
# argv = ["/usr/local/bin/tell-somebody"]

# [administration]
# Whether every command of `4auth-provision` asks for --as NAME and that administrator's secret.
# require_name = false

[time]
# The operating system keeps the clock; these cross-check it. Two or more, or none.
sources = {sources}

# What follows is left out by default. The table of actions in the README is the least that is asked for.
# [actions.recover_password]
# second_person = true    # a supervisor approves at another kiosk
# cooling_off_s = 3600    # and until then it can be cancelled

# [gateway]
# enabled = true            # lets `4auth-gateway` in, whose clients no signature proves: docs/gateway.md
# users = "listed"          # names of `4auth-provision gateway allow`, or "all"
# passive_alone = true      # the look of one picture stands for a live person; else clients are told to use a kiosk
# recoveries = true         # factors may be changed through it too, which then hold at kiosks

# [notify]
# kind = "command"        # or "webhook"; is told of every change of a person's factors
# argv = ["/usr/local/bin/tell"]

# [audit]
# keep_details_days = 365
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class SitePlan:
    """What `site init` was asked for. `folder` is absolute."""

    folder: Path
    name: str
    host: str
    port: int
    health_port: int
    models: Path
    environment: str = "production"
    presence: str = "both"
    time_sources: tuple[str, ...] = ()
    admin: str = "admin"
    gateway_port: int = 65432
    gateway_health_port: int = 9465
    postgresql: Postgresql | None = None

    @property
    def location(self) -> Location:
        """Where the store is."""
        return self.postgresql or self.database

    @property
    def gateway(self) -> GatewayPlan:
        """The gateway's files, in a folder of their own. It is let in by nobody yet."""
        return GatewayPlan(
            folder=self.folder / "gateway",
            site=self.name,
            host=self.host,
            server_port=self.port,
            port=self.gateway_port,
            health_port=self.gateway_health_port,
        )

    @property
    def keys(self) -> Path:
        """The folder of key files."""
        return self.folder / "keys"

    @property
    def database(self) -> Path:
        """The SQLCipher file, in a folder of its own because it brings a write-ahead log along."""
        return self.folder / "store" / "4auth.db"

    @property
    def checkpoints(self) -> Path:
        """The signed heads of the audit log."""
        return self.folder / "checkpoints" / "audit.jsonl"

    @property
    def tls_key(self) -> Path:
        """The private key that kiosks pin."""
        return self.folder / "tls" / "server.key"

    @property
    def certificate(self) -> Path:
        """The certificate that carries the key."""
        return self.folder / "tls" / "server.crt"

    @property
    def settings(self) -> Path:
        """The server's settings file."""
        return self.folder / "server.toml"

    def settings_text(self) -> str:
        """Return the settings file. JSON's strings and arrays of strings are TOML's too."""
        values: dict[str, object] = {
            "site": self.name,
            "environment": self.environment,
            "host": self.host,
            "port": self.port,
            "health_port": self.health_port,
            "certificate": str(self.certificate),
            "tls_key": str(self.tls_key),
            "keys": str(self.keys),
            "checkpoints": str(self.checkpoints),
            "models": str(self.models),
            "presence": self.presence,
            "sources": list(self.time_sources),
        }
        spelt = {name: json.dumps(value) for name, value in values.items()}
        return _TEMPLATE.format(**spelt, database=location_text(self.location))


def location_text(location: Location) -> str:
    """Return what `store.database` is in a settings file: a path, or an inline table."""
    if isinstance(location, Path):
        return json.dumps(str(location))
    told = location.model_dump(mode="json", exclude_defaults=True)
    return "{" + ", ".join(f"{name} = {json.dumps(value)}" for name, value in told.items()) + "}"
