"""Routes, and what goes to the upstream and comes back."""

import itertools
import os
import re
import time

import pytest

from support.client import RawClient, get
from support.ports import free_port
from support.upstream import response, serve
from support.wait import wait_until

OK = response(body=b"ok")


def respond(name, **more):
    return {"respond": {"status": 200, "headers": {"X-Route": name}, "body": name}, **more}


def route_of(client, path="/", **request):
    answer = client.get(path, **request)
    return answer.body.decode() if answer.status == 200 else answer.status


def test_the_first_route_that_matches_wins(pair):
    proxy = pair(routes=[
        respond("exact", match={"path": "/exact"}),
        respond("host", match={"host": "api.example.com"}),
        respond("method", match={"method": ["DELETE", "PUT"]}),
        respond("deep", match={"path_prefix": "/api/v2/"}),
        respond("prefix", match={"path_prefix": "/api/"}),
        respond("both", match={"host": "b.example", "path_prefix": "/both/"}),
    ])
    client = proxy.client()
    assert route_of(client, "/exact") == "exact"
    assert route_of(client, "/exact?query=1") == "exact"
    assert route_of(client, "/exact/") == 404
    assert route_of(client, "/x", host="api.example.com") == "host"
    assert route_of(client, "/x", host="API.example.com:8080") == "host"
    assert route_of(client, "/x", host="api.example.com.evil") == 404
    assert route_of(client, "/x", method="DELETE") == "method"
    assert route_of(client, "/x", method="POST") == 404
    assert route_of(client, "/api/v2/x") == "deep"
    assert route_of(client, "/api/v1/x") == "prefix"
    assert route_of(client, "/apix") == 404
    assert route_of(client, "/both/x", host="b.example") == "both"
    assert route_of(client, "/both/x") == 404
    assert proxy.upstream.received == b""


def test_no_match_is_a_404_of_our_own(pair):
    proxy = pair(routes=[respond("only", match={"path": "/only"})])
    client = proxy.client()
    answer = client.get("/else")
    assert answer.status == 404 and answer.one("Content-Type") == "application/problem+json"
    assert client.get("/only").status == 200


def test_respond_answers_with_status_headers_and_body(start_sluice):
    routes = [{"match": {"path": "/teapot"}, "respond": {"status": 418, "headers": {"X-Kind": "pot", "Content-Type": "text/tea"}, "body": "short & stout\n"}},
              {"match": {"path": "/empty"}, "respond": {"status": 204}},
              {"respond": {"status": 200}}]
    sluice = start_sluice({"routes": routes})
    with sluice.client() as client:
        answer = client.get("/teapot")
        assert (answer.status, answer.body) == (418, b"short & stout\n")
        assert answer.one("X-Kind") == "pot" and answer.one("Content-Type") == "text/tea"
        head = client.ask(get("/teapot", method="HEAD"))
        assert head.status == 418 and head.one("Content-Length") == "14"
        assert client.get("/empty").status == 204
        assert client.get("/").body == b""
        # A body that nobody wants is drained, and the connection goes on.
        assert client.ask(get("/teapot", method="POST", body=b"x" * 10000)).status == 418
        assert client.get("/").status == 200
    sluice.wait_resting()
    sluice.stop()


@pytest.mark.parametrize("path,seen", [("/api/users?x=1", "/users?x=1"), ("/api/", "/"), ("/api", "/"), ("/api?x", "/?x"), ("/other/api/x", "/other/api/x"), ("/apiary", "/apiary"), ("/%61pi/%7Ex", "/%7Ex")])
def test_strip_prefix(pair, path, seen):
    proxy = pair(routes=[{"match": {"path_prefix": "/api"}, "upstream": "app", "strip_prefix": "/api"}, {"upstream": "app"}])
    assert proxy.client().get(path).status == 200
    assert proxy.upstream.request().target == seen


@pytest.mark.parametrize("path", ["/x/../api/y", "//api/y", "/api/../api/y", "/api%2Fy"])
def test_no_spelling_of_a_path_shows_the_upstream_what_is_stripped(pair, path):
    proxy = pair(routes=[{"match": {"path_prefix": "/api"}, "upstream": "app", "strip_prefix": "/api"}, {"upstream": "app"}])
    with proxy.client() as client:
        assert client.get(path).status == 400
        assert client.get("/api/y").status == 200
    assert proxy.upstream.request().target == "/y"


@pytest.mark.parametrize("host,seen", [("preserve", "a.example:81"), ("literal.example", "literal.example"), ("upstream", None), (None, "a.example:81")])
def test_the_host_that_the_upstream_sees(pair, host, seen):
    proxy = pair(routes=[{"upstream": "app", **({"host": host} if host else {})}])
    assert proxy.client().get(host="a.example:81").status == 200
    request = proxy.upstream.request()
    assert request.one("Host") == (seen or proxy.upstream.address)
    assert request.one("X-Forwarded-Host") == "a.example:81"


def test_several_servers_in_turn(start_sluice, scripted):
    servers = [scripted(serve(response(body=b"%d" % n))) for n in range(3)]
    sluice = start_sluice({"upstreams": {"app": {"servers": [server.address for server in servers]}}, "routes": [{"upstream": "app"}]})
    with sluice.client() as client:
        bodies = [client.get().body for _ in range(30)]
    assert sorted(set(bodies)) == [b"0", b"1", b"2"]
    assert all(a != b for a, b in itertools.pairwise(bodies)), "not in turn"
    assert [bodies.count(b"%d" % n) for n in range(3)] == [10] * 3
    seen = sluice.stats()["upstreams"][0]["servers"]
    assert [server["requests"] for server in seen] == [10] * 3
    sluice.stop()


def test_two_upstreams(start_sluice, scripted):
    one, two = scripted(serve(response(body=b"one"))), scripted(serve(response(body=b"two")))
    sluice = start_sluice({"upstreams": {"one": {"servers": [one.address]}, "two": {"servers": [two.address]}},
                           "routes": [{"match": {"path_prefix": "/two/"}, "upstream": "two"}, {"upstream": "one"}]})
    with sluice.client() as client:
        assert [client.get(path).body for path in ("/", "/two/x", "/twox")] == [b"one", b"two", b"one"]
    assert {upstream["name"] for upstream in sluice.stats()["upstreams"]} == {"one", "two"}
    sluice.stop()


def test_what_the_proxy_adds(pair):
    proxy = pair()
    assert proxy.client(source="127.0.0.5").get("/x?y=1", fields=[("Accept", "*/*"), ("X-Mine", "kept"), ("X-Request-Id", "theirs")]).status == 200
    request = proxy.upstream.request()
    assert (request.method, request.target, request.version) == ("GET", "/x?y=1", "1.1")
    assert request.one("X-Forwarded-For") == "127.0.0.5"
    assert request.one("X-Forwarded-Proto") == "http"
    assert request.one("X-Forwarded-Host") == "a.example"
    assert re.fullmatch(r"1\.1 \S+", request.one("Via"))
    assert request.one("X-Request-Id") not in ("", "theirs")
    assert request.one("Accept") == "*/*" and request.one("X-Mine") == "kept"
    assert request.framing == "none"


def test_every_request_has_an_id_of_its_own(pair):
    proxy = pair()
    client = proxy.client()
    for _ in range(50):
        assert client.get().status == 200
    assert len({request.one("X-Request-Id") for request in proxy.upstream.requests}) == 50


def test_a_trusted_proxys_fields_are_taken_on(pair):
    proxy = pair(client={"trusted_proxies": ["127.0.0.1/32"]})
    fields = [("X-Forwarded-For", "9.8.7.6"), ("X-Forwarded-Proto", "https"), ("X-Forwarded-Host", "outer.example"), ("X-Request-Id", "theirs-1"),
              ("Via", "1.1 edge")]
    assert proxy.client(source="127.0.0.1").get(fields=fields).status == 200
    assert proxy.client(source="127.0.0.2").get(fields=fields).status == 200
    trusted, untrusted = proxy.upstream.requests
    assert trusted.one("X-Forwarded-For") == "9.8.7.6, 127.0.0.1"
    assert trusted.one("X-Forwarded-Proto") == "https"
    assert trusted.one("X-Forwarded-Host") == "outer.example"
    assert trusted.one("X-Request-Id") == "theirs-1"
    assert ", ".join(trusted.all("Via")).startswith("1.1 edge, 1.1 ")
    assert untrusted.one("X-Forwarded-For") == "127.0.0.2"
    assert untrusted.one("X-Forwarded-Proto") == "http"
    assert untrusted.one("X-Forwarded-Host") == "a.example"
    assert untrusted.one("X-Request-Id") != "theirs-1"


@pytest.mark.parametrize("name,values,key", [
    ("Forwarded", ['for=9.9.9.9, for="[2001:db8::1]:4711";proto=https'], "2001:db8::/64"),
    ("Forwarded", ["for=9.9.9.9;proto=http;by=1.1.1.1"], "9.9.9.9"),
    ("X-Real-IP", ["9.9.9.9"], "9.9.9.9"),
    ("CF-Connecting-IP", ["2001:db8:1:2:3::4"], "2001:db8:1:2::/64"),
], ids=["forwarded-v6", "forwarded-v4", "real-ip", "single-v6"])
def test_the_client_by_another_field(pair, name, values, key):
    proxy = pair(client={"trusted_proxies": ["127.0.0.0/8"], "address_from": name}, limits=[{"rate": "100/s"}])
    assert proxy.client().get(fields=[(name, value) for value in values] + [("X-Forwarded-For", "6.6.6.6")]).status == 200
    clients = proxy.sluice.admin_json("/stats/clients")["clients"]
    assert [client["key"] for client in clients] == [key]


@pytest.mark.parametrize("name", ["Forwarded", "CF-Connecting-IP"])
def test_the_field_that_names_the_client_goes_on_from_trusted_peers_only(pair, name):
    value = "for=198.51.100.1" if name == "Forwarded" else "198.51.100.1"
    proxy = pair(client={"trusted_proxies": ["127.0.0.1"], "address_from": name}, limits=[{"rate": "100/s"}], log={"access": "off"})
    forged = [(name, value), (name.replace("-", "_"), value), ("Connection", name)] if "-" in name else [(name, value), ("Connection", name)]
    for source in ("127.0.0.1", "127.0.0.5"):
        assert proxy.client(source=source).get(fields=forged).status == 200
    trusted, stranger = proxy.upstream.requests
    assert trusted.all(name) == [value], "Connection cannot name it away"
    assert stranger.all(name) == []
    assert all(each.all("CF_Connecting_IP") == [] for each in (trusted, stranger))
    assert {client["key"] for client in proxy.sluice.admin_json("/stats/clients")["clients"]} == {"198.51.100.1", "127.0.0.5"}
    assert "client.trusted_proxies" in proxy.sluice.output, "the warning about the stranger's"


@pytest.mark.parametrize("trusted", [[], ["unix:"]], ids=["stranger", "trusted"])
def test_the_client_behind_a_unix_socket(start_sluice, scripted, tmp_path, trusted):
    upstream = scripted(serve(OK))
    sluice = start_sluice({"listen": f"unix:{tmp_path / 'front.sock'}", "upstream": upstream.address, "limits": [{"rate": "1/h", "burst": 1}],
                           "client": {"trusted_proxies": trusted}})
    with sluice.client() as client:
        statuses = [client.get(fields=[("X-Forwarded-For", f"198.51.100.{n}")]).status for n in range(3)]
    assert statuses == ([200] * 3 if trusted else [200, 429, 429])
    assert [request.all("X-Forwarded-For") for request in upstream.requests] == ([[f"198.51.100.{n}"] for n in range(3)] if trusted else [[]])
    shown = "198.51.100.2" if trusted else "unix:"
    wait_until(lambda: f'"client":"{shown}"' in sluice.output, "its line in the access log")
    assert ("client.trusted_proxies" in sluice.output) == (not trusted)
    sluice.stop()


def test_answers_pass_unchanged(pair):
    fields = [("Content-Type", "text/plain"), ("Set-Cookie", "a=1"), ("Set-Cookie", "b=2"), ("ETag", '"x"'), ("X-High", "\xe9\xff"), ("Server", "theirs"), ("Date", "Mon, 01 Jan 2024 00:00:00 GMT")]
    proxy = pair(serve(response(201, b"made", fields=fields, reason="Quite Created")))
    answer = proxy.client().get()
    assert (answer.status, answer.reason, answer.body) == (201, "Quite Created", b"made")
    for name in {name for name, _ in fields}:
        assert answer.all(name) == [value for key, value in fields if key == name]


def test_trailers_of_an_answer_are_forwarded(pair):
    head = b"HTTP/1.1 200 Fine\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n"
    proxy = pair(serve(head + b"5;ext=1\r\nhello\r\n0\r\nX-Sum: abc\r\nContent-Length: 7\r\nSet-Cookie: evil=1\r\n\r\n"))
    client = proxy.client()
    for _ in range(2):
        answer = client.get(fields=[("TE", "trailers"), ("Connection", "TE")])
        assert answer.body == b"hello" and answer.extensions == []
        assert ("X-Sum", "abc") in answer.trailers and not any(name == "Content-Length" for name, _ in answer.trailers)


@pytest.mark.parametrize("size", [0, 1, 65536, 1000000])
def test_bodies_pass_both_ways_in_both_framings(pair, size):
    body = os.urandom(size)

    def echo(connection):
        while request := connection.read_request():
            if request.framing == "chunked":
                connection.send(b"HTTP/1.1 200 Fine\r\nTransfer-Encoding: chunked\r\n\r\n" + (b"%x\r\n%s\r\n" % (size, request.body) if size else b"") + b"0\r\n\r\n")
            else:
                connection.send(response(body=request.body))

    proxy = pair(echo)
    client = proxy.client()
    assert client.ask(get(method="POST", body=body)).body == body
    pieces = b"".join(b"%x\r\n%s\r\n" % (len(body[at:at + 7777]), body[at:at + 7777]) for at in range(0, size, 7777))
    answer = client.ask(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + pieces + b"0\r\n\r\n")
    assert answer.body == body
    assert [request.framing for request in proxy.upstream.requests] == ["length", "chunked"]


def test_connections_to_the_upstream_are_reused(pair):
    proxy = pair()
    for _ in range(5):
        client = proxy.client()
        assert [client.get().status for _ in range(5)] == [200] * 5
    assert len(proxy.upstream.connections) == 1 and len(proxy.upstream.requests) == 25


@pytest.mark.parametrize("version,fields,stays", [("1.1", [], True), ("1.1", [("Connection", "close")], False), ("1.1", [("Connection", "Close, X")], False),
                                                  ("1.0", [], False), ("1.0", [("Connection", "keep-alive")], True)])
def test_the_client_decides_about_its_connection(pair, version, fields, stays):
    proxy = pair()
    client = proxy.client()
    answer = client.get(version=version, fields=fields)
    assert answer.status == 200 and answer.body == b"ok"
    if stays:
        assert client.get(version=version, fields=fields).status == 200
    else:
        client.expect_close()
    assert proxy.sluice.stats()["upstreams"][0]["servers"][0]["connections_idle"] == 1, "the upstream's connection was lost with it"


def test_max_body(pair):
    proxy = pair(max={"body": "1KiB"})
    client = proxy.client()
    assert client.ask(get(method="POST", body=b"x" * 1024)).status == 200
    client.send_while_open(get(method="POST", body=b"x" * 1025))
    answer = client.read()
    assert answer.status == 413 and answer.one("Content-Type") == "application/problem+json"
    chunked = proxy.client()
    chunked.send_while_open(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + b"401\r\n" + b"x" * 1025 + b"\r\n0\r\n\r\n")
    assert chunked.read().status == 413
    assert sum(request.complete for request in proxy.upstream.requests) == 1


def test_requests_per_connection(pair):
    proxy = pair(max={"requests_per_connection": 3})
    client = proxy.client()
    assert [client.get().has("Connection") for _ in range(2)] == [False, False]
    assert client.get().one("Connection") == "close"
    client.expect_close()


def test_keep_alive_ends_in_time(pair):
    proxy = pair(timeouts={"keep_alive": "300ms"})
    client = proxy.client()
    assert client.get().status == 200
    client.expect_close()


def test_an_empty_line_behind_a_request_is_no_request(pair):
    """Some clients send one behind a body. The connection idles as before, and the next head has all its time."""
    proxy = pair(timeouts={"keep_alive": "20s", "head": "300ms"})
    client = proxy.client()
    client.send(get() + b"\r\n")
    assert client.read().status == 200
    for late in ([b"\r\n"], [b"\r", b"\n"], []):
        time.sleep(0.6)  # as long as it idles, longer than a head may take
        assert client.still_open()
        for piece in late:
            client.send(piece)
            time.sleep(0.05)  # so that each comes by itself
    assert client.get().status == 200


def test_a_connection_idles_from_the_end_of_the_request_on(pair):
    """Of an answer of the proxy's own the body may come later than the answer goes."""
    proxy = pair(timeouts={"keep_alive": "1s"}, routes=[{"respond": {"status": 200, "body": "ours"}}])
    client = proxy.client()
    client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n")
    assert client.read().status == 200
    time.sleep(1.2)  # the pace of a slow sender, longer than a connection may idle
    client.send(b"hello")
    time.sleep(0.2)
    assert client.get().status == 200


def test_several_listeners(start_sluice, scripted):
    upstream = scripted()
    ports = [free_port(), free_port()]
    sluice = start_sluice({"listen": [f"127.0.0.1:{ports[0]}", {"address": f"[::1]:{ports[1]}"}], "upstream": upstream.address})
    for address in (("127.0.0.1", ports[0]), ("::1", ports[1])):
        with RawClient(address) as client:
            assert client.get().status == 200
    assert [request.one("X-Forwarded-For") for request in upstream.requests] == ["127.0.0.1", "::1"]
    sluice.stop()


def test_unix_sockets_on_both_sides(start_sluice, scripted, tmp_path):
    upstream = scripted(serve(OK), unix=str(tmp_path / "app.sock"))
    path = tmp_path / "front.sock"
    sluice = start_sluice({"listen": f"unix:{path}", "upstream": upstream.address})
    with sluice.client() as client:
        assert [client.get().status for _ in range(3)] == [200] * 3
    assert len(upstream.connections) == 1
    sluice.wait_resting()
    sluice.stop()
    assert not path.exists(), "the socket's file is left over"
    # A file left over by a proxy that was killed is no obstacle.
    killed = start_sluice({"listen": f"unix:{path}", "upstream": upstream.address})
    killed.kill()
    again = start_sluice({"listen": f"unix:{path}", "upstream": upstream.address})
    with again.client() as client:
        assert client.get().status == 200
    again.stop()


def test_allow_and_deny(pair):
    proxy = pair(allow=["127.0.0.5/32"], deny=["127.0.1.0/24"], limits=[{"rate": "1/h"}])
    allowed, denied, other = (proxy.client(source=source) for source in ("127.0.0.5", "127.0.1.7", "127.0.0.6"))
    assert [allowed.get().status for _ in range(5)] == [200] * 5
    answer = denied.get()
    assert answer.status == 403 and answer.one("Content-Type") == "application/problem+json"
    assert [other.get().status for _ in range(2)] == [200, 429]
    assert len(proxy.upstream.requests) == 6
    assert proxy.sluice.settled()["requests"]["denied"] == 1
