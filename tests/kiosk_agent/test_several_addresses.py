"""The client with several servers: which of them gets an exchange, whatever is wrong with the others."""

import time
from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import permutations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from auth_client.addresses import Addresses
from auth_client.client import AuthClient, Surroundings
from auth_client.errors import (
    AuthClientError,
    Refused,
    ReplyLost,
    ServerNotTrusted,
    ServerUnavailable,
    ServerUnreachable,
)
from auth_client.settings import ServerSettings
from auth_contract.actions import Action
from auth_contract.messages import GatewayRefusal, HeartbeatRequest, LoginRequest
from tests.kiosk_agent.conftest import KIOSK, MAC, NONCE, NOW, Assertions, Clock, Reply
from tests.kiosk_agent.places import PLACES, SENT, SLOW, UNSENT, NoHandshake, Place, answer_always, good

BEAT = HeartbeatRequest(agent_version="1", mac=MAC)
REFUSAL = GatewayRefusal(peer="192.0.2.7", username="alice", field="mac", rule="is none")

REPEATABLE: dict[str, Callable[[AuthClient], object]] = {
    "open_attempt": lambda client: client.open_attempt(Action.LOGIN),
    "heartbeat": lambda client: client.heartbeat(BEAT),
    "note_refusal": lambda client: client.note_refusal(REFUSAL),
    "jwks": lambda client: client.jwks(),
}


class Site:
    """Servers with one TLS key, and a device that knows their addresses."""

    def __init__(self, folder: Any, kiosk_key: Any, assertions: Any, around: Surroundings, login: LoginRequest) -> None:
        self._made = folder, kiosk_key, assertions
        self._key, self._around, self.login = kiosk_key, around, login
        with closing(good(*self._made)) as server:
            self.pin = server.pin
        self.places: list[Place] = []
        self.clients: list[AuthClient] = []

    def put(self, *kinds: str | Place) -> list[Place]:
        """The addresses, in order."""
        self.places = [PLACES[kind](*self._made) if isinstance(kind, str) else kind for kind in kinds]
        return self.places

    def settings(self, **changes: Any) -> ServerSettings:
        urls = [place.url for place in self.places]
        # Seconds enough for an answer, and few for a silence.
        patience = {"connect_timeout_s": 1.0, "read_timeout_s": 1.0}
        return ServerSettings(**{"url": urls, "pins": (self.pin,), **patience, **changes})

    def client(self, addresses: Addresses | None = None, **changes: Any) -> AuthClient:
        made = AuthClient(self.settings(**changes), KIOSK, self._key, self._around, addresses)
        self.clients.append(made)
        return made

    def submit(self, client: AuthClient) -> object:
        return client.submit(Action.LOGIN, self.login, NONCE)

    def read(self) -> list[int]:
        """How many requests each server has read since this was asked last."""
        counts = [len(place.requests) for place in self.places]
        for place in self.places:
            place.requests.clear()
        return counts

    def close(self) -> None:
        for each in (*self.clients, *self.places):
            each.close()


@pytest.fixture
def login(picture) -> LoginRequest:
    return LoginRequest(
        attempt_id="A" * 22,
        username="alice",
        password="Secret-Pass",
        totp="424242",
        frames=(picture,),
        mac=MAC,
        client_ts_utc=NOW,
    )


@pytest.fixture
def site(tmp_path, kiosk_key, assertions, around, login) -> Iterator[Site]:
    made = Site(tmp_path, kiosk_key, assertions, around, login)
    yield made
    made.close()


# --- where an exchange goes


@pytest.mark.parametrize("kind", [*UNSENT, *SENT])
@pytest.mark.parametrize("exchange", REPEATABLE)
def test_what_may_be_repeated_goes_to_the_next_server_at_once(exchange, kind, site, clock) -> None:
    site.put(kind, "good")
    client = site.client()
    assert REPEATABLE[exchange](client)
    assert site.read() == [int(kind in SENT), 1]
    assert clock.slept == []
    REPEATABLE[exchange](client)
    assert site.read() == [0, 1], "and the one that failed is spared from then on"


@pytest.mark.parametrize("kind", UNSENT)
def test_a_submission_of_which_nothing_was_sent_goes_to_the_next_server(kind, site, clock) -> None:
    site.put(kind, "good")
    assert site.submit(site.client(read_timeout_s=5))
    assert site.read() == [0, 1]
    assert clock.slept == []


@pytest.mark.parametrize(
    ("kind", "error", "told"),
    [
        ("not ready", Refused, "503 unavailable"),
        ("broken", Refused, "500 unavailable"),
        ("a page of nginx", ServerUnavailable, "status 502 is no ErrorReply"),
        ("hangs up", ReplyLost, "not sent again"),
        ("silent", ReplyLost, "not sent again"),
    ],
)
def test_a_submission_that_may_have_been_read_goes_to_no_other_server(kind, error, told, site, clock) -> None:
    site.put(kind, "good")
    client = site.client()
    with pytest.raises(error, match=told) as caught:
        site.submit(client)
    assert type(caught.value) is error
    assert site.read() == [1, 0]
    client.open_attempt(Action.LOGIN)
    assert site.read() == [0, 1], "and whoever starts again does so at the other"


@pytest.mark.parametrize("exchange", ["open_attempt", "heartbeat", "note_refusal", "submit"])
@pytest.mark.parametrize("reason", ["denied", "kiosk_refused", "start_again", "locked"])
def test_a_refusal_is_an_answer_and_no_other_server_is_asked(reason, exchange, site) -> None:
    first, _ = site.put("good", "good")
    answer_always(first, first.refusal(reason))
    client = site.client()
    with pytest.raises(Refused, match=reason):
        site.submit(client) if exchange == "submit" else REPEATABLE[exchange](client)
    assert site.read() == [1, 0]


def test_a_server_that_refuses_is_the_one_in_use(site) -> None:
    nobody, second = site.put("nobody", "good")
    second.answer("/v1/heartbeat", second.refusal("kiosk_refused", 401))
    with capture_logs() as lines, pytest.raises(Refused):
        site.client().heartbeat(BEAT)
    (changed,) = (line for line in lines if line["event"] == "server_changed")
    assert (changed["address"], changed["before"]) == (second.url, nobody.url)


@pytest.mark.parametrize("exchange", REPEATABLE)
def test_all_are_tried_before_anybody_waits(exchange, site, clock) -> None:
    site.put("hangs up", "hangs up", "hangs up")
    with pytest.raises(ServerUnavailable):
        REPEATABLE[exchange](site.client())
    assert site.read() == [3, 3, 3]
    assert clock.slept == [0.3, 0.6]


@pytest.mark.parametrize("kind", ["not ready", "a page of nginx", "silent", "another key"])
def test_what_no_moment_mends_is_not_tried_again(kind, site, clock) -> None:
    site.put("hangs up", kind)
    with pytest.raises((ServerUnavailable, Refused)):
        site.client().open_attempt(Action.LOGIN)
    assert site.read() == [1, int(kind in SENT)]
    assert clock.slept == []


# --- what is told when nobody answers


@pytest.mark.parametrize("kinds", [*permutations(["another key", "nobody"]), ("another key",) * 2])
@pytest.mark.parametrize("exchange", [*REPEATABLE, "submit"])
def test_another_key_is_told_where_no_server_has_the_right_one(exchange, kinds, site) -> None:
    site.put(*kinds)
    client = site.client()
    with pytest.raises(ServerNotTrusted, match=f"pinned is {site.pin}"):
        site.submit(client) if exchange == "submit" else REPEATABLE[exchange](client)
    assert site.read() == [0, 0]


@pytest.mark.parametrize("kinds", [*permutations(["another key", "not ready", "nobody"])])
@pytest.mark.parametrize("exchange", ["open_attempt", "heartbeat", "note_refusal"])
def test_the_words_of_a_server_are_told_before_another_key_and_that_before_silence(exchange, kinds, site) -> None:
    site.put(*kinds)
    with pytest.raises(Refused, match="Because unavailable"):
        REPEATABLE[exchange](site.client())


def test_each_address_is_told_with_what_is_wrong_there(site) -> None:
    nobody, page = site.put("nobody", "a page of nginx")
    with pytest.raises(ServerUnavailable) as caught:
        site.client().open_attempt(Action.LOGIN)
    told = str(caught.value)
    assert told.startswith(f"{nobody.url}: NewConnectionError") and f"; {page.url}: /v1/attempts: " in told


def test_a_submission_that_no_server_was_sent_says_so(site) -> None:
    first, second = site.put("nobody", "no handshake")
    with pytest.raises(ServerUnreachable, match="nothing was sent") as caught:
        site.submit(site.client())
    assert first.url in str(caught.value) and f"{second.url}: NewConnectionError" in str(caught.value)


def test_another_key_is_logged_once_where_a_server_has_the_right_one(site, clock) -> None:
    stranger, _ = site.put("another key", "good")
    client = site.client(away_s=60)
    with capture_logs() as lines:
        for _ in range(3):
            client.heartbeat(BEAT)
            clock.moved_s += 60
    failed = [line for line in lines if line["event"] == "server_failed"]
    assert [(line["log_level"], line["address"]) for line in failed] == [("warning", stranger.url)]
    assert "if not, someone stands in between" in failed[0]["error"]
    assert [line["event"] for line in lines] == ["server_failed", "server_changed"]
    assert site.read() == [0, 3]
    assert client.faults == (f"another key than a pinned one is shown at {stranger.url}",)


# --- for how long


def test_an_address_that_failed_is_tried_again_after_its_time(site, clock) -> None:
    first, _ = site.put("good", "good")
    client = site.client(away_s=60)
    first.answers["/v1/heartbeat"].appendleft("drop")
    client.heartbeat(BEAT)
    assert site.read() == [1, 1]
    for moved_s, read in [(59, [0, 1]), (1, [1, 0]), (0, [1, 0])]:
        clock.moved_s += moved_s
        client.heartbeat(BEAT)
        assert site.read() == read


def test_a_submission_goes_to_the_server_that_opened_its_attempt(site, clock) -> None:
    first, _ = site.put("good", "good")
    first.answers["/v1/attempts"].appendleft("drop")
    client = site.client(away_s=60)
    client.open_attempt(Action.LOGIN)
    clock.moved_s += 60
    assert site.submit(client)
    assert site.read() == [1, 2]
    client.open_attempt(Action.LOGIN)
    assert site.read() == [1, 0]


def test_what_one_client_finds_out_the_others_know(site, clock) -> None:
    """A kiosk's heartbeat finds its server dead while somebody stands there: the login goes to the other."""
    first, _ = site.put("good", "good")
    addresses = Addresses(site.settings(), clock.monotonic)
    client, beats = site.client(addresses), site.client(addresses)
    client.open_attempt(Action.LOGIN)
    first.answer("/v1/heartbeat", "drop")
    beats.heartbeat(BEAT)
    assert site.read() == [2, 1]
    assert site.submit(client)
    assert site.read() == [0, 1]


def test_several_servers_take_no_longer_to_decide_than_one(site, clock) -> None:
    """Three seconds were lost at the first, so the second has seventeen and not twenty."""

    def lose_three_seconds() -> None:
        clock.moved_s += 3

    _, second = site.put(NoHandshake(on_call=lose_three_seconds), "good")

    def decided(after_s: float) -> Callable[[object], Reply]:
        def reply(_request: object) -> Reply:
            clock.moved_s += after_s
            return second.grant()

        return reply

    for after_s, is_granted in [(19.9, True), (20.1, False)]:
        second.answer("/v1/login", decided(after_s))
        client = site.client(connect_timeout_s=3, read_timeout_s=20)
        if is_granted:
            assert site.submit(client)
        else:
            with pytest.raises(ReplyLost):
                site.submit(client)


def test_no_further_server_is_asked_when_the_time_is_up(site, clock) -> None:
    def lose_twenty_seconds() -> None:
        clock.moved_s += 20

    site.put(NoHandshake(on_call=lose_twenty_seconds), "good")
    with pytest.raises(ServerUnreachable):
        site.submit(site.client(connect_timeout_s=3, read_timeout_s=20))
    assert site.read() == [0, 0]


def test_somebody_who_begins_waits_for_all_silent_servers_as_long_as_for_one(site) -> None:
    site.put("silent", "silent", "silent", "silent")
    client, began = site.client(read_timeout_s=2.0, retries=0), time.monotonic()
    with pytest.raises(ServerUnavailable):
        client.open_attempt(Action.LOGIN)
    assert site.read() == [1] * 4
    assert 1.8 < time.monotonic() - began < 6


# --- what always holds

QUICK = sorted(PLACES.keys() - SLOW)
STEPS: dict[str, Callable[[AuthClient], object]] = {**REPEATABLE, "wait": lambda _client: None}


@pytest.fixture(scope="module")
def landscape(tmp_path_factory, kiosk_key) -> Iterator[dict[tuple[int, str], Place]]:
    """Each kind of place at each of three positions."""
    made = tmp_path_factory.mktemp("landscape"), kiosk_key, Assertions()
    places = {(position, kind): PLACES[kind](*made) for position in range(3) for kind in QUICK}
    yield places
    for place in places.values():
        place.close()


@given(
    kinds=st.lists(st.sampled_from(QUICK), min_size=1, max_size=3),
    steps=st.lists(st.sampled_from([*STEPS, "submit"]), max_size=5),
)
def test_a_submission_is_read_by_one_server_at_most_and_each_exchange_is_answered_where_one_can(
    kinds: list[str], steps: list[str], landscape, kiosk_key, picture
) -> None:
    places = [landscape[position, kind] for position, kind in enumerate(kinds)]
    for place in places:
        place.requests.clear()
    clock, pin = Clock(), landscape[0, "good"].pin
    around = Surroundings(clock.now, clock.monotonic, clock.sleep, lambda: "0" * 22)
    settings = ServerSettings(url=[place.url for place in places], pins=(pin,))
    with closing(AuthClient(settings, KIOSK, kiosk_key, around)) as client:
        for number, step in enumerate([*steps, "submit"]):
            if step == "submit":
                check_submission(client, places, f"{number:022d}", picture)
            elif step == "wait":
                clock.moved_s += 61
            else:
                check_answered(STEPS[step], client, has_good="good" in kinds)


def check_answered(exchange: Callable[[AuthClient], object], client: AuthClient, *, has_good: bool) -> None:
    try:
        assert exchange(client)
    except AuthClientError:
        assert not has_good
    else:
        assert has_good


def check_submission(client: AuthClient, places: list[Place], nonce: str, picture: bytes) -> None:
    request = LoginRequest(
        attempt_id="A" * 22,
        username="alice",
        password="Secret-Pass",
        totp="424242",
        frames=(picture,),
        mac=MAC,
        client_ts_utc=NOW,
    )
    try:
        client.submit(Action.LOGIN, request, nonce)
        expected = 1
    except AuthClientError as error:
        expected = 0 if isinstance(error, ServerUnreachable | ServerNotTrusted) else 1
    read = [request for place in places for request in place.requests if request.path == "/v1/login"]
    assert [request.signature_nonce for request in read].count(nonce) == expected
