"""Who comes from outside: a scan of every port, a grade for TLS, each route as a stranger, and an old client."""

import ipaddress
import json
import re
import shutil
import sys
from pathlib import Path

import pytest

from auth_contract.paths import ATTEMPTS, GATEWAY_REFUSALS, HEARTBEAT, JWKS, OPENAPI, SUBMISSION
from tests.deploy.controller import SITE
from tests.deploy.lab import CONTROLLER, KIOSK, OLD_CLIENT, SERVER, STRANGER, Host
from tests.deploy.people import PASSWORD

pytestmark = [pytest.mark.slow, pytest.mark.deploy]

HERE = Path(__file__).resolve().parent
README = HERE.parents[1] / "ansible" / "README.md"
KINDS = {SERVER: "server", KIOSK: "kiosk"}
OLD_MAC = "02:00:5e:77:00:01"


# --- ports


def named() -> list[tuple[str, int, str]]:
    """The table of the documentation: what kind of host, which port, and who lets in whom."""
    rows = re.findall(r"^\| (server|kiosk) \| (\d+) \| [^|]+ \| (.+?) \|$", README.read_text(), re.MULTILINE)
    return [(kind, int(port), who) for kind, port, who in rows]


def may_come(operator, host: Host, source: str) -> set[int]:
    """The ports on which the documentation says that this address is answered, with the inventory's networks."""
    inventory = json.loads(operator.inventory.read_text())["all"]
    group = inventory["children"][f"{KINDS[host]}s"]["hosts"][host.name]
    networks = {22: inventory["vars"]["base_ssh_from"]}
    networks |= {rule["port"]: rule["from"] for rule in group.get("base_allow", [])}
    ports = {port for kind, port, who in named() if kind == KINDS[host] and who.startswith("`base_")}
    assert set(networks) <= ports, "the inventory lets in what the documentation does not name"
    asks = ipaddress.ip_address(source)
    return {port for port in ports if any(asks in ipaddress.ip_network(net) for net in networks.get(port, []))}


def scan(operator, source: str, host: Host) -> dict[str, dict[str, str]]:
    said = operator.lab.inside(sys.executable, str(HERE / "scanner.py"), source, host.address, timeout_s=240)
    return dict(json.loads(said))


@pytest.mark.parametrize("source", [CONTROLLER, OLD_CLIENT, STRANGER])
@pytest.mark.parametrize("host", [SERVER, KIOSK], ids=lambda host: host.name)
def test_a_scan_of_every_port_finds_what_the_documentation_names(deployed, source, host):
    found = scan(deployed, source, host)
    assert found["tcp"] == {str(port): "open" for port in sorted(may_come(deployed, host, source))}
    assert found["udp"] == {}


LISTENER = """
import socket, time
tcp, udp = socket.create_server(("", 47000)), socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
udp.bind(("", 47000))
print("up", flush=True)
while True:
    udp.sendto(b"yes", udp.recvfrom(99)[1])
"""


def test_the_scan_sees_a_listener_once_the_firewall_has_a_hole(deployed):
    """What it would report, if there were something."""
    lab = deployed.lab
    lab.ssh(KIOSK, "cat > /run/listener.py", text=LISTENER)
    lab.ssh(KIOSK, "systemd-run --unit=lab-listener --quiet python3 /run/listener.py")
    try:
        assert scan(deployed, STRANGER, KIOSK) == {"tcp": {}, "udp": {}}, (
            "it listens, and the firewall stands before it"
        )
        lab.ssh(KIOSK, f"nft insert rule inet filter input ip saddr {STRANGER} meta l4proto {{ tcp, udp }} accept")
        found = scan(deployed, STRANGER, KIOSK)
        assert {port for port, how in found["tcp"].items() if how == "open"} == {"22", "47000"}
        assert {port for port, how in found["udp"].items() if how == "open"} == {"47000"}
    finally:
        lab.ssh(KIOSK, "systemctl stop lab-listener; systemctl reload nftables; systemctl restart 4auth-kiosk")


def test_what_listens_is_what_the_documentation_names(deployed):
    for host, kind in KINDS.items():
        listening = deployed.lab.ssh(host, "ss -Hltn | awk '{print $4}'").split()
        here = {int(one.rpartition(":")[2]) for one in listening if one.startswith("127.0.0.1:")}
        outside = {int(one.rpartition(":")[2]) for one in listening} - here
        rows = [(port, who) for name, port, who in named() if name == kind]
        assert outside == {port for port, who in rows if who.startswith("`base_")}
        # The page's port is a screen's, which no host of the lab has.
        assert here == {port for port, who in rows if who == "this machine" and port != 8400}
        assert deployed.lab.ssh(host, "ss -Hlun") == ""


# --- TLS

INHERENT = {"cert_chain_of_trust", "cert_validityPeriod", "cert_revocation"}
"""Findings that roles/auth_server/README.md names, with the reason."""
SCANNERS_OWN = {"engine_problem", "service", "sessionresumption_ticket"}
"""What it says of itself: no GOST here, no HTTP there, no ticket to come back with."""


@pytest.mark.parametrize(
    ("port", "source", "spoken"),
    [(8443, CONTROLLER, {"TLS1_3"}), (65432, OLD_CLIENT, {"TLS1_2", "TLS1_3"})],
    ids=["nginx", "gateway"],
)
def test_a_scanner_finds_nothing_in_tls(deployed, tmp_path, port, source, spoken):
    if shutil.which("testssl") is None:
        pytest.skip("no testssl here: scripts/apt-install.sh deploy")
    report, lab = tmp_path / "report.json", deployed.lab
    sections = ("--protocols", "--server-defaults", "--server-preference", "--pfs", "--vulnerable")
    how = ("--quiet", "--color", "0", "--warnings", "off", "--nodns", "min", "--ip", SERVER.address)
    # It has no word for the address to ask from.
    lab.inside("ip", "route", "replace", f"{SERVER.address}/32", "dev", "br4a", "src", source)
    try:
        words = ("testssl", *how, *sections, "--jsonfile", str(report), f"{SITE}:{port}")
        # Its exit code counts findings; the shell forgets it.
        lab.inside("sh", "-c", '"$@" >/dev/null 2>&1 || true', "sh", *words, timeout_s=500)
    finally:
        lab.inside("ip", "route", "del", f"{SERVER.address}/32")
    found = {one["id"]: one for one in json.loads(report.read_text())}
    bad = {name: one for name, one in found.items() if one["severity"] not in ("OK", "INFO")}
    assert set(bad) - SCANNERS_OWN == INHERENT, bad
    offered = {name for name, one in found.items() if re.fullmatch(r"SSLv\d|TLS1(_\d)?", name) and says_yes(one)}
    assert offered == spoken
    assert "heartbleed" in found and "ROBOT" in found, "it was cut short"
    readme = (README.parent / "roles" / "auth_server" / "README.md").read_text()
    assert all(f"`{name}`" in readme for name in INHERENT)


def says_yes(finding: dict[str, str]) -> bool:
    return not finding["finding"].startswith("not offered")


# --- HTTP

ASK = """
import json, socket, ssl, sys
context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
told = {}
for method, path in json.loads(sys.argv[2]):
    with context.wrap_socket(socket.create_connection((sys.argv[1], 8443), 5)) as connection:
        connection.sendall(f"{method} {path} HTTP/1.1\\r\\nHost: x\\r\\nContent-Length: 4000000\\r\\n\\r\\n".encode())
        connection.settimeout(3.5)  # before nginx would have had enough of waiting for a body
        try:
            told[f"{method} {path}"] = connection.recv(4096).split(b"\\r\\n")[0].decode()
        except TimeoutError:
            told[f"{method} {path}"] = "waits for a body"
print(json.dumps(told))
"""
POSTED = [ATTEMPTS, HEARTBEAT, GATEWAY_REFUSALS, *SUBMISSION.values()]
PUBLIC = [JWKS, OPENAPI]
"""The documents that roles/auth_server/README.md names."""


def answers() -> dict[str, str]:
    """What a stranger is told for each method of each path, though a body of 4 MB is declared and none sent."""
    wanted = {f"POST {path}": "401" for path in POSTED}
    wanted |= {f"{method} {path}": "405" for path in POSTED for method in ("GET", "PUT", "DELETE")}
    wanted |= {f"GET {path}": "200" for path in PUBLIC} | {f"POST {path}": "405" for path in PUBLIC}
    unknown = {path: "404" for path in ("/", "/v1", "/v1/login/", "/v1/admin", "/metrics", "/readyz")}
    unknown |= {path: "400" for path in ("/..%2f..%2fetc/passwd", "/%00")}  # nginx's own
    return wanted | {f"{method} {path}": code for path, code in unknown.items() for method in ("GET", "POST")}


def test_a_stranger_is_answered_on_no_route_from_more_than_the_head(deployed):
    wanted = answers()
    asked = json.dumps([key.split(" ", 1) for key in wanted])
    told = json.loads(deployed.lab.inside(sys.executable, "-c", ASK, SERVER.address, asked, timeout_s=240))
    assert {key: said.split(" ")[1] if said else "closed" for key, said in told.items()} == wanted


# --- the wire protocol

OLD = """
import functools, json, socket, sys
from pathlib import Path
from auth_contract.wire_client import WireClient, log_in, trusting
given = json.loads(Path(sys.argv[1]).read_text())
socket.create_connection = functools.partial(socket.create_connection, source_address=(given.pop("source"), 0))
picture = Path(given.pop("picture")).read_bytes()
with WireClient(given.pop("host"), context=trusting(given.pop("certificate"))) as client:
    print(json.dumps(log_in(client, picture=picture, **given)))
"""


def test_an_old_client_is_let_in_through_the_gateway(deployed, ada, pictures, tmp_path, project_folder):
    lab = deployed.lab
    deployed.provision("user", "bind", "ada", "--mac", OLD_MAC)
    (tmp_path / "gateway.crt").write_text(lab.ssh(SERVER, "cat /etc/4auth/gateway/gateway.crt"))
    asked = {
        "source": OLD_CLIENT,
        "host": SERVER.address,
        "certificate": str(tmp_path / "gateway.crt"),
        "picture": str(sorted((pictures.ada / "rest").iterdir())[0]),
        "username": "ada",
        "password": PASSWORD,
        "totp": ada.phone.code(),
        "mac": OLD_MAC,
    }
    (tmp_path / "asked.json").write_text(json.dumps(asked))
    words = (sys.executable, "-c", OLD, str(tmp_path / "asked.json"))
    granted = lab.inside(*words, env={"PYTHONPATH": str(project_folder)})
    assert json.loads(granted) is True
    row = deployed.provision("audit", "list", "--limit", "1")["rows"][0]
    assert (row["action"], row["reason"], row["kiosk_id"]) == ("login", "granted", "gateway")
    assert row["detail"]["gateway"] == {"peer": OLD_CLIENT}
    assert row["detail"]["verdicts"]["device"]["claimed_mac"] == OLD_MAC


def test_the_gateway_is_up_in_its_sandbox(deployed):
    wanted = {"ActiveState": "active", "DynamicUser": "yes", "NoNewPrivileges": "yes", "ProtectSystem": "strict"}
    shown = deployed.lab.ssh(SERVER, f"systemctl show 4auth-gateway -p {','.join(wanted)}")
    assert dict(line.split("=") for line in shown.split()) == wanted
    uid = deployed.lab.ssh(SERVER, "ps -o uid= -p $(systemctl show 4auth-gateway -p MainPID --value)")
    assert int(uid) >= 61184, "a user for as long as it runs"
