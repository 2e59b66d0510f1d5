"""The files of a gateway: its own TLS key and certificate, and settings that name the server and its pin."""

import ipaddress
import json
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from auth_server.on_disk import write_new
from provisioning.tls import make_identity

_TEMPLATE = """\
# 4Auth gateway settings. Unknown keys are refused; `4auth-gateway --check-config` names what is wrong.
# The gateway serves the clients of the wire protocol and decides nothing: docs/gateway.md.

gateway_id = {gateway_id}
# Made on the first start: `4auth-gateway identity` tells its public half.
key_file = {key_file}
log_level = "info"

[listen]
host = {host}
port = {port}
# Clients trust this certificate: give it to them.
tls_certificate = {certificate}
tls_key = {tls_key}
# Authorities of the clients' own certificates; left out, none is asked for.
# client_ca = "/etc/4auth/clients.pem"

[health]
host = "127.0.0.1"
port = {health_port}

[server]
# Where several servers share a database, a list of their addresses, tried in order.
url = {url}
pins = {pins}

# [limits]
# connections = 512
# connections_per_address = 64
# Below the server's listen.connections_per_address.
# requests_in_flight = 4
# requests_per_address_s = 1.0
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayPlan:
    """What a gateway is made with. `folder` is absolute; `host` and `server_port` are the server's."""

    folder: Path
    site: str
    host: str
    server_port: int
    gateway_id: str = "gateway"
    port: int = 65432
    health_port: int = 9465

    @property
    def settings(self) -> Path:
        """The gateway's settings file."""
        return self.folder / "gateway.toml"

    @property
    def tls_key(self) -> Path:
        """The private key of what clients trust."""
        return self.folder / "gateway.key"

    @property
    def certificate(self) -> Path:
        """What clients trust."""
        return self.folder / "gateway.crt"

    def settings_text(self, pin: str) -> str:
        """Return the settings file. JSON's strings and arrays of strings are TOML's too."""
        address = ipaddress.ip_address(self.host)
        loopback = "127.0.0.1" if address.version == 4 else "::1"
        reached = loopback if address.is_unspecified else self.host
        values = {
            "gateway_id": self.gateway_id,
            "key_file": str(self.folder / "device" / "device.pem"),
            "host": self.host,
            "port": self.port,
            "certificate": str(self.certificate),
            "tls_key": str(self.tls_key),
            "health_port": self.health_port,
            "url": f"https://{f'[{reached}]' if address.version == 6 else reached}:{self.server_port}",
            "pins": [pin],
        }
        return _TEMPLATE.format(**{name: json.dumps(value) for name, value in values.items()})


def make_gateway(plan: GatewayPlan, draft: GatewayPlan, pin: str, now: datetime) -> None:
    """Write the files of `plan` where `draft` says, for a server of this pin. Raises OSError."""
    identity = make_identity(plan.site, plan.host, now)
    write_new(draft.tls_key, identity.key_pem, 0o600)
    write_new(draft.certificate, identity.certificate_pem, 0o644)
    write_new(draft.settings, plan.settings_text(pin).encode(), 0o644)
