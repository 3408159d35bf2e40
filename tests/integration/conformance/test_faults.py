"""What a client sees when something breaks, row by row (README.md). After each, nothing may be left over."""

import collections
import pathlib
import signal
import socket
import ssl
import subprocess
import threading
import time

import pytest

from support.client import expect_problem, get
from support.ports import free_port
from support.sluice import SANITIZER_MEMORY
from support.tls import SecureClient
from support.upstream import Blackhole, Refusing, chunked, in_turn, once, response, serve
from support.wait import DEADLINE, PATIENCE, wait_until
from support.wire import Ended

KIB, MIB = 1 << 10, 1 << 20
OK = response(body=b"ok")
CHUNKED = b"HTTP/1.1 200 Fine\r\nTransfer-Encoding: chunked\r\n\r\n"


SLOTS = {"name": "slots", "algorithm": "concurrency", "key": "global", "max": 1000}


@pytest.fixture
def pair(pair):
    """Each request in flight holds a slot, and in the end all are free again."""
    made = []

    def start(*arguments, **config):
        made.append(pair(*arguments, **{"limits": [SLOTS], **config}))
        return made[-1]

    yield start
    for each in made:
        if each.sluice.alive() and each.sluice.config["limits"] == [SLOTS]:
            each.leave()
            wait_until(lambda: each.sluice.admin_json("/explain")["limits"][0]["remaining"] == SLOTS["max"], "all slots are free")


# upstream refuses the connection


def test_section_3_row_01_a_refused_connection_tries_another_server(pair, closing):
    proxy = pair(before=[closing(Refusing()).address])
    client = proxy.client()
    assert [client.get().status for _ in range(4)] == [200] * 4
    assert client.ask(get(method="POST", body=b"hello")).status == 200
    assert client.ask(get(method="POST", body=b"hello")).status == 200


def test_section_3_row_01_502_when_no_server_is_left(pair, closing):
    proxy = pair(upstream=closing(Refusing()).address)
    client = proxy.client()
    expect_problem(client.get(), 502)
    expect_problem(client.ask(get(method="POST", body=b"hello")), 502)


# connecting takes too long


def test_section_3_row_02_a_hanging_connect_tries_another_server(pair, closing):
    proxy = pair(before=[closing(Blackhole()).address], app={"connect_timeout": "200ms"})
    client = proxy.client()
    assert [client.get().status for _ in range(2)] == [200] * 2


def test_section_3_row_02_504_when_no_server_is_left(pair, closing):
    app = {"servers": [closing(Blackhole()).address], "connect_timeout": "200ms"}
    client = pair(app=app).client()
    start = time.monotonic()
    expect_problem(client.get(), 504)
    assert 0.15 < time.monotonic() - start < 3 * PATIENCE


# reset or EOF before any byte of the answer


@pytest.mark.parametrize("method,body", [("GET", None), ("POST", b"hello")])
@pytest.mark.parametrize("end", ["close", "reset"])
def test_section_3_row_03_no_answer_at_all(pair, end, method, body):
    proxy = pair(once(b"", after=end))
    client = proxy.client()
    expect_problem(client.ask(get(method=method, body=body)), 502)
    assert len(proxy.upstream.requests) == 1, "a request on a fresh connection is not sent again"


# the same on a reused idle connection


def dies_on_its_second_request(end):
    def script(connection):
        if connection.read_request():
            connection.send(OK)
        if connection.index == 0:
            connection.read_request()
            getattr(connection, end)()
        else:
            serve(OK)(connection)

    return script


@pytest.mark.parametrize("end", ["close", "reset"])
@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "DELETE", "PUT"])
def test_section_3_row_04_an_idempotent_request_is_sent_once_more(pair, end, method):
    proxy = pair(dies_on_its_second_request(end))
    client = proxy.client()
    assert client.get("/first").status == 200
    assert client.ask(get("/second", method=method)).status == 200
    assert [request.target for request in proxy.upstream.requests] == ["/first", "/second", "/second"]


@pytest.mark.parametrize("end", ["close", "reset"])
@pytest.mark.parametrize("method,body", [("POST", b"hello"), ("POST", None), ("PATCH", b"hello")])
def test_section_3_row_04_any_other_request_is_not(pair, end, method, body):
    proxy = pair(dies_on_its_second_request(end))
    client = proxy.client()
    assert client.get("/first").status == 200
    expect_problem(client.ask(get("/second", method=method, body=body)), 502)
    assert [request.target for request in proxy.upstream.requests] == ["/first", "/second"]


@pytest.mark.parametrize("timeouts", [{"body": "6s"}, {"body": "200ms"}])
def test_section_3_row_07_it_is_the_upstreams_turn_while_the_client_waits_for_a_100(pair, timeouts):
    """The client is not told that its body came too late, nor refused while the upstream still has time."""
    proxy = pair(lambda connection: connection.read_head() and connection.hang(), app={"response_timeout": "1s"}, timeouts=timeouts)
    client = proxy.client()
    start = time.monotonic()
    client.send(b"PUT / HTTP/1.1\r\nHost: a.example\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n")
    expect_problem(client.read(), 504)
    assert 0.9 < time.monotonic() - start < 5 * PATIENCE


def test_section_3_row_07_who_was_told_to_go_on_has_timeouts_body(pair):
    def script(connection):
        connection.read_head()
        connection.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        connection.hang()

    proxy = pair(script, app={"response_timeout": "60s"}, timeouts={"body": "500ms"})
    client = proxy.client()
    client.send(b"PUT / HTTP/1.1\r\nHost: a.example\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n")
    assert client.read_head().status == 100
    expect_problem(client.read(), 408)


def test_section_3_row_04_a_body_that_is_still_to_come_can_be_sent_again(pair):
    """The client waits for a 100, which only the second connection sends."""

    def script(connection):
        if connection.index == 0:
            connection.read_request()
            connection.send(OK)
            connection.read_head()
            connection.close()
        else:
            request = connection.read_head()
            connection.send(b"HTTP/1.1 100 Continue\r\n\r\n")
            connection.read_body(request)
            connection.send(OK)

    proxy = pair(script)
    client = proxy.client()
    assert client.get("/first").status == 200
    client.send(b"PUT /second HTTP/1.1\r\nHost: a.example\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n")
    assert client.read_head().status == 100
    client.send(b"hello")
    assert client.read().status == 200
    assert [request.target for request in proxy.upstream.requests] == ["/first", "/second", "/second"]
    assert proxy.upstream.requests[-1].body == b"hello"


def test_section_3_row_04_a_body_of_which_some_was_sent_can_not(pair):
    def script(connection):
        connection.read_request()
        connection.send(OK)
        connection.read_request()
        connection.close()

    proxy = pair(script)
    client = proxy.client()
    assert client.get("/first").status == 200
    client.send(b"PUT /second HTTP/1.1\r\nHost: a.example\r\nContent-Length: 10\r\n\r\n")
    proxy.upstream.wait_for_requests(2)
    client.send(b"helloworld")
    expect_problem(client.read(), 502)
    assert len(proxy.upstream.requests) == 2


def test_section_3_row_04_only_once(pair):
    def script(connection):
        if connection.index == 0:
            dies_on_its_second_request("close")(connection)
        else:
            once(b"")(connection)

    proxy = pair(script)
    client = proxy.client()
    assert client.get("/first").status == 200
    expect_problem(client.get("/second"), 502)
    assert len(proxy.upstream.requests) == 3


@pytest.mark.parametrize("end", ["close", "reset"])
def test_section_3_row_04_an_idle_connection_that_closed_is_not_used(pair, end):
    """Even a POST succeeds: the proxy sees that the connection is gone before it writes."""
    proxy = pair(once(OK, after=end))
    client = proxy.client()
    for count in range(1, 4):
        assert client.ask(get(method="POST", body=b"hello")).status == 200
        proxy.upstream.wait_script_ended(count - 1)
    assert len(proxy.upstream.requests) == 3


# malformed or cut head; bad or duplicate Content-Length; Transfer-Encoding with Content-Length


def ok_with(*lines):
    return b"HTTP/1.1 200 Fine\r\n" + b"".join(line + b"\r\n" for line in lines) + b"\r\nhello"


MALFORMED = {
    "garbage": b"\x16\x03\x01 this is not HTTP\r\n\r\n", "empty-lines": b"\r\n\r\n\r\n\r\n", "http2": b"HTTP/2 200 OK\r\n\r\n",
    "http2.0": b"HTTP/2.0 200 OK\r\n\r\n", "lower-case": b"http/1.1 200 OK\r\n\r\n", "four-digits": b"HTTP/1.1 2000 OK\r\n\r\n",
    "two-digits": b"HTTP/1.1 20 OK\r\n\r\n", "no-digits": b"HTTP/1.1 abc OK\r\n\r\n", "code-099": b"HTTP/1.1 099 OK\r\n\r\n",
    "no-colon": ok_with(b"Content-Length: 5", b"nonsense"), "space-before-colon": ok_with(b"Content-Length : 5"),
    "empty-name": ok_with(b"Content-Length: 5", b": x"), "nul": ok_with(b"Content-Length: 5", b"X: a\x00b"),
    "bare-cr": ok_with(b"Content-Length: 5", b"X: a\rb"), "fold": ok_with(b"X: a", b" b", b"Content-Length: 5"),
    "bare-lf": b"HTTP/1.1 200 Fine\nContent-Length: 5\n\nhello",
    "length-sign": ok_with(b"Content-Length: +5"), "length-negative": ok_with(b"Content-Length: -5"),
    "length-hex": ok_with(b"Content-Length: 0x5"), "length-empty": ok_with(b"Content-Length:"),
    "length-list": ok_with(b"Content-Length: 5, 5"), "length-2^64": ok_with(b"Content-Length: 18446744073709551616"),
    "lengths-equal": ok_with(b"Content-Length: 5", b"Content-Length: 5"),
    "lengths-at-odds": ok_with(b"Content-Length: 5", b"Content-Length: 6"),
    "length-and-chunked": ok_with(b"Content-Length: 5", b"Transfer-Encoding: chunked"),
    "chunked-and-length": ok_with(b"Transfer-Encoding: chunked", b"Content-Length: 5"),
    "coding-unknown": ok_with(b"Transfer-Encoding: xchunked"), "coding-twice": ok_with(b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked"),
    "chunked-not-last": ok_with(b"Transfer-Encoding: chunked, gzip"), "coding-empty": ok_with(b"Transfer-Encoding:"),
    "endless": b"HTTP/1.1 200 Fine\r\nX: " + b"x" * 4 * MIB,
    "too-many-interim": b"HTTP/1.1 103 Early Hints\r\n\r\n" * 10000 + OK,
}


@pytest.mark.parametrize("name", MALFORMED)
def test_section_3_row_05_a_malformed_head(pair, name):
    proxy = pair(in_turn(once(MALFORMED[name], after="hang"), serve(OK)))
    client = proxy.client()
    expect_problem(client.get("/bad"), 502)
    assert proxy.upstream.connections[0].wait_gone(), "the upstream's connection is kept"
    assert client.get("/next").status == 200


@pytest.mark.parametrize("sent", [b"H", b"HTTP/1.1 200", b"HTTP/1.1 200 Fine\r\n", b"HTTP/1.1 200 Fine\r\nContent-Length: 5\r\n",
                                  b"HTTP/1.1 200 Fine\r\nContent-Length: 5\r\n\r"])
@pytest.mark.parametrize("end", ["close", "reset"])
def test_section_3_row_05_a_cut_head(pair, sent, end):
    proxy = pair(in_turn(once(sent, after=end), serve(OK)))
    client = proxy.client()
    expect_problem(client.get("/bad"), 502)
    assert len(proxy.upstream.requests) == 1
    assert client.get("/next").status == 200


@pytest.mark.parametrize("line", [b"HTTP/1.1 200", b"HTTP/1.1 200 ", b"HTTP/1.0 200 OK"])
def test_section_3_row_05_what_servers_really_send_is_taken(pair, line):
    proxy = pair(serve(line + b"\r\nContent-Length: 5\r\n\r\nhello"))
    assert proxy.client().get().body == b"hello"


# 103 only, then close


@pytest.mark.parametrize("end", ["close", "reset"])
def test_section_3_row_06_interim_answers_only(pair, end):
    proxy = pair(once(b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n", after=end))
    client = proxy.client()
    client.send(get())
    answer = client.read()
    expect_problem(answer, 502)
    assert [interim.status for interim in answer.interim] == [103] or end == "reset"


@pytest.mark.parametrize("end", ["close", "reset"])
def test_section_3_row_06_on_a_reused_connection_they_are_no_silence(pair, end):
    """The server had begun: the request is not sent again, and it is the server that failed."""
    def script(connection):
        if connection.read_request():
            connection.send(OK)
        if connection.read_request():
            connection.send(b"HTTP/1.1 103 Early Hints\r\n\r\n")
            connection.wait_gone(0.2)  # it is read before the end comes
            getattr(connection, end)()

    proxy = pair(script)
    client = proxy.client()
    assert client.get("/first").status == 200
    expect_problem(client.get("/second"), 502)
    assert [request.target for request in proxy.upstream.requests] == ["/first", "/second"]
    upstream, = proxy.sluice.settled()["upstreams"]
    assert upstream["servers"][0]["failures"] == 1


# no complete head in response_timeout


def dripping_head(connection):
    if connection.read_request():
        connection.drip(b"HTTP/1.1 200 Fine\r\n" + b"X: yyyyyyyyyy\r\n" * 100, 0.05)


@pytest.mark.parametrize("script", [once(b"", after="hang"), once(b"HTTP/1.1 200 Fine\r\nX: y\r\n", after="hang"), dripping_head],
                         ids=["silent", "half", "dripping"])
def test_section_3_row_07_no_complete_head_in_time(pair, script):
    proxy = pair(script, app={"response_timeout": "400ms"})
    client = proxy.client()
    start = time.monotonic()
    expect_problem(client.get(), 504)
    assert 0.35 < time.monotonic() - start < 3 * PATIENCE
    assert proxy.upstream.connections[0].wait_gone()
    assert len(proxy.upstream.requests) == 1


# Content-Length cut short, chunked cut

CUT = {
    "length": b"HTTP/1.1 200 Fine\r\nContent-Length: 10\r\n\r\nhello",
    "length-nothing": b"HTTP/1.1 200 Fine\r\nContent-Length: 10\r\n\r\n",
    "chunked": CHUNKED + b"5\r\nhello\r\n", "chunked-nothing": CHUNKED, "chunk": CHUNKED + b"5\r\nhel", "size": CHUNKED + b"5\r\nhello\r\n5",
    "last": CHUNKED + b"5\r\nhello\r\n0\r\n", "last-crlf": CHUNKED + b"5\r\nhello\r\n0\r\n\r",
}


@pytest.mark.parametrize("end", ["close", "reset"])
@pytest.mark.parametrize("name", CUT)
def test_section_3_row_08_a_cut_body_resets_the_client(pair, name, end):
    proxy = pair(once(CUT[name], after=end))
    client = proxy.client()
    client.send(get())
    got = client.expect_reset()
    body = got.partition(b"\r\n\r\n")[2]
    assert not body.endswith(b"0\r\n\r\n") and b"problem" not in got and got.count(b"HTTP/1.1") <= 1


@pytest.mark.parametrize("chunk", [b"5\r\nhelloX\r\n0\r\n\r\n", b"-5\r\nhello\r\n", b"5;\x00\r\nhello\r\n0\r\n\r\n", b"5\nhello\n0\n\n",
                                   b"zz\r\n", b"fffffffffffffffff\r\n", b"0\r\nbad trailer\r\n\r\n"])
def test_section_3_row_08_a_malformed_chunk_resets_the_client(pair, chunk):
    proxy = pair(once(CHUNKED + b"3\r\nabc\r\n" + chunk, after="hang"))
    client = proxy.client()
    client.send(get())
    got = client.expect_reset()
    assert not got.endswith(b"0\r\n\r\n") and got.count(b"HTTP/1.1") <= 1
    assert proxy.upstream.connections[0].wait_gone()


def test_section_3_row_08_a_stalled_body_resets_the_client(pair):
    proxy = pair(once(CUT["length"], after="hang"), app={"stall_timeout": "400ms"})
    client = proxy.client()
    client.send(get())
    client.expect_reset()
    assert proxy.upstream.connections[0].wait_gone()


# bytes behind a complete answer


@pytest.mark.parametrize("answer", [OK, CHUNKED + chunked(b"ok")], ids=["length", "chunked"])
@pytest.mark.parametrize("extra", [b"x", b"HTTP/1.1 200 Fine\r\nContent-Length: 6\r\n\r\npoison"], ids=["byte", "response"])
def test_section_3_row_09_bytes_behind_an_answer_are_discarded(pair, answer, extra):
    proxy = pair(in_turn(once(answer + extra, after="hang"), serve(response(body=b"next"))))
    client = proxy.client()
    assert client.get("/one").body == b"ok"
    assert client.get("/two").body == b"next"
    assert proxy.upstream.connections[0].wait_gone(), "the poisoned connection is kept"
    assert len(proxy.upstream.connections) == 2


def test_section_3_row_09_bytes_that_come_later_are_discarded_too(pair):
    def script(connection):
        if connection.index:
            return serve(response(body=b"next"))(connection)
        connection.read_request()
        connection.send(OK)
        first_answered.wait()
        connection.send(b"HTTP/1.1 200 Fine\r\nContent-Length: 6\r\n\r\npoison")
        connection.hang()

    first_answered = threading.Event()
    proxy = pair(script)
    client = proxy.client()
    assert client.get("/one").body == b"ok"
    first_answered.set()
    assert proxy.upstream.connections[0].wait_gone(), "a pooled connection that speaks unasked is kept"
    assert client.get("/two").body == b"next"


# answer ended by close

CLOSED = b"HTTP/1.1 200 Fine\r\nX-Kind: close\r\n\r\n" + b"until the end"


def test_section_3_row_10_an_answer_ended_by_close_is_chunked_to_1_1(pair):
    proxy = pair(once(CLOSED))
    client = proxy.client()
    for _ in range(2):
        answer = client.get()
        assert (answer.status, answer.framing, answer.body) == (200, "chunked", b"until the end")


def test_section_3_row_10_and_ended_by_close_to_1_0(pair):
    proxy = pair(once(CLOSED))
    answer = proxy.client().get(version="1.0")
    assert (answer.status, answer.framing, answer.body) == (200, "close", b"until the end")


@pytest.mark.parametrize("version", ["1.1", "1.0"])
def test_section_3_row_10_a_reset_is_an_abort_and_no_end(pair, version):
    proxy = pair(once(CLOSED, after="reset"))
    client = proxy.client()
    client.send(get(version=version))
    assert not client.expect_reset().endswith(b"0\r\n\r\n")


def test_section_3_row_10_chunked_goes_to_1_0_without_chunks(pair):
    proxy = pair(serve(CHUNKED + chunked(b"hello ", b"world", trailers=[("X-T", "1")])))
    answer = proxy.client().get(version="1.0")
    assert not answer.has("Transfer-Encoding") and answer.body == b"hello world"


# final answer while the upload runs


@pytest.mark.parametrize("chunks", [False, True], ids=["length", "chunked"])
def test_section_3_row_11_a_final_answer_while_the_upload_runs(pair, chunks):
    def script(connection):
        connection.read_head()
        connection.wire.exactly(10)
        connection.send(response(403, b"enough"))
        connection.hang()

    proxy = pair(script)
    client = proxy.client()
    framing = b"Transfer-Encoding: chunked" if chunks else b"Content-Length: %d" % (64 * MIB)
    client.send(b"POST / HTTP/1.1\r\nHost: a.example\r\n" + framing + b"\r\n\r\n" + (b"100000\r\n" if chunks else b"") + b"x" * 20)
    answer = client.read()
    assert answer.status == 403 and answer.body == b"enough"
    assert answer.one("Connection").lower() == "close"
    # Lingering: a client that is still sending is not hit by a reset before it could have read the answer.
    assert client.send_while_open(b"x" * 1000)
    client.half_close()
    client.expect_close()
    assert proxy.upstream.connections[0].wait_gone()


def test_section_3_row_11_a_client_that_writes_all_before_it_reads_gets_the_answer(pair):
    proxy = pair(lambda connection: connection.read_head() and (connection.send(response(403, b"enough")), connection.hang()))
    client = proxy.client()
    client.send_while_open(get("/", method="POST", body=b"x" * 8 * MIB))
    assert client.read().status == 403


# client goes away


def test_section_3_row_12_the_exchange_is_cancelled_when_the_client_resets(pair):
    proxy = pair(once(b"", after="hang"), limits=[{"name": "two", "rate": "1/h", "burst": 2}])
    client = proxy.client()
    client.send(get())
    proxy.upstream.wait_for_requests(1)
    client.reset()
    assert proxy.upstream.connections[0].wait_gone(1.0 * PATIENCE), "the upstream's exchange goes on after a second"
    # What it spent stays spent.
    proxy.upstream.script = serve(OK)
    assert [proxy.client().get().status for _ in range(2)] == [200, 429]


@pytest.mark.parametrize("leave", ["close", "reset"])
def test_section_3_row_12_and_when_it_leaves_in_the_middle_of_the_answer(pair, leave):
    def stream(connection):
        connection.read_request()
        connection.send(CHUNKED)
        while not connection.ended.is_set() and not connection.upstream.stopping.is_set():
            connection.sock.settimeout(1)
            connection.sock.sendall(b"400\r\n" + b"x" * KIB + b"\r\n")
            connection.gone(0.02)

    proxy = pair(stream)
    client = proxy.client()
    client.send(get())
    client.read_head()
    getattr(client, leave)()
    assert proxy.upstream.connections[0].wait_gone(1.0 * PATIENCE)


@pytest.mark.parametrize("leave", ["close", "reset"])
def test_section_3_row_12_and_when_it_leaves_in_the_middle_of_its_upload(pair, leave):
    proxy = pair(lambda connection: connection.read_request() or connection.hang())
    client = proxy.client()
    client.send(b"POST / HTTP/1.1\r\nHost: a.example\r\nContent-Length: 1000\r\n\r\npart")
    proxy.upstream.wait_for_requests(1)
    getattr(client, leave)()
    assert proxy.upstream.connections[0].wait_gone(1.0 * PATIENCE)
    assert not proxy.upstream.requests[0].complete


# client closes its sending half after a complete request


@pytest.mark.parametrize("method,body", [("GET", None), ("POST", b"hello")])
def test_section_3_row_13_a_half_closed_client_gets_its_answer(pair, method, body):
    go_on = threading.Event()

    def script(connection):
        connection.read_request()
        go_on.wait()
        connection.send(response(body=b"x" * MIB))
        connection.hang()

    proxy = pair(script)
    client = proxy.client()
    client.send(get(method=method, body=body))
    client.half_close()
    proxy.upstream.wait_for_requests(1)
    go_on.set()
    assert len(client.read().body) == MIB
    client.expect_close()


# client stops reading


def test_section_3_row_14_a_client_that_stops_reading_holds_its_upstream_back(pair):
    sent = [0]

    def stream(connection):
        connection.read_request()
        connection.send(b"HTTP/1.1 200 Fine\r\nContent-Length: %d\r\n\r\n" % (256 * MIB))
        piece = b"x" * 64 * KIB
        connection.sock.settimeout(60)
        for _ in range(256 * MIB // len(piece)):
            connection.sock.sendall(piece)
            sent[0] += len(piece)

    proxy = pair(stream, timeouts={"write": "1500ms"})
    client = proxy.client(receive_buffer=4096)
    client.send(get())
    client.read_head()
    # By the time that timeouts.write closes it, only the sockets' buffers were filled.
    wait_until(lambda: proxy.sluice.stats()["requests"]["in_flight"] == 0, "the end of the exchange")
    assert 0 < sent[0] < 64 * MIB
    assert proxy.sluice.memory()[1] < 64 * MIB


def test_an_answer_that_was_given_up_on_does_not_end_like_a_whole_one(pair):
    """An HTTP/1.0 client takes the end of the connection for the end of the answer: only a reset says otherwise."""
    def stream(connection):
        connection.read_request()
        piece = b"%x\r\n%s\r\n" % (64 * KIB, b"x" * 64 * KIB)
        connection.send(b"HTTP/1.1 200 Fine\r\nTransfer-Encoding: chunked\r\n\r\n" + 1024 * piece + b"0\r\n\r\n")

    proxy = pair(stream, timeouts={"write": "400ms"})
    client = proxy.client(receive_buffer=4096)
    client.send(get(version="1.0"))
    wait_until(lambda: proxy.sluice.stats()["requests"]["in_flight"] == 1, "the request")
    wait_until(lambda: proxy.sluice.stats()["requests"]["in_flight"] == 0, "the end of the exchange")
    assert len(client.expect_reset()) < 64 * MIB


# all servers unhealthy, max.connections reached, draining


def unavailable(answer):
    expect_problem(answer, 503)
    assert int(answer.one("Retry-After")) >= 1
    assert answer.one("Connection").lower() == "close"


def test_section_3_row_15_max_connections_reached(pair):
    proxy = pair(max={"connections": 4})
    first = [proxy.client() for _ in range(4)]
    assert [client.get().status for client in first] == [200] * 4
    for _ in range(3):
        fifth = proxy.client()
        fifth.send(get())
        unavailable(fifth.read())
        fifth.expect_close()
    assert first[0].get().status == 200
    first[0].close()
    wait_until(lambda: proxy.sluice.stats()["connections"]["open"] == 3, "the place")
    assert proxy.client().get().status == 200
    assert proxy.sluice.stats()["connections"]["refused"] == 3


def test_section_3_row_15_all_servers_unhealthy(pair):
    healthy = [True]

    def script(connection):
        while request := connection.read_request():
            connection.send(response(200 if healthy[0] or request.target != "/healthz" else 500, b"ok"))

    health = {"path": "/healthz", "interval": "50ms", "timeout": "1s", "healthy_after": 1, "unhealthy_after": 2}
    proxy = pair(script, app={"health": health})
    assert proxy.client().get().status == 200
    healthy[0] = False
    wait_until(lambda: proxy.sluice.ask_admin("GET", "/readyz")[0] == 503, "not ready")
    client = proxy.client()
    client.send(get())
    unavailable(client.read())
    client.expect_close()
    healthy[0] = True
    wait_until(lambda: proxy.sluice.ask_admin("GET", "/readyz")[0] == 200, "ready again")
    assert proxy.client().get().status == 200


def test_section_3_row_15_draining(pair):
    go_on = threading.Event()

    def script(connection):
        while request := connection.read_request():
            if request.target == "/slow":
                go_on.wait()
            connection.send(OK)

    proxy = pair(script)
    slow, idle = proxy.client(), proxy.client()
    assert idle.get().status == 200
    slow.send(get("/slow"))
    proxy.upstream.wait_for_requests(2)
    proxy.sluice.send_signal(signal.SIGTERM)
    wait_until(lambda: proxy.sluice.ask_admin("GET", "/readyz")[0] == 503, "not ready")
    # A request that was on its way when the drain began may still be served, and is told that it is the last.
    if idle.send_while_open(get("/late")):
        outcome, got = idle.ends()
        assert got == b"" or (got.startswith(b"HTTP/1.1 200 ") and b"\r\nConnection: close\r\n" in got), got
    try:
        with socket.create_connection(proxy.sluice.address, 5) as late:
            late.sendall(get("/later"))
            got = late.recv(4096)
        assert got == b"" or got.startswith(b"HTTP/1.1 503 "), got
    except ConnectionError:
        pass
    go_on.set()
    assert slow.read().status == 200
    slow.expect_close()
    proxy.sluice.stop()
    assert "/later" not in {request.target for request in proxy.upstream.requests}


# out of descriptors or memory for one request


@pytest.mark.skipif(SANITIZER_MEMORY != 1, reason="a sanitizer's own memory would be the first to fail")
@pytest.mark.parametrize("accepted", ["before", "behind"])
def test_section_3_row_16_out_of_memory(pair, accepted):
    """No address space for more stacks than the first slab's 256: the others wait until some are free again. A request
    may come before its connection is accepted, or behind."""

    def script(connection):
        if connection.read_request():
            connection.upstream.go_on.wait(DEADLINE)
            connection.send(OK)

    proxy = pair(script)
    proxy.upstream.go_on = threading.Event()
    pages = int(pathlib.Path(f"/proc/{proxy.sluice.pid}/statm").read_text().split()[0])
    subprocess.run(["prlimit", "--pid", str(proxy.sluice.pid), f"--as={pages * 4096 + (40 << 20)}"], check=True)
    if accepted == "behind":
        proxy.sluice.send_signal(signal.SIGSTOP)
    clients = [proxy.client() for _ in range(400)]
    for client in clients:
        client.send(get())
    if accepted == "behind":
        proxy.sluice.send_signal(signal.SIGCONT)
    proxy.upstream.wait_for_requests(200)
    assert proxy.sluice.alive()
    proxy.upstream.go_on.set()
    assert collections.Counter(client.read().status for client in clients) == {200: 400}


@pytest.mark.skipif(SANITIZER_MEMORY != 1, reason="a sanitizer's own memory would be the first to fail")
def test_section_3_row_16_out_of_memory_in_handshakes(pair, authority):
    """Connections whose handshake finds no memory end, and nothing is left of them."""
    listen = [{"address": f"127.0.0.1:{free_port()}", "tls": authority.issue("a.example").files}]
    proxy = pair(listen=listen, sluice_options={"environment": {"MALLOC_ARENA_MAX": "1"}})  # no reserve of addresses
    context = authority.client_context()
    with SecureClient(proxy.sluice.address, context) as client:
        assert client.get().status == 200
    pid = str(proxy.sluice.pid)
    pages = int(pathlib.Path(f"/proc/{pid}/statm").read_text().split()[0])
    subprocess.run(["prlimit", "--pid", pid, f"--as={pages * 4096}:"], check=True)
    clients, failed = [], 0
    while failed < 20 and len(clients) < 2000:
        try:
            clients.append(SecureClient(proxy.sluice.address, context))
        except (ConnectionError, ssl.SSLError):
            failed += 1
    for client in clients:
        client.close()
    subprocess.run(["prlimit", "--pid", pid, "--as=unlimited:"], check=True)
    assert failed == 20
    with SecureClient(proxy.sluice.address, context) as client:
        assert client.get().status == 200


def test_section_3_row_16_out_of_descriptors(pair):
    proxy = pair(sluice_options={"limit_files": 80})
    clients = [proxy.client() for _ in range(150)]
    for client in clients:
        client.send(get())
    # Those that got a descriptor are served or told that it is overloaded; the others wait, or are closed.
    assert clients[0].read().status in (200, 503)
    spent = proxy.sluice.cpu_seconds()
    end = time.monotonic() + 1
    wait_until(lambda: time.monotonic() > end, "one second to pass")
    assert proxy.sluice.alive()
    assert proxy.sluice.cpu_seconds() - spent < 0.5, "it spins while it has no descriptors"
    for client in clients:
        client.close()

    def serves():
        try:
            with proxy.sluice.client(seconds=2) as client:
                return client.get().status == 200
        except (OSError, Ended):
            return False

    wait_until(serves, "service after the rush")
