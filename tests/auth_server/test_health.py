"""The local port: alive, ready, metrics; and what makes a worker unready."""

import http.client
import json
import os
import socket
from contextlib import closing
from threading import Event
from types import SimpleNamespace

import pytest

from auth_server.audit import AuditLog
from auth_server.errors import StartRefused
from auth_server.health import FREE_MIN_BYTES, Prompt, disk_fault, open_port, readiness
from auth_server.kiosks import Kiosks
from auth_server.local_port import _Handler, refuse_taken_port
from auth_server.settings import FaceSettings, HealthSettings
from auth_server.timesource import TimeStatus
from tests.postgres import IN_A_FILE


@pytest.fixture
def services(database, now):
    """What readiness looks at: a real store, and a clock whose status a test sets."""
    status = TimeStatus("unverified", "no sources are set")
    return SimpleNamespace(
        database=database,
        audit=AuditLog(database),
        time=SimpleNamespace(status=lambda: status, now=lambda: now),
        kiosks=Kiosks(database),
        housekeeping=SimpleNamespace(faults={}),
        notifier=SimpleNamespace(warnings={}),
    )


@pytest.fixture
def health_port(services, tmp_path, monkeypatch):
    """Where a health server runs."""
    folder = tmp_path / "metrics"
    folder.mkdir()
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(folder))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = open_port(HealthSettings(port=port), services)
    server.start()
    yield port
    server.shutdown()
    server.server_close()


@pytest.fixture
def get(health_port):
    """Asks the health server; returns status, content type and text."""

    def ask(path, method="GET"):
        with closing(http.client.HTTPConnection("127.0.0.1", health_port, timeout=10)) as connection:
            connection.request(method, path)
            reply = connection.getresponse()
            return reply.status, reply.headers["Content-Type"], reply.read().decode()

    return ask


def off_by_an_hour():
    return TimeStatus("wrong", "2 of 2 sources agree", 3600.0)


def test_a_worker_with_its_store_and_a_clock_that_nobody_doubts_is_ready(services):
    assert readiness(services) == {}


@pytest.mark.parametrize("state", ["verified", "unverified"])
def test_a_clock_that_nobody_could_check_does_not_stop_the_service(services, state):
    services.time.status = lambda: TimeStatus(state, "as said")
    assert readiness(services) == {}


def test_a_wrong_clock_is_a_reason_not_to_be_ready(services):
    services.time.status = off_by_an_hour
    assert readiness(services) == {"clock": "off by 3600.0 s"}


def test_a_log_that_was_rolled_back_is_a_reason(services):
    services.housekeeping.faults["audit"] = "row 7 of the audit log is not the one signed"
    assert readiness(services) == {"audit": "row 7 of the audit log is not the one signed"}


@IN_A_FILE
def test_a_store_that_was_removed_is_a_reason_although_it_is_still_open(services, database):
    services.audit.head()
    database.path.unlink()
    assert "gone" in readiness(services)["store"]


@IN_A_FILE
def test_a_store_that_fails_is_a_reason(services, database):
    database.close()
    database.path.write_bytes(b"no database any more" * 500)
    assert "store" in readiness(services)


@pytest.mark.parametrize(
    ("free", "flags", "fault"),
    [
        (FREE_MIN_BYTES, 0, None),
        (FREE_MIN_BYTES - 4096, 0, "has 8188 KiB free: remove what fills it"),
        (0, 0, "has 0 KiB free"),
        (10 * FREE_MIN_BYTES, os.ST_RDONLY, "is read-only"),
    ],
)
def test_a_disk_to_which_nothing_can_be_written_is_a_reason(free, flags, fault, tmp_path):
    def look(folder):
        return SimpleNamespace(f_flag=flags, f_bavail=free // 4096, f_frsize=4096)

    told = disk_fault(tmp_path, look)
    assert told is None if fault is None else f"{tmp_path} {fault}" in told


@IN_A_FILE
def test_a_full_disk_is_told_beside_what_else_is_wrong(services, monkeypatch):
    full = SimpleNamespace(f_flag=0, f_bavail=0, f_frsize=4096)
    monkeypatch.setattr("auth_server.health.disk_fault", lambda folder: disk_fault(folder, lambda _: full))
    services.time.status = off_by_an_hour
    assert readiness(services).keys() == {"disk", "clock"}


def test_a_folder_that_cannot_be_looked_at_is_a_reason(tmp_path):
    assert "No such file" in disk_fault(tmp_path / "gone")


def test_an_unforeseen_fault_is_a_reason_without_its_text(services):
    def broken():
        raise RuntimeError("password=Correct horse 7")

    services.audit = SimpleNamespace(head=broken)
    assert readiness(services) == {"store": "RuntimeError"}


def test_the_port_tells_alive_ready_and_metrics(get):
    assert get("/livez") == (200, "application/json", '{"alive":true}')
    status, mimetype, text = get("/readyz")
    assert (status, mimetype) == (200, "application/json")
    assert json.loads(text) == {"ready": True, "faults": {}, "warnings": {}}
    status, mimetype, _ = get("/metrics")
    assert status == 200
    assert mimetype.startswith("text/plain")


def test_an_unready_worker_is_alive_and_says_why(get, services):
    services.time.status = off_by_an_hour
    status, _, text = get("/readyz")
    assert (status, json.loads(text)["faults"]) == (503, {"clock": "off by 3600.0 s"})
    assert get("/livez")[0] == 200


def test_a_warning_is_told_and_keeps_nobody_from_serving(get, services):
    services.notifier.warnings["notifications"] = "1 of 1 were tried in vain for three days"
    status, _, text = get("/readyz")
    assert status == 200
    assert json.loads(text)["warnings"] == {"notifications": "1 of 1 were tried in vain for three days"}


def test_a_layer_of_presence_that_is_off_is_told_beside_other_warnings(health_port, services):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    services.notifier.warnings["notifications"] = "1 of 1"
    cost = FaceSettings(models="models", presence="active").cost
    server = open_port(HealthSettings(port=port), services, {"presence": cost})
    server.start()
    try:
        with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=10)) as connection:
            connection.request("GET", "/readyz")
            reply = connection.getresponse()
            assert reply.status == 200
            assert json.loads(reply.read())["warnings"] == {"presence": cost, "notifications": "1 of 1"}
    finally:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize(
    ("method", "path", "status"), [("GET", "/", 404), ("GET", "/v1/login", 404), ("POST", "/livez", 501)]
)
def test_nothing_else_is_on_the_port(get, method, path, status):
    assert get(path, method)[0] == status


def test_a_connection_that_says_nothing_is_dropped(health_port, monkeypatch):
    """Each holds a thread: 2,000 of them could be opened and left."""
    assert _Handler.timeout == 5
    monkeypatch.setattr(_Handler, "timeout", 0.05)  # the same, sooner
    with socket.create_connection(("127.0.0.1", health_port), timeout=10) as idle:
        assert idle.recv(1) == b""


def test_two_workers_share_the_port(services):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        settings = HealthSettings(port=probe.getsockname()[1])
    with open_port(settings, services), open_port(settings, services):
        pass


def test_another_programs_port_is_named(services):
    with closing(socket.create_server(("127.0.0.1", 0))) as holder:
        settings = HealthSettings(port=holder.getsockname()[1])
        with pytest.raises(StartRefused, match=rf"health\.port = {settings.port}: Address already in use"):
            open_port(settings, services)
        with pytest.raises(StartRefused, match=rf"health\.port = {settings.port}: Address already in use"):
            refuse_taken_port(settings)


def test_a_free_port_is_free_after_it_was_tried(services):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        settings = HealthSettings(port=probe.getsockname()[1])
    refuse_taken_port(settings)
    with open_port(settings, services):
        refuse_taken_port(settings)


class TestAStoreThatHangs:
    @pytest.fixture
    def hangs(self):
        """Asks that answer once `set` is called; `count` says how often it was asked."""
        answered, asked = Event(), []

        def ask():
            asked.append(1)
            answered.wait(20)
            return {}

        yield SimpleNamespace(ask=ask, set=answered.set, asked=asked)
        answered.set()

    def test_it_is_told_as_a_fault_in_time_and_nobody_else_is_sent_after_it(self, hangs):
        prompt = Prompt(hangs.ask, within_s=0.05)
        assert [prompt(), prompt()] == [{"store": "no answer for 0.05 s"}] * 2
        assert len(hangs.asked) == 1

    def test_once_it_answers_again_it_is_asked_again(self, hangs):
        prompt = Prompt(hangs.ask, within_s=5)
        hangs.set()
        assert [prompt(), prompt()] == [{}, {}]
        assert len(hangs.asked) == 2
