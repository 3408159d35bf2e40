"""The warning when one client makes nearly all of the traffic behind a proxy: perhaps it is all clients."""

import json

import pytest

from support.client import get
from support.ports import free_port

TOLD = "nearly all requests that come through proxies"
WINDOW = 1000  # two of one worker: one finds the suspect, one counts
TRUSTED = {"client": {"trusted_proxies": ["127.0.0.1"]}}


@pytest.fixture
def counting(pair):
    """A proxy of one worker, so that it is known who counts what."""
    def start(**settings):
        return pair(routes=[{"respond": {"status": 204}}], runtime={"workers": 1}, log={"access": "off"}, **settings)
    return start


def ask(client, addresses):
    """One request for each address (None: without the field), a hundred at a time."""
    addresses = list(addresses)
    for at in range(0, len(addresses), 100):
        batch = addresses[at:at + 100]
        client.send(b"".join(get(fields=[("X-Forwarded-For", each)] if each else []) for each in batch))
        assert {client.read().status for _ in batch} == {204}


def warnings(proxy):
    """Those that were told until the end."""
    proxy.sluice.stop()
    return [json.loads(line) for line in proxy.sluice.output.splitlines() if TOLD in line]


def mixed(of_one, of=WINDOW):
    """So many addresses, `of_one` per cent of which are the same."""
    return ["198.51.100.1" if n % 100 < of_one else f"203.0.{n // 100}.{n % 100}" for n in range(of)]


@pytest.mark.parametrize("per_cent", [100, 90])
def test_one_client_behind_a_trusted_proxy_is_warned_of_once(counting, per_cent):
    proxy = counting(**TRUSTED)
    ask(proxy.client(source="127.0.0.1"), mixed(per_cent, 5 * WINDOW))
    told, = warnings(proxy)
    assert told["level"] == "warn"
    assert (told["client"], told["requests"], told["of_the_last"]) == ("198.51.100.1", 10 * per_cent, WINDOW)
    assert "client.trusted_proxies" in told["settings"] and "client.address_from" in told["settings"]
    assert told["address_from"] == "X-Forwarded-For"


def test_a_proxy_that_does_not_tell_whom_it_asks_for_is_named(counting):
    # It fills in another field than the one that is read.
    proxy = counting(client={"trusted_proxies": ["127.0.0.1"], "address_from": "X-Real-IP"})
    ask(proxy.client(source="127.0.0.1"), mixed(0, 2 * WINDOW))
    told, = warnings(proxy)
    assert (told["client"], told["requests"], told["address_from"]) == ("127.0.0.1", WINDOW, "X-Real-IP")


def test_a_proxy_that_nobody_trusts_is_named(counting):
    proxy = counting()
    ask(proxy.client(source="127.0.0.9"), mixed(0, 2 * WINDOW))
    told, = warnings(proxy)
    assert told["client"] == "127.0.0.9"


def test_a_balancer_with_the_proxy_protocol_that_tells_of_one_client_only(counting):
    proxy = counting(listen=[{"address": f"127.0.0.1:{free_port()}", "proxy_protocol": True}])
    for _ in range(2):
        client = proxy.client()
        client.send(b"PROXY TCP4 198.51.100.7 10.0.0.1 1 2\r\n")
        ask(client, [None] * WINDOW)
    told, = warnings(proxy)
    assert (told["client"], told["requests"]) == ("198.51.100.7", WINDOW)


@pytest.mark.parametrize("addresses", [mixed(0, 3 * WINDOW), mixed(85, 3 * WINDOW), ["198.51.100.1"] * (2 * WINDOW - 1)],
                         ids=["many", "85-per-cent", "not-two-windows"])
def test_there_is_no_warning_of(counting, addresses):
    proxy = counting(**TRUSTED)
    ask(proxy.client(source="127.0.0.1"), addresses)
    assert warnings(proxy) == []


def test_one_client_without_a_proxy_is_none_of_our_business(counting):
    proxy = counting(**TRUSTED)
    ask(proxy.client(source="127.0.0.9"), [None] * (3 * WINDOW))
    assert warnings(proxy) == []
