"""Memory is bounded by the configuration: what the README's table of costs says is measured here."""

import contextlib
import resource

import pytest

from support import wire
from support.client import connect, get
from support.ports import free_port
from support.sluice import SANITIZER_MEMORY
from support.tls import SecureClient
from support.upstream import response
from support.wait import DEADLINE, wait_until, wait_until_steady

KIB, MIB = 1 << 10, 1 << 20

# The table of README.md, "Memory": what each costs at the most, in resident bytes of the process. Tunnels: test_tunnels.py.
BASE = 24 * MIB
IDLE_CONNECTION = 1 * KIB
IDLE_TLS_CONNECTION = 24 * KIB
REQUEST = 64 * KIB
REQUEST_WITH_BODIES = 256 * KIB
CLIENT_ENTRY = 96


@pytest.fixture
def descriptors():
    """As many as this process, and the proxy that inherits them, may have."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    hard = 24_000 if before[1] == resource.RLIM_INFINITY else min(before[1], 24_000)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(before[0], hard), before[1]))
    yield hard
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_twenty_thousand_idle_connections_and_hundreds_of_requests_stay_within_the_formula(pair, descriptors):
    busy = 400
    idle = min(20_000, descriptors - 3 * busy - 300)

    def script(connection):
        while connection.read_request():
            connection.hang()

    routes = [{"match": {"path": "/idle"}, "respond": {"status": 204}}, {"upstream": "app"}]
    proxy = pair(script, app={"max_connections": busy, "response_timeout": "5m"}, routes=routes,
                 max={"connections": idle + busy}, timeouts={"keep_alive": "10m"},
                 limits=[{"name": "all", "rate": "1000000/s"}])
    start = proxy.sluice.memory()[0]
    request = get("/idle")
    with contextlib.ExitStack() as held:
        for number in range(idle):
            sock = held.enter_context(connect(proxy.sluice.address, source=f"127.0.{number // 5000}.1"))
            sock.sendall(request)
            assert wire.read_response(wire.Wire(sock, DEADLINE)).status == 204
        wait_until(lambda: proxy.sluice.stats()["connections"]["open"] == idle, "all connections")
        with_idle = proxy.sluice.memory()[0]
        for _ in range(busy):
            held.enter_context(connect(proxy.sluice.address)).sendall(get("/busy"))
        proxy.upstream.wait_for_requests(busy, 4 * DEADLINE)
        with_busy = proxy.sluice.memory()[0]
        print(f"start {start / MIB:.1f} MiB, {(with_idle - start) / idle:.0f} bytes an idle connection, "
              f"{(with_busy - with_idle) / busy:.0f} bytes a request in flight, peak {proxy.sluice.memory()[1] / MIB:.1f} MiB")
        assert proxy.sluice.memory()[1] < BASE + idle * IDLE_CONNECTION + busy * REQUEST


def test_idle_connections_over_tls_stay_within_the_formula(pair, authority, descriptors):
    count = 2000
    listen = {"address": f"127.0.0.1:{free_port()}", "tls": authority.issue("a.example").files}
    proxy = pair(listen=[listen], timeouts={"keep_alive": "10m"})
    context = authority.client_context()
    with contextlib.ExitStack() as held:
        start = None
        for _ in range(1 + count):  # what the first brings is there once
            client = held.enter_context(contextlib.closing(SecureClient(proxy.sluice.address, context)))
            assert client.get().status == 200
            start = start or proxy.sluice.memory()[0]
        wait_until(lambda: proxy.sluice.stats()["connections"]["open"] == 1 + count, "all connections")
        grown = proxy.sluice.memory()[0] - start
        print(f"{grown / count / KIB:.1f} KiB an idle connection over TLS")
        assert grown < count * IDLE_TLS_CONNECTION * SANITIZER_MEMORY


def test_requests_with_large_bodies_both_ways_stay_within_the_formula(pair):
    """Whatever their sizes: a client that reads nothing, so that all buffers are full, has sent a long body."""
    busy = 100
    endless = response(body=b"x" * 64 * MIB, fields=[("X-Long", "y" * 15 * KIB)])

    def script(connection):
        if connection.read_request():
            connection.sock.settimeout(None)
            with contextlib.suppress(OSError):
                connection.sock.sendall(endless)

    proxy = pair(script, max={"connections": busy}, timeouts={"write": "10m"})
    start = proxy.sluice.memory()[0]
    request = get(method="POST", fields=[("X-Long", "z" * 15 * KIB)], body=b"b" * 100 * KIB)
    with contextlib.ExitStack() as held:
        for _ in range(busy):
            held.enter_context(connect(proxy.sluice.address, receive_buffer=4096)).sendall(request)
        proxy.upstream.wait_for_requests(busy, 4 * DEADLINE)
        grown = wait_until_steady(lambda: proxy.sluice.memory()[0]) - start
        assert proxy.sluice.stats()["requests"]["in_flight"] == busy
        print(f"{grown / busy / KIB:.0f} KiB a request with bodies")
        assert proxy.sluice.memory()[1] < BASE + busy * REQUEST_WITH_BODIES


def test_a_hundred_thousand_clients_stay_within_the_formula(pair):
    count = 100_000
    proxy = pair(routes=[{"respond": {"status": 204}}], client={"trusted_proxies": ["127.0.0.0/8"]},
                 limits=[{"name": "slow", "rate": "1/h", "burst": 1000}], clients={"max": count})
    assert proxy.client().get().status == 204
    start = proxy.sluice.memory()[0]
    client = proxy.client()
    for block in range(0, count, 1000):
        numbers = range(block, block + 1000)
        client.send(b"".join(get(fields=[("X-Forwarded-For", f"10.{n >> 16}.{n >> 8 & 255}.{n & 255}")]) for n in numbers))
        for _ in numbers:
            assert client.read().status == 204
    assert proxy.sluice.stats()["clients"]["tracked"] > 0.99 * count
    grown = proxy.sluice.memory()[0] - start
    print(f"{grown / count:.0f} bytes a client")
    assert grown < count * CLIENT_ENTRY + 4 * MIB
