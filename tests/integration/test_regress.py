"""Bugs that were, each as the story of how it came about."""

import concurrent.futures
import threading
import time

import pytest

from support.client import RawClient, expect_problem, get
from support.ports import free_port
from support.upstream import Blackhole, Refusing, ScriptedUpstream, chunked, in_turn, once, response, serve
from support.wait import wait_until

KIB, MIB = 1 << 10, 1 << 20
OK = response(body=b"ok")


def test_a_body_that_was_read_but_not_sent_does_not_leave_its_connection_clean(pair):
    """The answer comes before the upstream has taken the body: what is missing of that must not be made up by the next
    client's request. The sizes go past the point where the sockets' buffers are full."""

    def script(connection):
        while head := connection.read_head():
            if head.method == "POST":
                connection.send(response(401, b"no"))
                connection.read_body(head)
            else:
                connection.send(OK)

    proxy = pair(script)
    sizes = range(3 * MIB, 5 * MIB, 37 * KIB)
    for size in sizes:
        client = proxy.client()
        client.send_while_open(get("/post", method="POST", body=b"x" * size))
        assert client.read().status == 401
        client.close()
        with proxy.sluice.client() as other:
            assert other.get("/other").status == 200
    assert [request.target for request in proxy.upstream.requests].count("/other") == len(sizes)


def test_a_head_that_grows_beyond_the_buffer_is_refused(pair):
    """The authority is written twice. Nothing may be sent then, least of all the body in the place of the head."""
    proxy = pair(max={"head": "64KiB"})
    inner = b"GET /admin HTTP/1.1\r\nHost: evil.example\r\n\r\n"
    client = proxy.client()
    client.send_while_open(b"POST /x HTTP/1.1\r\nHost: " + b"a" * 36000 + b"\r\nContent-Length: %d\r\n\r\n" % len(inner) + inner)
    expect_problem(client.read(), 431)
    proxy.finish()
    proxy.upstream.settle()
    assert b"/admin" not in proxy.upstream.received


def test_what_is_left_of_a_long_answer_when_slots_go_back_has_time_of_its_own(pair, tmp_path):
    """A reader who takes longer for all of it than timeouts.write, and never stands still for so long."""
    size, path = 450_000, str(tmp_path / "front.sock")
    proxy = pair(listen=f"unix:{path}", routes=[{"respond": {"status": 200, "body": "r" * size}}], timeouts={"write": "1s"},
                 limits=[{"key": "global", "algorithm": "concurrency", "max": 1000}])

    def read(pause):
        client = RawClient(path)
        client.send(get())
        answer = bytearray()
        while len(answer) < size and (piece := client.sock.recv(32 * KIB)):
            answer += piece
            time.sleep(pause)  # the pace of a slow reader
        return len(answer)

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        assert all(got >= size for got in pool.map(read, [0.1 + 0.01 * n for n in range(8)]))


def test_a_listener_may_get_a_name_by_a_reload(pair):
    proxy = pair()
    address = proxy.sluice.config["listen"]
    client = proxy.client()
    assert client.get().status == 200
    routes = [{"match": {"listener": "public"}, "respond": {"status": 418}}, {"upstream": "default"}]
    proxy.sluice.reload({"upstreams": {"default": {"servers": [proxy.upstream.address]}}, "routes": routes,
                         "listen": [{"address": address, "name": "public"}]})
    with proxy.sluice.client() as late:
        assert late.get().status == 418
    assert client.get().status == 200, "a connection keeps the name of the listener that it came by"


def test_a_charged_request_that_fails_tells_its_limits(pair):
    proxy = pair(upstream=f"127.0.0.1:{free_port()}", limits=[{"name": "per-ip", "rate": "10/s"}])
    answer = proxy.client().get()
    assert answer.status == 502 and answer.one("RateLimit").startswith('"per-ip";r=9')


def test_pipelining_beyond_the_last_request_loses_no_answer(pair):
    proxy = pair(max={"requests_per_connection": 2})
    client = proxy.client()
    client.send(b"".join(get(f"/{n}", fields=[("X-Padding", "p" * 900)]) for n in range(400)))
    assert [client.read().status for _ in range(2)] == [200, 200]
    client.ends()


def test_a_reload_beside_a_drain_leaves_nothing_open(pair):
    proxy = pair()
    over = threading.Event()

    def reload_again_and_again():
        while not over.is_set():
            try:
                proxy.sluice.ask_admin("POST", "/reload")
            except OSError:
                return

    threads = [threading.Thread(target=reload_again_and_again) for _ in range(3)]
    for thread in threads:
        thread.start()
    wait_until(lambda: proxy.sluice.stats()["uptime_seconds"] > 0.2, "some reloads")
    proxy.sluice.stop()
    over.set()
    for thread in threads:
        thread.join()


def test_an_upgrade_is_a_success_of_its_server(pair, closing):
    """Only failures in a row eject: two with an upgrade between them are none."""
    asks = [("Connection", "Upgrade"), ("Upgrade", "chat")]

    def agree(connection):
        connection.read_request()
        connection.send(b"HTTP/1.1 101 Fine\r\nConnection: Upgrade\r\nUpgrade: chat\r\n\r\n")
        connection.hang()

    backup = closing(ScriptedUpstream())
    proxy = pair(in_turn(once(b""), agree, once(b""), agree), before=[{"address": backup.address, "backup": True}],
                 app={"retries": 0, "eject": {"after": 2, "for": "1h"}})
    for expected in (502, 101, 502, 101):
        client = proxy.client()
        client.send(get(fields=asks))
        assert client.read_head().status == expected


def test_a_post_on_a_connection_that_was_closed_meanwhile_is_no_failure_of_its_server(pair, closing):
    """It cannot be sent again, but the server has done nothing wrong: it closed what was idle."""

    def one_and_a_half(connection):
        connection.read_request()
        connection.send(OK)
        connection.read_request()

    backup = closing(ScriptedUpstream(serve(response(body=b"backup"))))
    proxy = pair(one_and_a_half, before=[{"address": backup.address, "backup": True}], app={"eject": {"after": 1, "for": "1h"}})
    client = proxy.client()
    for _ in range(2):
        assert client.get().body == b"ok"
        assert client.get(method="POST", body=b"x").status == 502


def hangs_up_when_asked_again(body):
    def script(connection):
        connection.read_request()
        connection.send(response(body=body))
        connection.read_request()  # and closes: to the proxy, as if it had been about to

    return script


@pytest.mark.parametrize("others", ["backup", "refusing", "ip_hash"])
def test_a_connection_that_was_closed_meanwhile_is_no_word_against_its_server(pair, closing, scripted, others):
    """The same server is asked again, on a fresh connection: before a backup, before one that is down, and by a client
    whose home it is."""
    options = {"eject": None}
    if others == "backup":
        before = [{"address": scripted(serve(response(body=b"sorry"))).address, "backup": True}]
    elif others == "refusing":
        before = [closing(Refusing()).address]
    else:
        before = [scripted(hangs_up_when_asked_again(b"%d" % each)).address for each in range(3)]
        options["balance"] = "ip_hash"
    proxy = pair(hangs_up_when_asked_again(b"ok"), before=before, app=options)
    client = proxy.client()
    home = client.get().body if others == "ip_hash" else b"ok"
    for _ in range(8):
        answer = client.get()
        assert (answer.status, answer.body) == (200, home)


def test_who_waited_in_line_blames_no_server_for_the_time_that_was_left(pair, closing):
    """What the line leaves of connect_timeout may not suffice to connect. That is no failure of the server's."""
    far = closing(Blackhole())
    go_on = threading.Event()

    def slow(connection):
        connection.read_request()
        go_on.wait()
        connection.send(OK)

    one = {"max_connections": 1, "connect_timeout": "500ms", "retries": 0}
    proxy = pair(slow, app=one)
    proxy.sluice.reload({**proxy.sluice.config, "upstreams": {"app": {"servers": [proxy.upstream.address, far.address], **one}}})
    first = proxy.client()
    first.send(get())
    proxy.upstream.wait_for_requests(1)
    late = proxy.client()
    late.send(get())
    wait_until(lambda: proxy.sluice.stats()["upstreams"][0]["waiting"] == 1, "one in line")
    go_on.set()
    assert first.read().status == 200
    expect_problem(late.read(), 503)
    assert [server["failures"] for server in proxy.sluice.stats()["upstreams"][0]["servers"]] == [0, 0]


@pytest.mark.parametrize("name", ["CF-Connecting-IP", "cf_connecting_ip"])
def test_who_the_client_is_cannot_be_said_behind_the_body(pair, name):
    """The field of client.address_from is withheld in a head; a trailer must not bring it along."""
    proxy = pair(client={"address_from": "CF-Connecting-IP"})
    head = get(method="POST", fields=[("Transfer-Encoding", "chunked"), ("Trailer", f"{name}, Digest")])
    assert proxy.client().ask(head + chunked(b"body", trailers=[(name, "6.6.6.6"), ("Digest", "d")])).status == 200
    assert proxy.upstream.request().trailers == [("Digest", "d")]


def test_the_access_log_names_who_sent_what_is_no_request(pair):
    proxy = pair(log={"access": "all"})
    assert proxy.client(source="127.0.0.7").ask(b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n").status == 400
    wait_until(lambda: '"client":"127.0.0.7"' in proxy.sluice.output, "its line in the access log")


def test_a_reload_opens_no_address_that_a_start_would_not(pair):
    """One address beside all of them, both to stay: the next start would fail."""
    proxy = pair()
    port = proxy.sluice.address[1]
    for first, second in (("127.0.0.1", "0.0.0.0"), ("0.0.0.0", "127.0.0.1")):
        kept = {**proxy.sluice.config, "listen": f"{first}:{port}"}
        proxy.sluice.reload(kept)
        proxy.sluice.write({**kept, "listen": [f"{first}:{port}", f"{second}:{port}"]})
        status, _, body = proxy.sluice.ask_admin("POST", "/reload")
        assert status == 422 and "keep one of the two" in str(body), (status, body)
    proxy.sluice.write(kept)
