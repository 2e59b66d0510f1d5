"""How many there may be at once, by address and in all: the next is told why, and nobody else notices."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auth_contract.wire import FRAME_MAX
from auth_server.buckets import SOURCES_MAX, Buckets
from auth_server.gateway.admittance import Admittance, Busy
from auth_server.gateway.frames import Receiving, ReceivingFull
from auth_server.gateway.settings import LimitSettings


def admittance(**limits: object) -> Admittance:
    return Admittance(LimitSettings.model_validate(limits), lambda: 0.0)


def test_connections_are_counted_by_address_and_in_all():
    door = admittance(connections=3, connections_per_address=2)
    assert [door.enter("192.0.2.1") for _ in range(3)] == [None, None, "address"]
    assert [door.enter(f"192.0.2.{last}") for last in (2, 3)] == [None, "all"]
    door.leave("192.0.2.1")
    assert door.enter("192.0.2.3") is None and door.connections == 3


def test_the_addresses_of_one_ipv6_network_count_as_one():
    door = admittance(connections_per_address=1)
    assert door.enter("2001:db8::1") is None
    assert door.enter("2001:db8::2") == "address"
    assert door.enter("2001:db8:0:1::1") is None


def test_requests_of_one_address_are_no_burden_on_another():
    door = admittance(requests_burst=2)
    assert [door.may_ask("192.0.2.1") for _ in range(3)] == [True, True, False]
    assert door.may_ask("192.0.2.2")


def test_a_place_is_waited_for_in_turn_and_not_by_too_many():
    async def scene() -> None:
        door = admittance(requests_in_flight=1, requests_waiting=2)
        order: list[int] = []

        async def ask(number: int) -> None:
            async with door.place("192.0.2.1"):
                order.append(number)
                await asyncio.sleep(0)

        async with door.place("192.0.2.1"):
            waiting = [asyncio.create_task(ask(number)) for number in (1, 2)]
            await asyncio.sleep(0)
            with pytest.raises(Busy):
                async with door.place("192.0.2.1"):
                    raise AssertionError("it was let in")
        await asyncio.gather(*waiting)
        assert order == [1, 2]

    asyncio.run(scene())


def test_who_leaves_while_waiting_leaves_no_gap():
    async def scene() -> None:
        door = admittance(requests_in_flight=1, requests_waiting=1)
        async with door.place("192.0.2.1"):
            task = asyncio.create_task(door.place("192.0.2.1").__aenter__())
            await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        async with door.place("192.0.2.1"):
            assert door._waiting == 0

    asyncio.run(scene())


def test_one_address_does_not_take_all_places():
    async def scene() -> None:
        door = admittance(requests_in_flight=2, requests_per_address=1)
        async with door.place("192.0.2.1"):
            with pytest.raises(Busy):
                async with door.place("192.0.2.1"):
                    raise AssertionError("it was let in")
            async with door.place("192.0.2.2"):
                pass
        async with door.place("192.0.2.1"):
            pass

    asyncio.run(scene())


def test_frames_claim_no_more_memory_than_there_is_for_one_address_and_in_all():
    receiving = Receiving(LimitSettings(receiving_max_bytes=2 * FRAME_MAX + 10, receiving_per_address_bytes=FRAME_MAX))
    with receiving.claim("192.0.2.1", FRAME_MAX):
        with pytest.raises(ReceivingFull), receiving.claim("192.0.2.1", 1):
            raise AssertionError("it was let in")
        with receiving.claim("192.0.2.2", FRAME_MAX):
            with pytest.raises(ReceivingFull), receiving.claim("192.0.2.3", 11):
                raise AssertionError("it was let in")
            with receiving.claim("192.0.2.3", 10):
                pass
    with receiving.claim("192.0.2.1", FRAME_MAX):
        assert len(receiving._claimed) == 1


@given(st.lists(st.floats(min_value=0, max_value=30), max_size=60), st.integers(1, 20))
def test_never_more_than_burst_and_flow_are_taken(gaps: list[float], burst: int):
    now, taken = 0.0, 0
    buckets = Buckets(2.0, burst, lambda: now)
    for gap in gaps:
        now += gap
        taken += buckets.take("one")
        assert taken <= burst + 2.0 * now + 1e-6


def test_sources_without_number_take_no_memory_without_number():
    buckets = Buckets(1.0, 1.0, lambda: 0.0)
    for number in range(3 * SOURCES_MAX):
        buckets.take(buckets.name(f"2001:db8:{number:x}::1"))
    assert len(buckets._buckets) <= SOURCES_MAX + 1
