"""A connection that ends with its answer: the end goes along with the last bytes, in one packet."""

import select

import pytest

from support.client import get
from support.upstream import chunked, once, response, serve
from support.wait import wait_until

CLOSE = [("Connection", "close")]
CHUNKED = b"HTTP/1.1 200 Fine\r\nTransfer-Encoding: chunked\r\n\r\n"
RESPOND = {"routes": [{"match": {"path": "/fixed"}, "respond": {"status": 200, "body": "ours\n"}}, {"upstream": "app"}]}


def comes_with_its_end(client, request):
    """Whether the end is there when the first bytes are."""
    poll = select.poll()
    poll.register(client.sock, select.POLLIN | select.POLLRDHUP)
    client.send(request)
    (_, events), = poll.poll(30_000)
    return events & select.POLLRDHUP != 0


@pytest.mark.parametrize("script, request_, status", [
    (serve(response(body=b"all of it")), get(fields=CLOSE), 200),
    (serve(CHUNKED + chunked(b"all ", b"of it")), get(fields=CLOSE), 200),
    (serve(response()), get(version="1.0"), 200),
    (serve(response(body=b"no body")), get(fields=CLOSE, method="HEAD"), 200),
    (once(b"HTTP/1.1 what?\r\n\r\n"), get(fields=CLOSE), 502),
    (None, get("/fixed", fields=CLOSE), 200),
    (None, b"GET / HTTP/1.1\r\n\r\n", 400),
], ids=["length", "chunks", "1.0", "HEAD", "502", "respond", "400"])
def test_an_answer_comes_with_its_end(pair, script, request_, status):
    proxy = pair(script, app={}, **RESPOND)
    for _ in range(10):  # two packets may come as fast as one
        client = proxy.client()
        assert comes_with_its_end(client, request_)
        assert client.read(request_.split()[0].decode()).status == status
        client.expect_close()


POST = b"POST / HTTP/1.%d\r\nHost: a\r\nContent-Length: 5\r\n%s\r\nhello"


@pytest.mark.parametrize("request_, at_once, later, options", [
    (POST % (1, b"Connection: close\r\n"), b"\r\n", b"", {}),  # RFC 9112 §2.2: some clients send one more
    (POST % (0, b""), b"\r\n", b"", {}),
    (get(), b"", get(), {"max": {"requests_per_connection": 1}}),
], ids=["close", "1.0", "one-request"])
def test_what_comes_behind_the_last_request_destroys_no_answer(pair, request_, at_once, later, options):
    """Closing a socket with bytes unread is a reset, and what the client has not read yet is lost with it."""
    proxy = pair(serve(response(body=b"x" * (1 << 20))), **options)
    client = proxy.client(receive_buffer=4096)
    client.send(request_ + at_once)
    wait_until(lambda: proxy.sluice.stats()["requests"]["by_status"].get("200") == 1, "the answer has been sent")
    client.send(later)
    assert len(client.read().body) == 1 << 20
    client.expect_close()


def test_a_connection_that_is_ended_costs_no_task_until_its_client_ends_it(pair):
    proxy = pair(max={"requests_per_connection": 1})
    resting = proxy.sluice.resting[0]
    client = proxy.client()
    assert client.get().status == 200

    def at_rest():
        stats = proxy.sluice.stats()
        assert stats["connections"]["open"] == 1, "it is over before it was seen"
        return stats["runtime"]["tasks"]["live"] <= resting

    wait_until(at_rest, "no task")
    client.send(b"late")
    client.expect_close()
    client.close()
    wait_until(lambda: proxy.sluice.stats()["connections"]["open"] == 0, "its end")


def test_who_sends_all_of_a_body_that_is_too_long_is_told(pair):
    proxy = pair(max={"body": "1MiB"})
    client = proxy.client()
    client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10000000\r\n\r\n" + b"x" * 10_000_000)
    assert client.read().status == 413
    client.expect_close()


def test_a_refusal_comes_with_its_end(pair):
    proxy = pair(limits=[{"name": "one", "rate": "1/h", "burst": 1}])
    assert proxy.client().get().status == 200
    for _ in range(10):  # written, and then copied
        client = proxy.client()
        assert comes_with_its_end(client, get(fields=CLOSE))
        assert client.read().status == 429
        client.expect_close()


def test_one_connection_too_many_is_told_so_with_its_end(pair):
    proxy = pair(max={"connections": 1})
    first = proxy.client()
    assert first.get().status == 200
    second = proxy.client()
    assert comes_with_its_end(second, b"")
    assert second.read().status == 503


def test_an_answer_of_many_packets_ends_with_the_last(pair):
    body = b"m" * 3_000_001
    client = pair(serve(response(body=body))).client()
    assert client.ask(get(fields=CLOSE)).body == body
    client.expect_close()
