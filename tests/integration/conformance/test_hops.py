"""Rows 49 to 59: fields of one hop, Expect, interim answers, answers without a body."""

import pytest

from support.client import get
from support.upstream import chunked, once, response, serve
from support.wait import wait_until

OK = response(body=b"ok")


def test_row_049_connection_cannot_remove_what_the_proxy_adds(pair):
    proxy = pair()
    client = proxy.client()
    names = "X-Forwarded-For, X-Forwarded-Proto, X-Forwarded-Host, Via, X-Request-Id, Host, Content-Length, X-Mine"
    answer = client.ask(get("/x", method="POST", fields=[("Connection", names), ("X-Mine", "1"), ("X-Other", "2")], body=b"hello"))
    assert answer.status == 200
    request = proxy.upstream.request()
    assert request.one("X-Forwarded-For") == "127.0.0.1"
    assert request.one("X-Forwarded-Proto") == "http"
    assert request.one("X-Forwarded-Host") == "a.example"
    assert request.has("Via") and request.has("X-Request-Id") and request.has("Host")
    assert request.one("Content-Length") == "5" and request.body == b"hello"
    assert not request.has("X-Mine") and request.one("X-Other") == "2"


def test_row_049_fields_of_one_hop_end_here(pair):
    proxy = pair()
    hop = [("Connection", "X-One, x-two"), ("Connection", "X-Three"), ("X-One", "1"), ("X-Two", "2"), ("X-Three", "3"),
           ("Keep-Alive", "timeout=5"), ("Proxy-Connection", "keep-alive"), ("Proxy-Authenticate", "x"), ("Trailer", "X")]
    assert proxy.client().get(fields=hop).status == 200
    for name, _ in hop[2:]:
        assert not proxy.upstream.request().has(name), name


@pytest.mark.parametrize("connection", ["X-Hop", "x-hop, X-More", "close, X-Hop", "keep-alive, X-Hop"])
def test_row_050_fields_of_one_hop_in_a_response_end_here(pair, connection):
    answer = response(body=b"ok", fields=[("Connection", connection), ("X-Hop", "1"), ("Keep-Alive", "timeout=9"), ("X-Stays", "2")])
    proxy = pair(serve(answer))
    got = proxy.client().get()
    assert got.status == 200 and got.body == b"ok"
    assert not got.has("X-Hop") and not got.has("Keep-Alive") and got.one("X-Stays") == "2"


def test_row_049_trailers_may_be_what_connection_names(pair):
    proxy = pair()
    body = chunked(b"hello", trailers=[("X-Mine", "1"), ("X-Other", "2")])
    head = b"POST /x HTTP/1.1\r\nHost: a.example\r\nTransfer-Encoding: chunked\r\nConnection: X-Mine\r\n\r\n"
    assert proxy.client().ask(head + body).status == 200
    request = proxy.upstream.request()
    assert request.body == b"hello" and request.trailers == []


def test_row_050_so_may_those_of_a_response(pair):
    head = b"HTTP/1.1 200 Fine\r\nTransfer-Encoding: chunked\r\nConnection: X-Hop\r\n\r\n"
    proxy = pair(serve(head + chunked(b"hello", trailers=[("X-Hop", "1")])))
    answer = proxy.client().get()
    assert answer.body == b"hello" and answer.trailers == []


@pytest.mark.parametrize("value", ["gzip", "deflate;q=0.5", "gzip, trailers", "trailers", "trailers, deflate;q=0.5"])
def test_row_051_of_te_only_trailers_passes(pair, value):
    proxy = pair()
    assert proxy.client().get(fields=[("TE", value), ("Connection", "TE")]).status == 200
    passed = ["trailers"] if "trailers" in value else []
    assert [v.lower() for v in proxy.upstream.request().all("TE")] == passed


def test_row_052_h2c_is_never_forwarded(pair):
    proxy = pair()
    client = proxy.client()
    fields = [("Connection", "Upgrade, HTTP2-Settings"), ("Upgrade", "h2c"), ("HTTP2-Settings", "AAMAAABkAARAAAAAAAIAAAAA")]
    assert client.get(fields=fields).status == 200
    request = proxy.upstream.request()
    assert not request.has("Upgrade") and not request.has("HTTP2-Settings")
    assert "upgrade" not in ",".join(request.all("Connection")).lower()
    assert client.get("/next").status == 200


def test_row_053_bytes_behind_a_refused_upgrade_are_the_next_request(pair):
    proxy = pair()
    client = proxy.client()
    upgrade = [("Connection", "Upgrade"), ("Upgrade", "websocket"), ("Sec-WebSocket-Key", "AAAAAAAAAAAAAAAAAAAAAA=="),
               ("Sec-WebSocket-Version", "13")]
    client.send(get("/socket", fields=upgrade) + get("/next") + b"GET /bad HTTP/1.1\r\n\r\n")
    assert [client.read().status for _ in range(3)] == [200, 200, 400]
    client.expect_close()
    assert [request.target for request in proxy.upstream.requests] == ["/socket", "/next"]


def test_row_054_a_101_nobody_asked_for(pair):
    proxy = pair(once(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nraw", after="hang"))
    answer = proxy.client().get()
    assert answer.status == 502 and b"raw" not in answer.body


def continue_script(connection):
    """Sends 100 when it is asked for, and answers when the body is there."""
    while head := connection.read_head():
        if head.has("Expect"):
            connection.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        if not connection.read_body(head):
            return
        connection.send(OK)


@pytest.mark.parametrize("expect", ["100-continue", "100-Continue"])
def test_row_055_the_body_follows_the_100(pair, expect):
    proxy = pair(continue_script)
    client = proxy.client()
    client.send(b"PUT /x HTTP/1.1\r\nHost: a.example\r\nExpect: %s\r\nContent-Length: 5\r\n\r\n" % expect.encode())
    assert client.read_head().status == 100
    assert client.ask(b"hello", "PUT").status == 200
    assert proxy.upstream.request().body == b"hello"
    assert client.get("/next").status == 200


def early_answer(status):
    """Answers /x as soon as its head is there, without 100, and other requests when they are complete."""

    def script(connection):
        while head := connection.read_head():
            if head.target != "/x":
                connection.read_body(head)
                connection.send(OK)
                continue
            connection.send(response(status, b"no"))
            connection.read_body(head)

    return script


def test_row_055_a_final_answer_instead_of_the_100_is_relayed(pair):
    proxy = pair(early_answer(401))
    client = proxy.client()
    body = get("/smuggled")
    client.send(b"PUT /x HTTP/1.1\r\nHost: a.example\r\nExpect: 100-continue\r\nContent-Length: %d\r\n\r\n" % len(body))
    answer = client.read()
    assert answer.status == 401 and answer.interim == [] and answer.body == b"no"
    # What follows is the body, if anything is: the proxy either closes, or takes it for that and nothing else.
    client.send_while_open(body + get("/next"))
    if answer.has("Connection"):
        assert client.ends()[1] == b""
    else:
        assert client.read().status == 200
        assert client.still_open()
    proxy.finish()
    proxy.upstream.settle()
    assert "/smuggled" not in [request.target for request in proxy.upstream.requests]


@pytest.mark.parametrize("expect", ["y 100-continue", "200-ok", "100-continue, x", "100-continue;q=1", "100continue", ""])
def test_row_056_any_other_expectation(pair, expect):
    proxy = pair()
    client = proxy.client()
    client.send(get("/x", method="POST", fields=[("Expect", expect)], body=b"hello"))
    assert client.read().status == 417
    proxy.finish()
    proxy.upstream.settle()
    assert proxy.upstream.received == b""


INTERIM = (b"HTTP/1.1 100 Continue\r\n\r\n" b"HTTP/1.1 102 Processing\r\nX-Progress: 1\r\n\r\n"
           b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\nLink: </b.js>; rel=preload\r\n\r\n")


def test_row_057_interim_answers_are_relayed(pair):
    proxy = pair(serve(INTERIM + OK))
    client = proxy.client()
    for _ in range(2):
        answer = client.get()
        assert answer.status == 200 and answer.body == b"ok"
        assert [interim.status for interim in answer.interim] == [100, 102, 103]
        assert answer.interim[1].one("X-Progress") == "1"
        assert len(answer.interim[2].all("Link")) == 2


def test_row_057_interim_answers_come_when_they_are_sent(pair):
    proxy = pair(once(b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n", after="hang"))
    client = proxy.client()
    client.send(get())
    assert client.read_head().status == 103


def test_row_057_http_1_0_gets_no_interim_answers(pair):
    proxy = pair(serve(INTERIM + OK))
    answer = proxy.client().get(version="1.0")
    assert answer.status == 200 and answer.interim == []


@pytest.mark.parametrize("method,answer", [
    ("HEAD", b"HTTP/1.1 200 Fine\r\nContent-Length: 5\r\n\r\nhello"),
    ("HEAD", b"HTTP/1.1 200 Fine\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"),
    ("GET", b"HTTP/1.1 204 None\r\n\r\nhello"),
    ("GET", b"HTTP/1.1 304 Same\r\n\r\nhello"),
    ("GET", b"HTTP/1.1 304 Same\r\nContent-Length: 5\r\n\r\nhello"),
    ("GET", b"HTTP/1.1 204 None\r\n\r\nHTTP/1.1 200 Fine\r\nContent-Length: 6\r\n\r\npoison"),
], ids=["head-length", "head-chunked", "204", "304", "304-length", "204-poison"])
def test_row_058_bytes_behind_an_answer_without_body(pair, method, answer):
    def script(connection):
        if connection.index == 0:
            once(answer, after="hang")(connection)
        else:
            serve(OK)(connection)

    proxy = pair(script)
    client = proxy.client()
    got = client.ask(get(method=method))
    assert got.status in (200, 204, 304) and got.body == b""
    assert proxy.upstream.connections[0].wait_gone(), "the upstream's connection is kept"
    assert client.get("/next").body == b"ok"


def test_row_058_head_is_answered_with_the_length_it_would_have(pair):
    proxy = pair(serve(b"HTTP/1.1 200 Fine\r\nContent-Length: 12345\r\n\r\n"))
    client = proxy.client()
    for _ in range(2):
        assert client.ask(get(method="HEAD")).one("Content-Length") == "12345"
    assert len(proxy.upstream.connections) == 1


@pytest.mark.parametrize("method", ["GET", "DELETE", "OPTIONS"])
def test_row_059_a_body_on_any_method_is_forwarded(pair, method):
    proxy = pair()
    client = proxy.client()
    assert client.ask(get("/x", method=method, body=b"hello")).status == 200
    assert proxy.upstream.request().body == b"hello"
    chunks = f"{method} /y HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n".encode() + b"3\r\nabc\r\n0\r\n\r\n"
    assert client.ask(chunks).status == 200
    wait_until(lambda: len(proxy.upstream.requests) == 2, "the second request")
    assert proxy.upstream.requests[1].body == b"abc"
