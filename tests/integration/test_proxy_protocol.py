"""The PROXY protocol as load balancers really send it; its grammar is in conformance, row 68."""

import pytest

from support.client import RawClient
from support.fronts import haproxy, nginx_stream
from support.ports import free_port
from support.tls import SecureClient
from support.wait import wait_until

LIMIT = {"limits": [{"name": "few", "rate": "1/h", "burst": 3}]}


def listening(**more):
    return [{"address": f"127.0.0.1:{free_port()}", "proxy_protocol": True, **more}]


def by(kind, tmp_path, address):
    host, port = address
    if kind == "nginx":
        return nginx_stream(tmp_path, f"proxy_pass {host}:{port}; proxy_protocol on;")
    return haproxy(tmp_path, f"{host}:{port} {kind}")


@pytest.mark.parametrize("kind", ["send-proxy", "send-proxy-v2", "send-proxy-v2-ssl-cn", "nginx"])
def test_the_client_behind_a_balancer(pair, closing, tmp_path, kind):
    proxy = pair(listen=listening(), **LIMIT)
    front = closing(by(kind, tmp_path, proxy.sluice.address))
    for source in ("127.0.0.5", "127.0.0.6"):
        with RawClient(front.address, source=source) as client:
            assert [client.get(fields=[("X-Forwarded-For", "6.6.6.6")]).status for _ in range(5)] == [200] * 3 + [429] * 2
    assert [request.all("X-Forwarded-For") for request in proxy.upstream.requests] == [["127.0.0.5"]] * 3 + [["127.0.0.6"]] * 3
    keys = {client["key"] for client in proxy.sluice.admin_json("/stats/clients")["clients"]}
    assert keys == {"127.0.0.5", "127.0.0.6"}


def test_health_checks_of_a_balancer_are_let_in(pair, closing, tmp_path):
    # HAProxy's own checks say LOCAL; a server that turned them away would be taken out.
    proxy = pair(listen=listening(), **LIMIT)
    host, port = proxy.sluice.address
    front = closing(haproxy(tmp_path, f"{host}:{port} send-proxy-v2 check inter 50ms fall 1"))
    wait_until(lambda: proxy.sluice.stats()["connections"]["accepted"] >= 3, "a few checks")
    with RawClient(front.address) as client:
        assert client.get().status == 200


def test_a_trusted_proxy_behind_a_balancer_names_the_client(pair, closing, tmp_path):
    # CDN → balancer → Sluice: the balancer says which CDN server it is, and that says who the client is.
    proxy = pair(listen=listening(), client={"trusted_proxies": ["127.0.0.9"], "address_from": "CF-Connecting-IP"}, **LIMIT)
    front = closing(by("send-proxy-v2", tmp_path, proxy.sluice.address))
    for source, client in (("127.0.0.9", "198.51.100.1"), ("127.0.0.5", "127.0.0.5")):
        with RawClient(front.address, source=source) as sender:
            assert sender.get(fields=[("CF-Connecting-IP", "198.51.100.1")]).status == 200
    requests = proxy.upstream.requests
    assert requests[0].all("CF-Connecting-IP") == ["198.51.100.1"] and requests[1].all("CF-Connecting-IP") == []
    assert {each["key"] for each in proxy.sluice.admin_json("/stats/clients")["clients"]} == {"198.51.100.1", "127.0.0.5"}


def test_a_reload_turns_it_on_for_new_connections(pair):
    proxy = pair(**LIMIT)
    before = proxy.client()
    assert before.get().status == 200
    host, port = proxy.sluice.address
    proxy.sluice.reload({"upstream": proxy.upstream.address, "listen": [{"address": f"{host}:{port}", "proxy_protocol": True}]})
    assert before.get().status == 200
    without, header = proxy.client(), proxy.client()
    without.send_while_open(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    assert without.ends()[1] == b""
    header.send(b"PROXY TCP4 198.51.100.1 10.0.0.1 1 2\r\n")
    assert header.get().status == 200


def test_the_header_goes_before_the_handshake(pair, closing, tmp_path, authority):
    proxy = pair(listen=listening(tls=authority.issue("a.example").files), **LIMIT)
    front = closing(by("send-proxy-v2", tmp_path, proxy.sluice.address))
    with SecureClient(front.address, authority.client_context()) as client:
        assert [client.get().status for _ in range(5)] == [200] * 3 + [429] * 2
    request = proxy.upstream.requests[0]
    assert (request.one("X-Forwarded-For"), request.one("X-Forwarded-Proto")) == ("127.0.0.1", "https")
    with proxy.client() as bare:  # a handshake without the header
        bare.send_while_open(b"\x16\x03\x01\x02\x00\x01")
        assert bare.ends()[1] == b""
