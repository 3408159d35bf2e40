"""A head that comes slowly, or a request that is held for its turn: what is decided, and what the upstream is given
in time, counts from when the proxy has the request, not from its first byte."""

import time

import pytest

from support.client import get
from support.upstream import once, response, serve

OK = response(body=b"ok")
SLOW = 0.6  # seconds that the client takes


def slowly(client, data):
    """Sends the first byte at once and the rest later."""
    client.send(data[:1])
    time.sleep(SLOW)
    return client.ask(data[1:], method="GET")


def failures(proxy):
    return [server["failures"] for upstream in proxy.sluice.settled()["upstreams"] for server in upstream["servers"]]


def test_it_takes_nothing_of_connect_timeout(pair):
    proxy = pair(serve(OK), app={"connect_timeout": "400ms"})
    assert slowly(proxy.client(), get()).status == 200
    assert failures(proxy) == [0]


def test_it_takes_nothing_of_response_timeout(pair):
    def answers_after_a_moment(connection):
        while connection.read_request():
            if connection.gone(0.1):
                return
            connection.send(OK)

    proxy = pair(answers_after_a_moment, app={"response_timeout": "400ms"})
    client = proxy.client()
    assert client.get().status == 200
    assert slowly(client, get()).status == 200  # on the connection that is there
    assert failures(proxy) == [0]


def test_it_is_decided_when_it_has_come(pair):
    proxy = pair(serve(OK), limits=[{"rate": "2/s", "burst": 1}])
    slow = proxy.client()
    assert proxy.client().get().status == 200
    slow.send(get()[:1])
    time.sleep(SLOW)  # by now there is one more
    assert slow.ask(get()[1:], method="GET").status == 200


@pytest.mark.parametrize("setting", ["connect_timeout", "response_timeout"])
def test_a_turn_that_was_awaited_takes_nothing_of_either(pair, setting):
    def answers_after_a_moment(connection):
        if connection.read_request() and not connection.gone(0.05):
            connection.send(OK)

    proxy = pair(answers_after_a_moment, app={setting: "300ms"},
                 limits=[{"rate": "2/s", "burst": 1, "action": "delay", "max_delay": "5s"}])
    client = proxy.client()
    assert [client.get().status for _ in range(3)] == [200] * 3
    assert failures(proxy) == [0]
