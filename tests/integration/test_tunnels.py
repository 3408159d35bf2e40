"""Connections that change to another protocol: bytes both ways, until one side ends, nothing comes for too long, or
the proxy does. WebSockets by real clients are in test_websockets.py."""

import json
import signal
import socket
import threading
import time

import pytest

from support.client import expect_problem, get
from support.upstream import in_turn, response
from support.wait import PATIENCE, wait_until

KIB, MIB = 1 << 10, 1 << 20
ASKS = [("Connection", "keep-alive, Upgrade"), ("Upgrade", "chat/2")]
AGREES = b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: chat/2\r\nX-Chat: yes\r\n\r\n"


def switching(then=None, behind=b""):
    """A script that agrees to every upgrade, with `behind` right behind the head, and goes on with `then`."""

    def script(connection):
        if connection.read_request():
            connection.send(AGREES + behind)
            (then or type(connection).hang)(connection)

    return script


def echo(connection):
    """Sends back whatever comes, until the client ends its side."""
    connection.send(connection.wire.unread)
    while piece := connection.sock.recv(64 * KIB):
        connection.send(piece)


def opened(proxy, behind=b"", **options):
    """A client whose connection is a tunnel, and the upstream's end of it."""
    client = proxy.client(**options)
    before = len(proxy.upstream.connections)
    client.send(get(fields=ASKS) + behind)
    head = client.read_head()
    assert head.status == 101, head.raw_head
    return client, proxy.upstream.connections[before]


def tunnels(proxy):
    return proxy.sluice.stats()["connections"]["tunnels"]


def access_lines(sluice):
    return [json.loads(line) for line in sluice.output.splitlines() if '"event":"request"' in line]


def test_both_heads_are_written_anew(pair):
    proxy = pair(switching())
    client = proxy.client()
    client.send(get("/chat", fields=[*ASKS, ("Sec-Key", "k")]))
    head = client.read_head()
    assert (head.status, head.all("Upgrade"), head.all("Connection"), head.one("X-Chat")) == (101, ["chat/2"], ["Upgrade"], "yes")
    assert not head.has("Content-Length") and not head.has("Transfer-Encoding")
    request = proxy.upstream.request()
    assert (request.all("Upgrade"), request.all("Connection"), request.one("Sec-Key")) == (["chat/2"], ["Upgrade"], "k")
    assert request.one("X-Forwarded-For") == "127.0.0.1"


def test_bytes_behind_both_heads_belong_to_the_tunnel(pair):
    proxy = pair(switching(behind=b"hello from the upstream"))
    client, upstream = opened(proxy, behind=b"GET / HTTP/1.1\r\n\r\n")
    assert client.wire.exactly(23) == b"hello from the upstream"
    client.send(b"more")
    wait_until(lambda: upstream.received.endswith(b"\r\n\r\nGET / HTTP/1.1\r\n\r\nmore"), "all bytes, as they were sent")


def test_a_tunnel_counts_as_a_request_in_flight_until_it_ends(pair):
    proxy = pair(switching(echo), limits=[{"name": "slots", "algorithm": "concurrency", "max": 1}])

    def in_flight():
        return sum(client["in_flight"] for client in proxy.sluice.admin_json("/stats/clients?limit=slots")["clients"])

    client, _ = opened(proxy)
    wait_until(lambda: tunnels(proxy) == 1 and proxy.sluice.stats()["requests"]["in_flight"] <= 1, "the tunnel")
    client.send(b"ping")
    assert client.wire.exactly(4) == b"ping"
    assert in_flight() == 1
    assert proxy.client().get().status == 429
    client.half_close()
    client.expect_close()
    wait_until(lambda: in_flight() == 0, "the slot to be given back")
    again, _ = opened(proxy)
    again.send(b"pong")
    assert again.wire.exactly(4) == b"pong"


def test_forty_thousand_bytes_sent_before_the_answer_go_through(pair):
    proxy = pair(switching(echo))
    client, _ = opened(proxy, behind=b"e" * 40_000)
    assert client.wire.exactly(40_000) == b"e" * 40_000


@pytest.mark.parametrize("size", [1, 100, 16 * KIB, 10 * MIB])
def test_bytes_come_back_as_they_were_sent(pair, size):
    proxy = pair(switching(echo))
    client, _ = opened(proxy)
    block = bytes(range(256)) * (size // 256 + 1)
    sender = threading.Thread(target=client.send, args=(block[:size],))
    sender.start()
    assert client.wire.exactly(size) == block[:size]
    sender.join()


def test_a_half_close_is_passed_on_and_the_other_direction_goes_on(pair):
    def script(connection):
        connection.read_request()
        connection.send(AGREES)
        assert connection.wire.rest() == b"last words"
        connection.send(b"so be it")

    proxy = pair(script)
    client, _ = opened(proxy)
    client.send(b"last words").half_close()
    assert client.wire.exactly(8) == b"so be it"
    client.expect_close()
    wait_until(lambda: tunnels(proxy) == 0, "the end of the tunnel")


def test_the_upstreams_half_close_leaves_the_client_its_say(pair):
    def script(connection):
        connection.read_request()
        connection.send(AGREES + b"done")
        connection.half_close()
        connection.hang()

    proxy = pair(script)
    client, upstream = opened(proxy)
    assert client.wire.rest() == b"done"
    client.send(b"I am not")
    wait_until(lambda: upstream.received.endswith(b"I am not"), "what the client has still to say")
    client.close()
    assert upstream.wait_gone()


def test_an_idle_tunnel_ends_under_a_timeout_of_its_own(pair):
    proxy = pair(switching(), timeouts={"tunnel": "400ms", "keep_alive": "1h"})
    start = time.monotonic()
    client, upstream = opened(proxy)
    client.expect_close()
    assert 0.35 < time.monotonic() - start < 3 * PATIENCE
    assert upstream.wait_gone()


@pytest.mark.parametrize("speaker", ["client", "upstream"])
def test_bytes_either_way_keep_a_tunnel_open(pair, speaker):
    proxy = pair(switching(), timeouts={"tunnel": "1s", "head": "200ms", "body": "200ms", "write": "200ms", "keep_alive": "200ms"})
    client, upstream = opened(proxy)
    for _ in range(8):
        (client if speaker == "client" else upstream).send(b"x")
        time.sleep(0.25)  # the pace of a quiet conversation; 2 s in all, twice the timeout
    assert tunnels(proxy) == 1
    if speaker == "upstream":
        assert client.wire.exactly(8) == b"x" * 8


def test_the_death_of_the_upstream_resets_the_client(pair):
    proxy = pair(switching(lambda connection: connection.gone(0.05) or connection.reset()))
    client, _ = opened(proxy)
    client.expect_reset()
    wait_until(lambda: tunnels(proxy) == 0, "the end of the tunnel")


def test_the_death_of_the_client_resets_the_upstream(pair):
    proxy = pair(switching())
    client, upstream = opened(proxy)
    client.reset()
    assert upstream.wait_gone() and upstream.was_reset
    wait_until(lambda: tunnels(proxy) == 0, "the end of the tunnel")


def test_a_client_that_dies_behind_its_half_close_is_noticed(pair):
    proxy = pair(switching(lambda connection: connection.hang()))
    client, upstream = opened(proxy)
    client.half_close()
    wait_until(lambda: client.still_open(), "the other direction goes on")
    client.reset()
    wait_until(lambda: tunnels(proxy) == 0, "the end of the tunnel")


@pytest.mark.parametrize("status", [200, 400, 426])
def test_a_refused_upgrade_is_relayed_and_the_connection_goes_on(pair, status):
    answers = iter([response(status, b"no", [("Upgrade", "other"), ("X-Why", "because")])])

    def script(connection):
        while connection.read_request():
            connection.send(next(answers, response(body=b"next")))

    proxy = pair(script)
    client = proxy.client()
    answer = client.get("/chat", fields=ASKS)
    assert (answer.status, answer.body, answer.one("X-Why")) == (status, b"no", "because")
    assert client.get("/next").body == b"next"
    assert len(proxy.upstream.connections) == 1
    assert not proxy.upstream.requests[1].has("Upgrade")


def test_limits_apply_to_upgrades(pair):
    proxy = pair(switching(), limits=[{"name": "one", "rate": "1/h", "burst": 1}])
    opened(proxy)
    client = proxy.client()
    answer = client.get("/chat", fields=ASKS)
    expect_problem(answer, 429)
    assert len(proxy.upstream.requests) == 1
    assert client.still_open()


def test_a_change_to_another_protocol_than_asked_for_is_502(pair):
    proxy = pair(switching())
    client = proxy.client()
    expect_problem(client.get(fields=[("Connection", "Upgrade"), ("Upgrade", "chat/1")]), 502)
    assert proxy.upstream.connections[0].wait_gone()


@pytest.mark.parametrize("request_bytes", [
    get(fields=ASKS, method="POST", body=b"body"),
    get(fields=[ASKS[1]]),
    get(fields=[ASKS[0], ("Upgrade", "chat/2, chat/1")]),
    get(fields=[*ASKS, ("Upgrade", "chat/1")]),
    get(fields=ASKS, version="1.0"),
], ids=["with-a-body", "without-the-option", "a-choice", "two-fields", "http-1.0"])
def test_what_is_no_plain_wish_to_upgrade_is_not_passed_on(pair, request_bytes):
    proxy = pair()
    assert proxy.client().ask(request_bytes).status == 200
    request = proxy.upstream.request()
    assert not request.has("Upgrade") and "upgrade" not in ",".join(request.all("Connection")).lower()


def test_a_side_that_does_not_read_stops_the_other(pair):
    sent = []

    def flood(connection):
        for _ in range(64):
            connection.sock.sendall(b"x" * MIB)
            sent.append(MIB)
        connection.half_close()
        connection.hang()

    proxy = pair(switching(flood, behind=b"x" * KIB))
    client, _ = opened(proxy, receive_buffer=4096)
    wait_until(lambda: len(sent) > 0, "the first MiB")
    wait_until(lambda: (before := len(sent)) < 64 and (time.sleep(0.5) or len(sent) == before), "that the upstream stands still")
    assert proxy.sluice.memory()[0] < 64 * MIB
    client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, MIB)
    total = len(client.wire.unread)  # what came with the head
    while piece := client.sock.recv(MIB):
        total += len(piece)
    assert total == 64 * MIB + KIB


def test_a_client_that_does_not_read_is_cut_after_timeouts_write(pair):
    proxy = pair(switching(lambda connection: connection.send(b"x" * 64 * MIB)), timeouts={"write": "400ms"})
    client, _ = opened(proxy, receive_buffer=4096)
    wait_until(lambda: tunnels(proxy) == 1, "the tunnel")
    wait_until(lambda: tunnels(proxy) == 0, "its end")
    assert client.ends()[0] == "reset", "what it has got is not all"


def test_a_drain_cuts_tunnels_when_its_time_is_up_and_not_before(pair):
    proxy = pair(in_turn(switching(echo), switching()), timeouts={"drain": "1s"})
    client, _ = opened(proxy)
    half_closed, _ = opened(proxy)
    half_closed.half_close()
    start = time.monotonic()
    proxy.sluice.send_signal(signal.SIGTERM)
    wait_until(lambda: "draining" in proxy.sluice.output, "the drain")
    client.send(b"still here")
    assert client.wire.exactly(10) == b"still here"
    assert client.wire.rest() == b""
    assert 0.9 < time.monotonic() - start < 5 * PATIENCE
    assert proxy.sluice.wait_exit() == 0
    assert half_closed.wire.rest() == b""
    for index in range(2):
        proxy.upstream.wait_script_ended(index)


def test_a_reload_keeps_tunnels(pair):
    proxy = pair(switching(echo))
    client, _ = opened(proxy)
    proxy.sluice.reload({**proxy.sluice.config, "timeouts": {"tunnel": "2h"}})
    client.send(b"still here")
    assert client.wire.exactly(10) == b"still here"
    assert tunnels(proxy) == 1


def test_a_tunnel_of_before_a_reload_counts_towards_max_connections(pair):
    proxy = pair(switching(echo), app={"max_connections": 1, "connect_timeout": "100ms"})
    client, _ = opened(proxy)
    config = proxy.sluice.config
    name, = config["upstreams"]
    proxy.sluice.reload({**config, "upstreams": {name: {**config["upstreams"][name], "stall_timeout": "29s"}}})
    expect_problem(proxy.client().get(), 503)
    client.half_close()
    client.expect_close()
    wait_until(lambda: tunnels(proxy) == 0, "the tunnel's end")
    opened(proxy)


def test_a_tunnel_is_counted_and_told_at_its_end(pair):
    proxy = pair(switching(echo), log={"access": "all"})
    client, _ = opened(proxy, behind=b"12345")
    assert client.wire.exactly(5) == b"12345"
    stats = proxy.sluice.stats()
    assert (stats["connections"]["tunnels"], stats["requests"]["in_flight"], stats["requests"]["total"]) == (1, 1, 0)
    assert "sluice_tunnels_open 1\n" in proxy.sluice.metrics()
    time.sleep(0.2)  # so that the duration is longer than any latency
    client.close()
    stats = proxy.sluice.settled()
    assert (stats["connections"]["tunnels"], stats["requests"]["by_status"]) == (0, {"101": 1})
    assert stats["latency_seconds"]["p999"] < 0.2
    assert "sluice_tunnels_total 1\n" in proxy.sluice.metrics()
    line, = wait_until(lambda: access_lines(proxy.sluice), "the line")
    assert (line["status"], line["bytes_in"], line["bytes_out"], line["target"], line["client"]) == (101, 5, 5, "/", "127.0.0.1")
    assert (line["host"], line["method"], line["upstream"]) == ("a.example", "GET", "default")
    assert line["duration_seconds"] > 0.2 and len(line["request_id"]) == 32


def test_idle_tunnels_hold_no_task_and_little_memory(pair):
    """1,000 of them, each of which has carried a message both ways."""
    proxy = pair(switching(echo), app={"max_connections": 2000})
    count = 1000
    tasks, (before, _) = proxy.sluice.stats()["runtime"]["tasks"]["live"], proxy.sluice.memory()
    clients = [opened(proxy)[0] for _ in range(count)]
    for client in clients:
        client.send(b"m" * 1000)
        assert client.wire.exactly(1000) == b"m" * 1000
    wait_until(lambda: proxy.sluice.stats()["runtime"]["tasks"]["live"] <= tasks, "that no task is left")
    assert tunnels(proxy) == count
    each = (proxy.sluice.memory()[0] - before) / count
    print(f"{each:.0f} bytes for each")
    assert each < 4 * KIB  # as the README says, "Memory"


def test_an_upstream_connection_is_held_while_the_tunnel_lives(pair):
    proxy = pair(switching(), app={"max_connections": 1, "connect_timeout": "200ms"})
    client, _ = opened(proxy)
    expect_problem(proxy.client().get(fields=ASKS), 503)
    client.close()
    wait_until(lambda: tunnels(proxy) == 0, "its end")
    opened(proxy)


def test_tunnels_that_end_in_every_way_at_once_leave_nothing(pair):
    def script(connection):
        connection.read_request()
        connection.send(AGREES + b"x" * 1000)
        [connection.close, connection.reset, connection.half_close, connection.hang][connection.index % 4]()

    proxy = pair(script)
    for turn in range(200):
        client, _ = opened(proxy)
        client.send_while_open(b"y" * 1000)
        [client.close, client.reset, lambda: None][turn % 3]()
