"""Rows 60 to 69: what one client may cost, and who counts as one client."""

import contextlib
import random
import time

import pytest

from support.client import get
from support.ports import free_port
from support.upstream import response, serve
from support.wait import PATIENCE, wait_until, wait_until_steady

KIB, MIB = 1 << 10, 1 << 20
ONE_ONLY = {"limits": [{"name": "one", "rate": "1/h", "burst": 1}]}
TRUSTING = {"client": {"trusted_proxies": ["127.0.0.0/8"]}}


def test_row_060_pipelining_without_reading_is_bounded(pair):
    proxy = pair(serve(response(body=b"x" * 64 * KIB)))
    client = proxy.client(receive_buffer=4096)
    # A thousand requests of 1 KiB: a proxy that goes on reading takes them all into its memory, and asks for 64 MiB.
    client.send(b"".join(get(f"/{n}", fields=[("X-Padding", "p" * 900)]) for n in range(1000)))
    asked = wait_until_steady(lambda: len(proxy.upstream.requests))
    assert 1 <= asked < 500
    assert proxy.sluice.memory()[0] < 64 * MIB
    for _ in range(1000):
        assert len(client.read().body) == 64 * KIB
    assert [request.target for request in proxy.upstream.requests] == [f"/{n}" for n in range(1000)]


def test_row_060_pipelined_requests_are_answered_in_order(pair):
    def echo_target(connection):
        while request := connection.read_request():
            connection.send(response(body=request.target.encode()))

    proxy = pair(echo_target)
    client = proxy.client()
    client.send(b"".join(get(f"/{n}") for n in range(1000)))
    assert [client.read().body for _ in range(1000)] == [b"/%d" % n for n in range(1000)]


def smuggling(size, chunked=False):
    """A POST whose body is nothing but whole requests."""
    one = get("/smuggled")
    body = (one * (size // len(one) + 1))[:size // len(one) * len(one)]
    if not chunked:
        return get("/refused", method="POST", body=body)
    head = b"POST /refused HTTP/1.1\r\nHost: a.example\r\nTransfer-Encoding: chunked\r\n\r\n"
    return head + b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)


REFUSALS = {
    "limited": (ONE_ONLY, 429),
    "banned": ({}, 403),
    "no-route": ({"routes": [{"match": {"path": "/first"}, "upstream": "app"}]}, 404),
}


def refusing_pair(pair, refusal):
    """A proxy that forwards GET /first and then refuses everything, and the status it refuses with."""
    config, status = REFUSALS[refusal]
    proxy = pair(**config)
    client = proxy.client()
    assert client.get("/first").status == 200
    if status == 403:
        assert proxy.sluice.ask_admin("PUT", "/bans/127.0.0.1", '{"for": "1h"}')[0] == 200
    return proxy, client, status


@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
@pytest.mark.parametrize("together", [True, False], ids=["at-once", "later"])
@pytest.mark.parametrize("refusal", REFUSALS)
def test_row_061_a_small_unread_body_is_drained(pair, refusal, together, chunked):
    proxy, client, status = refusing_pair(pair, refusal)
    data = smuggling(60 * KIB, chunked)
    if together:
        answer = client.ask(data)
    else:
        head, _, body = data.partition(b"\r\n\r\n")
        answer = client.ask(head + b"\r\n\r\n")
        client.send(body)
    assert answer.status == status and not answer.has("Connection")
    # Exactly one more answer, to the one request that follows the body.
    assert client.get("/after").status == status
    proxy.finish()
    proxy.upstream.settle()
    assert [request.target for request in proxy.upstream.requests] == ["/first"]


@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
@pytest.mark.parametrize("refusal", REFUSALS)
def test_row_061_a_large_unread_body_closes_the_connection(pair, refusal, chunked):
    proxy, client, status = refusing_pair(pair, refusal)
    client.send_while_open(smuggling(4 * MIB, chunked))
    assert client.read().status == status  # it arrives, although the upload was cut off
    assert client.ends()[1] == b""
    assert proxy.sluice.settled()["requests"]["total"] == 2
    proxy.finish()
    proxy.upstream.settle()
    assert [request.target for request in proxy.upstream.requests] == ["/first"]


def test_row_061_a_withheld_body_does_not_hold_the_connection_for_ever(pair):
    proxy = pair(timeouts={"body": "300ms"}, **ONE_ONLY)
    client = proxy.client()
    assert client.get("/first").status == 200
    assert client.ask(b"POST /refused HTTP/1.1\r\nHost: a\r\nContent-Length: 50\r\n\r\n").status == 429
    assert client.ends()[1] == b""


def test_row_062_a_head_above_max_head(pair):
    proxy = pair()
    fits, over = (get("/x", fields=[("X-Padding", "p" * size)]) for size in (15 * KIB, 17 * KIB))
    assert proxy.client().ask(fits).status == 200
    client = proxy.client()
    client.send_while_open(over + get("/smuggled"))
    assert client.read().status == 431
    client.expect_close()
    assert len(proxy.upstream.requests) == 1


def test_row_062_the_bound_counts_the_request_line(pair):
    proxy = pair(max={"head": "2KiB"})
    client = proxy.client()
    client.send_while_open(get("/" + "x" * 3 * KIB))
    assert client.read().status == 431
    client.expect_close()
    assert proxy.client().ask(get("/" + "x" * KIB)).status == 200


def test_row_062_a_head_without_end_is_cut_off(pair):
    proxy = pair()
    client = proxy.client()
    client.send(b"GET / HTTP/1.1\r\nHost: a.example\r\nX: ")
    taken = next((n for n in range(4096) if not client.send_while_open(b"x" * 4096)), 4096)
    assert taken < 4096
    assert proxy.sluice.memory()[1] < 64 * MIB


@pytest.mark.parametrize("count,status", [(100, 200), (101, 431), (2000, 431)])
def test_row_062_more_fields_than_max_headers(pair, count, status):
    proxy = pair(max={"head": "64KiB"})
    client = proxy.client()
    fields = [(f"X-{n}", "v") for n in range(count - 1)]  # and Host
    client.send_while_open(get("/x", fields=fields))
    assert client.read().status == status
    if status == 200:
        assert all(proxy.upstream.request().one(name) == "v" for name, _ in fields)


def test_row_063_a_request_costs_less_than_100_times_its_size(pair):
    proxy = pair(lambda connection: connection.hang())
    request = get("/x", fields=[(f"X-{n}", "v") for n in range(90)])
    before = proxy.sluice.memory()[0]
    for _ in range(300):
        proxy.client().send(request)
    wait_until(lambda: proxy.sluice.stats()["requests"]["in_flight"] == 300, "300 requests in flight")
    wait_until(lambda: len(proxy.upstream.connections) == 300, "300 connections accepted by the upstream")
    each = (proxy.sluice.memory()[0] - before) / 300
    assert each < 100 * len(request), f"{each:.0f} bytes for a request of {len(request)}"


def took(start):
    return time.monotonic() - start


@pytest.mark.parametrize("sent", [b"G", b"GET / HTTP/1.1\r\nHost: a.example\r\n", b"GET / HTTP/1.1\r\nHost: a.example\r\nX: y\r\n\r"])
def test_row_064_a_head_that_never_ends_gets_408(pair, sent):
    proxy = pair(timeouts={"head": "400ms"})
    client = proxy.client()
    start = time.monotonic()
    client.send(sent)
    assert client.read().status == 408
    client.expect_close()
    assert 0.35 < took(start) < 3 * PATIENCE


def test_row_064_dripping_does_not_extend_the_head(pair):
    proxy = pair(timeouts={"head": "400ms"})
    client = proxy.client()
    start = time.monotonic()
    client.sock.settimeout(0.05)
    for byte in get(fields=[("X-Long", "x" * 200)]):
        if not client.send_while_open(bytes([byte])):
            break
        client.sock.settimeout(0.05)
        with contextlib.suppress(TimeoutError):
            if client.sock.recv(1, 2):  # MSG_PEEK
                break
    assert took(start) < 3 * PATIENCE
    assert client.read().status == 408
    client.expect_close()


def test_row_064_a_stalled_body_gets_408(pair):
    proxy = pair(timeouts={"body": "400ms"})
    proxy.upstream.script = lambda connection: connection.read_request() or connection.hang()
    client = proxy.client()
    start = time.monotonic()
    client.send(b"POST / HTTP/1.1\r\nHost: a.example\r\nContent-Length: 100\r\n\r\nstalled")
    assert client.read().status == 408
    client.expect_close()
    assert 0.35 < took(start) < 3 * PATIENCE
    assert proxy.upstream.connections[0].wait_gone()
    assert not proxy.upstream.requests[0].complete


def test_row_064_a_body_that_comes_slowly_but_steadily_is_fine(pair):
    proxy = pair(timeouts={"body": "600ms"})
    client = proxy.client()
    client.send(b"POST / HTTP/1.1\r\nHost: a.example\r\nContent-Length: 12\r\n\r\n")
    for count in range(12):
        client.send(b"x")
        time.sleep(0.1)  # the pace of a slow client; 1.2 s in all, twice the deadline
    assert client.read().status == 200
    assert proxy.upstream.request().body == b"x" * 12


def flood(connection):
    if connection.read_request():
        connection.send(response(body=b"x" * 64 * MIB))
        connection.hang()


def test_row_064_a_reader_that_stalls_is_closed(pair):
    proxy = pair(flood, timeouts={"write": "400ms"})
    client = proxy.client(receive_buffer=4096)
    client.send(get())
    wait_until(lambda: proxy.sluice.stats()["requests"]["in_flight"] == 1, "the request")
    wait_until(lambda: proxy.sluice.stats()["requests"]["in_flight"] == 0, "its end")
    assert proxy.upstream.connections[0].wait_gone()
    assert proxy.sluice.memory()[1] < 64 * MIB
    outcome, got = client.ends()
    assert len(got) < 64 * MIB


def test_row_064_a_reader_that_is_slow_but_steady_is_fine(pair):
    """The kernel tells of no room before a third of its buffer, megabytes, has gone."""
    proxy = pair(flood, timeouts={"write": "600ms"})
    client = proxy.client(receive_buffer=4096)
    client.send(get())
    assert client.read_head().status == 200
    for _ in range(30):
        client.wire.exactly(16 * 1024)
        time.sleep(0.1)  # the pace of a slow client; 3 s in all, five times the deadline
    assert proxy.sluice.stats()["requests"]["in_flight"] == 1


@pytest.mark.parametrize("fields", [[("X-Forwarded-For", "9.9.9.9")], [("X-Forwarded-For", "9.9.9.9, 8.8.8.8"), ("X-Forwarded-For", "7.7.7.7")],
                                    [("x-forwarded-for", "127.0.0.1"), ("X-Forwarded-Proto", "https"), ("X-Forwarded-Host", "evil")]])
def test_row_065_forwarding_fields_of_an_untrusted_peer_are_replaced(pair, fields):
    proxy = pair(limits=[{"name": "all", "rate": "1000/s"}])
    assert proxy.client(source="127.0.0.7").get(fields=fields).status == 200
    request = proxy.upstream.request()
    assert request.one("X-Forwarded-For") == "127.0.0.7"
    assert request.one("X-Forwarded-Proto") == "http"
    assert request.one("X-Forwarded-Host") == "a.example"
    assert keys_of(proxy) == ["127.0.0.7"]


def keys_of(proxy):
    return sorted(client["key"] for client in proxy.sluice.admin_json("/stats/clients?top=1000")["clients"])


@pytest.mark.parametrize("lines,client", [
    (["1.1.1.1"], "1.1.1.1"),
    (["1.1.1.1, 2.2.2.2"], "2.2.2.2"),
    (["1.1.1.1", "2.2.2.2"], "2.2.2.2"),
    (["1.1.1.1", "2.2.2.2, 127.0.0.9", "127.0.0.8"], "2.2.2.2"),
    (["1.1.1.1 ,\t2.2.2.2 "], "2.2.2.2"),
    (["1.1.1.1", "garbage"], "127.0.0.1"),
    (["1.1.1.1, garbage, 127.0.0.9"], "127.0.0.9"),
    (["1.1.1.1, 999.1.1.1"], "127.0.0.1"),
    (["127.0.0.5, 127.0.0.6"], "127.0.0.5"),
    (["1.1.1.1", ""], "1.1.1.1"),
], ids=lambda value: value if isinstance(value, str) else "+".join(value))
def test_row_066_the_rightmost_untrusted_address_is_the_client(pair, lines, client):
    proxy = pair(limits=[{"name": "all", "rate": "1000/s"}], **TRUSTING)
    assert proxy.client(source="127.0.0.1").get(fields=[("X-Forwarded-For", line) for line in lines]).status == 200
    assert keys_of(proxy) == [client]
    if client == "2.2.2.2" and "\t" not in lines[0]:
        assert proxy.upstream.request().one("X-Forwarded-For") == ", ".join(lines + ["127.0.0.1"])


def test_row_067_one_key_inside_a_64(pair):
    proxy = pair(limits=[{"name": "few", "rate": "1/h", "burst": 3}], **TRUSTING)
    client = proxy.client()
    statuses = [client.get(fields=[("X-Forwarded-For", f"2001:db8:0:7:{random.randrange(1 << 16):x}::{n:x}")]).status for n in range(6)]
    assert statuses == [200] * 3 + [429] * 3
    assert client.get(fields=[("X-Forwarded-For", "2001:db8:0:8::1")]).status == 200
    assert len(keys_of(proxy)) == 2


def test_row_067_a_mapped_address_is_the_ipv4_key(pair):
    proxy = pair(limits=[{"name": "few", "rate": "1/h", "burst": 2}], **TRUSTING)
    client = proxy.client()
    addresses = ["1.2.3.4", "::ffff:1.2.3.4", "::ffff:102:304", "::FFFF:1.2.3.4", "1.2.3.5"]
    statuses = [client.get(fields=[("X-Forwarded-For", address)]).status for address in addresses]
    assert statuses == [200, 200, 429, 429, 200]
    assert keys_of(proxy) == ["1.2.3.4", "1.2.3.5"]


def proxy_v2(command, family, block):
    return b"\r\n\r\n\x00\r\nQUIT\n" + bytes([command, family]) + len(block).to_bytes(2, "big") + block


V2 = b"\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c\x01\x01\x01\x01\x02\x02\x02\x02\x00\x01\x00\x02"


@pytest.mark.parametrize("header", [b"PROXY TCP4 1.1.1.1 2.2.2.2 1 2\r\n", b"PROXY UNKNOWN\r\n", V2], ids=["v1", "v1-unknown", "v2"])
def test_row_068_proxy_protocol_where_it_is_not_enabled(pair, header):
    pair().refuses(header + get())


# Each is followed by a whole valid request.
PROXY_MALFORMED = [
    b"proxy TCP4 1.1.1.1 2.2.2.2 1 2\r\n", b"PROXY  TCP4 1.1.1.1 2.2.2.2 1 2\r\n", b"PROXY UDP4 1.1.1.1 2.2.2.2 1 2\r\n", b"PROXY\r\n",
    b"PROXY UNKNOWNX\r\n", b"PROXY TCP4 1.1.1.1 2.2.2.2 1\r\n", b"PROXY TCP4 1.1.1.1 2.2.2.2 1 2 3\r\n", b"PROXY TCP4 1.1.1.1 2.2.2.2 1 2\r\r\n",
    b"PROXY TCP4 1.1.1.1 2.2.2.2 01 2\r\n", b"PROXY TCP4 1.1.1.1 2.2.2.2 1 65536\r\n", b"PROXY TCP4 01.1.1.1 2.2.2.2 1 2\r\n",
    b"PROXY TCP4 256.1.1.1 2.2.2.2 1 2\r\n", b"PROXY TCP4 ::1 ::1 1 2\r\n", b"PROXY TCP6 1.1.1.1 2.2.2.2 1 2\r\n",
    b"PROXY TCP6 ::1%lo ::1 1 2\r\n", b"PROXY UNKNOWN " + b"x" * 92 + b"\r\n", b"PROXY UNKNOWN \n\r\n", get("/first"), b"\r\n" + get("/first"),
    b"\x16\x03\x01\x02\x00\x01", b"\x00", proxy_v2(0x31, 0x11, b"x" * 12), proxy_v2(0x22, 0x11, b"x" * 12), proxy_v2(0x21, 0x41, b"x" * 12),
    proxy_v2(0x21, 0x13, b"x" * 12), proxy_v2(0x21, 0x11, b"x" * 11), proxy_v2(0x21, 0x21, b"x" * 35), proxy_v2(0x21, 0x31, b"x" * 215),
    proxy_v2(0x21, 0x11, b"x" * 4081), proxy_v2(0x20, 0x00, b"x" * 65535),
]


@pytest.mark.parametrize("header", PROXY_MALFORMED, ids=range(len(PROXY_MALFORMED)))
@pytest.mark.parametrize("pace", ["at-once", "byte-by-byte"])
def test_row_068_many_kinds_of_malformed_headers(pair, header, pace):
    proxy = pair(listen=[{"address": f"127.0.0.1:{free_port()}", "proxy_protocol": True}])
    client = proxy.client()
    for piece in [header] if pace == "at-once" else [header[n:n + 1] for n in range(len(header))]:
        if not client.send_while_open(piece):
            break
    client.send_while_open(get("/smuggled"))
    assert client.ends()[1] == b""
    assert proxy.sluice.stats()["requests"]["total"] == 0
    proxy.finish()
    proxy.upstream.settle()
    assert proxy.upstream.received == b""
    assert "listen[].proxy_protocol" in proxy.sluice.output


@pytest.mark.parametrize("header,client", [
    (b"PROXY TCP4 198.51.100.1 10.0.0.1 4711 80\r\n", "198.51.100.1"),
    (b"PROXY TCP6 2001:db8::1 ::1 4711 80\r\n", "2001:db8::1"),
    (b"PROXY TCP6 ::ffff:198.51.100.1 ::1 4711 80\r\n", "198.51.100.1"),
    (b"PROXY UNKNOWN\r\n", "127.0.0.7"),
    (b"PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n", "127.0.0.7"),
    (V2, "1.1.1.1"),
    (proxy_v2(0x21, 0x21, b"\x20\x01\x0d\xb8" + bytes(11) + b"\x01" + bytes(20)), "2001:db8::1"),
    (proxy_v2(0x21, 0x11, b"\x01\x01\x01\x01\x02\x02\x02\x02\x00\x01\x00\x02" + b"\x04\x01\x00" + bytes(256)), "1.1.1.1"),
    (proxy_v2(0x21, 0x11, b"\x01\x01\x01\x01\x02\x02\x02\x02\x00\x01\x00\x02" + bytes(4068)), "1.1.1.1"),
    (proxy_v2(0x20, 0x00, b""), "127.0.0.7"),
    (proxy_v2(0x20, 0x11, b"\x09" * 12), "127.0.0.7"),
    (proxy_v2(0x21, 0x00, b"whatever"), "127.0.0.7"),
    (proxy_v2(0x21, 0x12, b"\x09" * 12), "127.0.0.7"),
    (proxy_v2(0x21, 0x31, b"/run/x".ljust(216, b"\0")), None),
], ids=["v1-4", "v1-6", "v1-mapped", "v1-unknown", "v1-unknown-long", "v2-4", "v2-6", "v2-tlv", "v2-longest", "v2-local", "v2-local-address", "v2-unspec",
        "v2-datagram", "v2-unix"])
@pytest.mark.parametrize("pace", ["at-once", "byte-by-byte", "apart"])
def test_row_068_the_header_names_the_peer(pair, header, client, pace):
    proxy = pair(listen=[{"address": f"127.0.0.1:{free_port()}", "proxy_protocol": True}], limits=[{"rate": "1000/s", "ipv6_prefix": 128}])
    sender = proxy.client(source="127.0.0.7")
    step = len(header) if pace != "byte-by-byte" else 1 if len(header) < 1000 else 97
    for at in range(0, len(header), step):
        sender.send(header[at:at + step])
    if pace == "apart":  # it is read, and the connection idles with nothing of it left
        tasks = proxy.sluice.resting[0]
        wait_until(lambda: proxy.sluice.stats()["connections"]["open"] == 1, "the connection")
        wait_until(lambda: proxy.sluice.stats()["runtime"]["tasks"]["live"] <= tasks, "no task for an idle connection")
    for _ in range(3):
        assert sender.get(fields=[("X-Forwarded-For", "6.6.6.6")]).status == 200
    for request in proxy.upstream.wait_for_requests(3):
        assert request.all("X-Forwarded-For") == ([client] if client else [])
    assert keys_of(proxy) == [client or "unix:"]


def test_row_068_a_header_that_never_ends_is_cut_off_in_time(pair):
    proxy = pair(listen=[{"address": f"127.0.0.1:{free_port()}", "proxy_protocol": True}], timeouts={"head": "400ms"})
    start = time.monotonic()
    clients = [proxy.client() for _ in range(3)]
    clients[1].send(b"PROXY TCP4 1.1.1.1 ")
    clients[2].send(V2[:14])
    for client in clients:
        assert client.ends()[1] == b""
    assert 0.35 < time.monotonic() - start < 3 * PATIENCE


def test_row_068_a_second_header_is_refused(pair):
    proxy = pair(listen=[{"address": f"127.0.0.1:{free_port()}", "proxy_protocol": True}])
    client = proxy.client()
    client.send(V2 + b"PROXY TCP4 1.1.1.1 2.2.2.2 1 2\r\n" + get())
    assert client.read().status == 400
    client.expect_close()


@pytest.mark.parametrize("header", [b"PROXY TCP4 1.1.1.1 2.2.2.2 1 99999\r\n", b"PROXY TCP9 1.1.1.1 2.2.2.2 1 2\r\n",
                                    b"PROXY TCP4 1.1.1.1 2.2.2.2 1 2\n", b"PROXY " + b"x" * 200 + b"\r\n", b"GET / HTTP/1.1\r\n",
                                    V2[:12] + b"\x31" + V2[13:], V2[:14] + b"\xff\xff" + V2[16:]],
                         ids=["port", "family", "lf", "long", "absent", "v2-version", "v2-length"])
def test_row_068_a_malformed_header_where_it_is_enabled(pair, header):
    proxy = pair(listen=[{"address": f"127.0.0.1:{free_port()}", "proxy_protocol": True}])
    client = proxy.client()
    client.send_while_open(header + get("/smuggled"))
    client.half_close()
    assert client.ends()[1] == b""
    proxy.finish()
    proxy.upstream.settle()
    assert proxy.upstream.received == b""


def test_row_069_the_table_of_clients_is_bounded(pair):
    proxy = pair(serve(response()), limits=[{"name": "each", "rate": "1/h", "burst": 1}], clients={"max": 1000}, **TRUSTING)
    client = proxy.client()
    before = proxy.sluice.memory()[0]
    for batch in range(100):
        addresses = [f"10.{batch}.{n // 250}.{n % 250}" for n in range(200)]
        client.send(b"".join(get(fields=[("X-Forwarded-For", address)]) for address in addresses))
        for _ in addresses:
            assert client.read().status in (200, 429)
    table = proxy.sluice.stats()["clients"]
    assert table["max"] == 1000 and 0 < table["tracked"] <= 1000
    assert proxy.sluice.memory()[0] - before < 8 * MIB


def test_row_069_a_flood_of_addresses_does_not_give_quota_back(pair):
    proxy = pair(serve(response()), limits=[{"name": "each", "rate": "1/h", "burst": 1}], clients={"max": 1000}, **TRUSTING)
    client = proxy.client()
    assert client.get(fields=[("X-Forwarded-For", "9.9.9.9")]).status == 200
    for batch in range(20):
        addresses = [f"10.{batch}.0.{n}" for n in range(200)]
        client.send(b"".join(get(fields=[("X-Forwarded-For", address)]) for address in addresses))
        for _ in addresses:
            client.read()
    assert client.get(fields=[("X-Forwarded-For", "9.9.9.9")]).status == 429
