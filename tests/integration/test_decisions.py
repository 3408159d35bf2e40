"""Decisions for others: /check, asked by a real nginx and a real Caddy and by hand, and /explain."""

import json
import random
import signal
import threading
import time

import pytest

from support.client import RawClient, expect_problem, get
from support.fronts import caddy, nginx_http
from support.ports import free_port
from support.upstream import response, serve
from support.wait import wait_until

FEW = {"limits": [{"name": "few", "rate": "1/h", "burst": 2}]}


@pytest.fixture
def checking(pair):
    """checking(**config) -> (Pair, the address of its listener for decisions)."""

    def start(**config):
        port = free_port()
        return pair(check=f"127.0.0.1:{port}", **{**FEW, **config}), ("127.0.0.1", port)

    return start


def ask(address, fields, **request):
    with RawClient(address) as client:
        return client.get(fields=list(fields.items()), **request)


def rate_fields(answer):
    return {name: answer.all(name) for name in ("RateLimit", "RateLimit-Policy", "Retry-After")}


def test_a_check_is_answered_as_the_request_would_be(checking):
    proxy, address = checking()
    first, second, third = (ask(address, {"X-Forwarded-For": "198.51.100.1"}) for _ in range(3))
    assert [answer.status for answer in (first, second, third)] == [200, 200, 429]
    assert rate_fields(first) == {"RateLimit": ['"few";r=1;t=3600'], "RateLimit-Policy": ['"few";q=2;w=7200'], "Retry-After": []}
    assert third.one("Retry-After") == "3600" and third.one("RateLimit") == '"few";r=0;t=3600'
    assert json.loads(third.body)["violated-policies"] == ["few"]
    assert third.one("Content-Type") == "application/problem+json"
    assert ask(address, {"X-Forwarded-For": "198.51.100.2"}).status == 200
    stats = proxy.sluice.settled()
    assert (stats["requests"]["total"], stats["requests"]["allowed"], stats["requests"]["limited"]) == (4, 3, 1)
    assert stats["requests"]["by_status"] == {"200": 3, "429": 1}
    assert (stats["limits"][0]["allowed"], stats["limits"][0]["limited"]) == (3, 1)
    assert proxy.upstream.requests == [], "nothing is forwarded"


def test_a_check_and_a_request_spend_of_one_bucket(checking):
    proxy, address = checking(client={"trusted_proxies": ["127.0.0.1"]})
    who = {"X-Forwarded-For": "198.51.100.1"}
    assert ask(address, who).status == 200
    assert proxy.client().get(fields=list(who.items())).status == 200
    assert ask(address, who).status == 429
    assert proxy.client().get(fields=list(who.items())).status == 429


@pytest.mark.parametrize("method", ["GET", "POST", "HEAD", "OPTIONS", "BREW"])
def test_any_method_is_taken_and_any_path(checking, method):
    proxy, address = checking(limits=[{"rate": "1/h", "key": ["method", "path"], "name": "each"}])
    for path in ("/", "/check", "/a/%zz?x=1", "*" if method == "OPTIONS" else "/b"):
        with RawClient(address) as client:
            assert [client.ask(get(path, method=method)).status for _ in range(2)] == [200, 429]


@pytest.mark.parametrize("fields,rule", [
    ({"X-Forwarded-Method": "POST"}, {"method": ["POST"]}), ({"X-Original-Method": "POST"}, {"method": ["POST"]}),
    ({"X-Forwarded-Host": "api.example:8443"}, {"host": "api.example"}), ({"X-Original-Host": "api.example"}, {"host": "api.example"}),
    ({"X-Forwarded-Uri": "/a/b?q=1"}, {"path": "/a/b"}), ({"X-Original-URI": "/a/b?q=1"}, {"path": "/a/b"}), ({"X-Original-URL": "/a/b"}, {"path": "/a/b"}),
    ({"X-Original-URL": "https://api.example/a/b?q=1"}, {"path": "/a/b", "host": "api.example"}),
    ({"X-Forwarded-Uri": "/a/b", "X-Original-URI": "/c"}, {"path": "/a/b"}), ({"X-Api-Key": "k"}, {"header": {"X-Api-Key": "k"}}),
], ids=lambda value: "+".join(value))
def test_what_a_proxy_tells_of_its_request(checking, fields, rule):
    proxy, address = checking(limits=[{"rate": "1/h", "match": rule}])
    assert [ask(address, fields).status for _ in range(2)] == [200, 429]
    assert [ask(address, {}).status for _ in range(2)] == [200, 200]


@pytest.mark.parametrize("settings,fields,client", [
    ({}, {"X-Forwarded-For": "6.6.6.6, 198.51.100.1"}, "198.51.100.1"),
    ({"trusted_proxies": ["10.0.0.0/8"]}, {"X-Forwarded-For": "198.51.100.1, 10.0.0.1"}, "198.51.100.1"),
    ({"address_from": "Forwarded"}, {"Forwarded": 'for="[2001:db8::1]:80"', "X-Forwarded-For": "6.6.6.6"}, "2001:db8::/64"),
    ({"address_from": "CF-Connecting-IP"}, {"CF-Connecting-IP": "198.51.100.1", "X-Forwarded-For": "6.6.6.6"}, "198.51.100.1"),
    ({"address_from": "CF-Connecting-IP"}, {"X-Forwarded-For": "198.51.100.1"}, "198.51.100.1"),
    ({}, {"X-Real-IP": "198.51.100.1"}, "198.51.100.1"), ({}, {"X-Original-For": "198.51.100.1"}, "198.51.100.1"),
    ({}, {}, "127.0.0.1"), ({}, {"X-Forwarded-For": "garbage"}, "127.0.0.1"),
])
def test_whom_a_check_is_about(checking, settings, fields, client):
    proxy, address = checking(client=settings)
    assert ask(address, fields).status == 200
    assert [each["key"] for each in proxy.sluice.admin_json("/stats/clients")["clients"]] == [client]


@pytest.mark.parametrize("fields", [{"X-Forwarded-Uri": "no-path"}, {"X-Forwarded-Uri": "/a#b"}, {"X-Forwarded-Host": "a/b"}, {"X-Forwarded-Host": "a, b"},
                                    {"X-Forwarded-Method": "GET /"}, {"X-Original-URL": "ftp://a/"}, {"X-Original-URI": "/a b"}])
def test_a_malformed_question_is_refused_and_costs_nobody(checking, fields):
    proxy, address = checking()
    expect_problem(ask(address, fields), 400)
    twice = [(name, value) for name, value in [("X-Forwarded-Uri", "/a"), ("X-Forwarded-Uri", "/b")]]
    with RawClient(address) as client:
        assert "more than once" in expect_problem(client.get(fields=twice), 400)["detail"]
    assert proxy.sluice.stats()["requests"]["total"] == 0
    assert proxy.sluice.stats()["clients"]["tracked"] == 0


def test_denied_and_allowed_networks(checking):
    proxy, address = checking(allow=["198.51.100.0/24"], deny=["203.0.113.0/24"])
    expect_problem(ask(address, {"X-Forwarded-For": "203.0.113.1"}), 403)
    assert [ask(address, {"X-Forwarded-For": "198.51.100.1"}).status for _ in range(5)] == [200] * 5
    assert proxy.sluice.settled()["requests"]["denied"] == 1


def test_bans_count_and_hold(checking):
    proxy, address = checking(limits=[{"name": "few", "rate": "1/h", "burst": 1, "ban": {"after": 2, "within": "1m", "for": "15m"}}])
    who = {"X-Forwarded-For": "198.51.100.1"}
    assert [ask(address, who).status for _ in range(4)] == [200, 429, 429, 403]
    assert 880 <= int(ask(address, who).one("Retry-After")) <= 900
    assert proxy.sluice.settled()["requests"]["banned"] == 2
    wait_until(lambda: '"message":"banned"' in proxy.sluice.output, "the line of the log that says so")


def test_shadow_limits_are_not_shown(checking):
    proxy, address = checking(limits=[{"name": "quiet", "rate": "1/h", "mode": "shadow"}])
    answers = [ask(address, {"X-Forwarded-For": "198.51.100.1"}) for _ in range(3)]
    assert [answer.status for answer in answers] == [200] * 3
    assert not any(answer.has("RateLimit") for answer in answers)
    assert proxy.sluice.settled()["requests"]["shadow_limited"] == 2


def test_a_check_waits_for_its_turn_where_a_limit_delays(checking):
    proxy, address = checking(limits=[{"name": "paced", "rate": "5/s", "burst": 1, "action": "delay", "max_delay": "5s"}])
    who = {"X-Forwarded-For": "198.51.100.1"}
    start = time.monotonic()
    assert ask(address, who).status == 200
    told = explain(proxy, ip="198.51.100.1")
    assert told["verdict"] in ("delayed", "allowed")  # the machine may be slow
    assert [ask(address, who).status for _ in range(2)] == [200, 200]
    assert time.monotonic() - start >= 0.39
    stats = proxy.sluice.settled()["requests"]
    assert stats["allowed"] == 3 and stats["limited"] == 0 and stats["delayed"] >= 1


@pytest.mark.parametrize("leave", ["reset", "close", "half_close"])
def test_an_asker_that_leaves_gives_up_its_place(checking, leave):
    proxy, address = checking(limits=[{"name": "paced", "rate": "1/h", "burst": 1, "action": "delay", "max_delay": "3h"}])
    who = {"X-Forwarded-For": "198.51.100.1"}
    assert ask(address, who).status == 200
    askers = [RawClient(address).send(get(fields=list(who.items()))) for _ in range(2)]
    wait_until(lambda: proxy.sluice.stats()["requests"]["in_flight"] >= 2, "both are held")
    for asker in askers:
        getattr(asker, leave)()
    wait_until(lambda: proxy.sluice.stats()["requests"]["client_aborted"] == 2, "both places are given up")
    stats = proxy.sluice.settled()
    assert stats["requests"]["by_status"] == {"200": 1} and stats["limits"][0]["limited"] == 0


def test_a_call_behind_one_that_is_held_is_no_end(checking):
    proxy, address = checking(limits=[{"name": "paced", "rate": "1/s", "burst": 1, "action": "delay", "max_delay": "9s"}])
    call = get(fields=[("X-Forwarded-For", "198.51.100.1")])
    with RawClient(address) as client:
        client.send(call + call)
        assert client.read().status == 200
        client.send(call)  # while the second is held
        assert [client.read().status for _ in range(2)] == [200, 200]
    assert proxy.sluice.settled()["requests"]["client_aborted"] == 0


def test_a_check_looks_at_the_requests_in_flight_and_is_none(checking):
    held = threading.Event()

    def hang(connection):
        if connection.read_request():
            held.wait()
            connection.send(response())

    proxy, address = checking(limits=[{"name": "slots", "algorithm": "concurrency", "max": 1}], client={"trusted_proxies": ["127.0.0.1"]}, script=hang)
    who = {"X-Forwarded-For": "198.51.100.1"}
    assert [ask(address, who).status for _ in range(3)] == [200] * 3, "it holds nothing"
    client = proxy.client()
    client.send(get(fields=list(who.items())))
    proxy.upstream.wait_for_requests(1)
    assert ask(address, who).status == 429
    assert ask(address, {"X-Forwarded-For": "198.51.100.2"}).status == 200
    held.set()
    assert client.read().status == 200
    wait_until(lambda: ask(address, who).status == 200, "a slot that came free")


def test_checks_of_one_connection_follow_each_other(checking):
    proxy, address = checking()
    with RawClient(address) as client:
        client.send(b"".join(get(fields=[("X-Forwarded-For", f"198.51.100.{n % 5}")]) for n in range(15)))
        assert [client.read().status for _ in range(15)] == [200] * 10 + [429] * 5


def test_a_check_on_the_admin_listener(checking):
    proxy, _ = checking(limits=[{"name": "few", "rate": "1/h", "burst": 1, "match": {"host": "api.example", "path": "/a", "method": ["POST"]}}])
    fields = {"X-Forwarded-For": "198.51.100.1", "X-Forwarded-Host": "api.example", "X-Forwarded-Uri": "/a", "X-Forwarded-Method": "POST"}
    assert [proxy.sluice.ask_admin("GET", "/check", headers=fields)[0] for _ in range(2)] == [200, 429]
    parameters = "/check?method=POST&host=api.example&uri=%2Fa&ip=198.51.100.2"
    assert [proxy.sluice.ask_admin("GET", parameters)[0] for _ in range(2)] == [200, 429]
    assert proxy.sluice.ask_admin("GET", "/check?ip=nobody")[0] == 400
    assert proxy.sluice.ask_admin("POST", "/check")[0] == 405


def test_the_admin_token_is_not_needed_on_the_listener_for_checks(start_sluice, scripted):
    upstream, port = scripted(), free_port()
    sluice = start_sluice({"upstream": upstream.address, "check": f"127.0.0.1:{port}", "admin": {"address": f"127.0.0.1:{free_port()}", "token": "t" * 20}, **FEW})
    assert sluice.ask_admin("GET", "/check")[0] == sluice.ask_admin("GET", "/explain")[0] == 401
    # Whatever page and whoever the request that it is about is of.
    fields = {"Origin": "https://elsewhere.example", "Authorization": "Bearer theirs"}
    assert ask(("127.0.0.1", port), fields, method="DELETE").status == 200
    sluice.stop()


def test_a_reload_opens_moves_and_closes_it(pair):
    proxy = pair(**FEW)
    ports = [free_port(), free_port()]
    who = {"X-Forwarded-For": "198.51.100.1"}
    base = {"upstream": proxy.upstream.address, **FEW}
    proxy.sluice.reload({**base, "check": f"127.0.0.1:{ports[0]}"})
    assert ask(("127.0.0.1", ports[0]), who).status == 200
    kept = RawClient(("127.0.0.1", ports[0]))
    assert kept.get(fields=list(who.items())).status == 200
    proxy.sluice.reload({**base, "check": f"127.0.0.1:{ports[1]}"})
    kept.expect_close()
    assert ask(("127.0.0.1", ports[1]), who).status == 429, "the counters stay"
    with pytest.raises(ConnectionRefusedError):
        ask(("127.0.0.1", ports[0]), who)
    proxy.sluice.write({**base, "check": f"{proxy.upstream.address}"})
    status, _, body = proxy.sluice.ask_admin("POST", "/reload")
    assert status == 422 and "check: cannot listen" in body
    assert ask(("127.0.0.1", ports[1]), who).status == 429, "nothing has changed"
    proxy.sluice.reload(base)
    with pytest.raises(ConnectionRefusedError):
        ask(("127.0.0.1", ports[1]), who)


def test_a_drain_answers_what_was_asked(checking):
    proxy, address = checking()
    asked, idle = RawClient(address), RawClient(address)
    assert idle.get(fields=[("X-Forwarded-For", "198.51.100.2")]).status == 200
    request = get(method="POST", body=b"x", fields=[("X-Forwarded-For", "198.51.100.1"), ("Expect", "100-continue")])
    asked.send(request[:-1])
    assert asked.read_head().status == 100  # so it was begun
    proxy.sluice.send_signal(15)
    idle.expect_close()
    asked.send(request[-1:])
    answer = asked.read()
    assert answer.status == 200 and answer.one("Connection") == "close"
    asked.expect_close()
    assert proxy.sluice.wait_exit() == 0


def test_a_drain_does_not_wait_for_who_connected_and_asks_nothing(checking):
    """Those whom the kernel had accepted: the listener finds them when the end has begun."""
    proxy, address = checking(timeouts={"drain": "1m"}, runtime={"workers": 1})
    proxy.sluice.send_signal(signal.SIGSTOP)
    silent = [RawClient(address) for _ in range(200)]
    asking = RawClient(address)
    asking.send(get())
    proxy.sluice.send_signal(signal.SIGTERM)
    proxy.sluice.send_signal(signal.SIGCONT)
    assert asking.read().status == 200
    for client in silent:
        client.expect_close()
    assert proxy.sluice.wait_exit() == 0 and '"stopped"' in proxy.sluice.stderr


# Others in front.

NGINX = """
    error_page 500 = @refused;
    location / {{
        auth_request /sluice;
        auth_request_set $sluice_status $upstream_status;
        auth_request_set $sluice_retry $upstream_http_retry_after;
        auth_request_set $sluice_limit $upstream_http_ratelimit;
        add_header RateLimit $sluice_limit always;
        proxy_pass http://{app};
    }}
    location = /sluice {{
        internal;
        proxy_pass http://{check};
        proxy_pass_request_body off;
        proxy_set_header Content-Length "";
        proxy_set_header X-Forwarded-Method $request_method;
        proxy_set_header X-Forwarded-Host $http_host;
        proxy_set_header X-Forwarded-Uri $request_uri;
        proxy_set_header X-Forwarded-For $remote_addr;
    }}
    location @refused {{
        add_header Retry-After $sluice_retry always;
        add_header RateLimit $sluice_limit always;
        if ($sluice_status = 429) {{ return 429; }}
        return 500;
    }}
"""


def test_behind_nginx_auth_request(checking, scripted, closing, tmp_path):
    app = scripted(serve(response(body=b"from the app")))
    proxy, (host, port) = checking(limits=[{"name": "few", "rate": "1/h", "burst": 2, "key": ["ip", "method", "path"]}], deny=["127.0.0.9"])
    front = closing(nginx_http(tmp_path, NGINX.format(app=app.address, check=f"{host}:{port}")))
    with RawClient(front.address, source="127.0.0.5") as client:
        answers = [client.get("/a?x=1", fields=[("X-Forwarded-For", "6.6.6.6"), ("X-Forwarded-Method", "PUT")]) for _ in range(3)]
        assert [answer.status for answer in answers] == [200, 200, 429]
        assert [answer.all("RateLimit") for answer in answers] == [['"few";r=1;t=3600'], ['"few";r=0;t=3600'], ['"few";r=0;t=3600']]
        assert answers[2].one("Retry-After") == "3600"
    with RawClient(front.address, source="127.0.0.5") as client:  # nginx closes behind a 500 that it makes another of
        assert client.get("/b").status == 200, "another path"
        assert client.ask(get("/a?x=2", method="POST", body=b"x" * 100000)).status == 200, "another method, with a body"
    with RawClient(front.address, source="127.0.0.9") as client:
        assert client.get("/a").status == 403
    assert len(app.requests) == 4
    stats = proxy.sluice.settled()["requests"]
    assert (stats["allowed"], stats["limited"], stats["denied"]) == (4, 1, 1)
    assert {each["limit"] for each in proxy.sluice.admin_json("/stats/clients")["clients"]} == {"few"}


def test_behind_caddy_forward_auth(checking, scripted, closing, tmp_path):
    app = scripted(serve(response(body=b"from the app")))
    proxy, (host, port) = checking(limits=[{"name": "few", "rate": "1/h", "burst": 2, "key": ["ip", "method", "path"]}], deny=["127.0.0.9"])
    front = closing(caddy(tmp_path, f"  forward_auth {host}:{port} {{\n    uri /check\n  }}\n  reverse_proxy {app.address}"))
    with RawClient(front.address, source="127.0.0.5") as client:
        answers = [client.get("/a?x=1", fields=[("X-Forwarded-For", "6.6.6.6"), ("X-Forwarded-Method", "PUT")]) for _ in range(3)]
        assert [answer.status for answer in answers] == [200, 200, 429]
        assert answers[2].one("Retry-After") == "3600" and answers[2].one("RateLimit") == '"few";r=0;t=3600'
        assert json.loads(answers[2].body)["violated-policies"] == ["few"]
        assert client.get("/b").status == 200, "another path"
        assert client.ask(get("/a?x=2", method="POST", body=b"x" * 100000)).status == 200, "another method, with a body"
    with RawClient(front.address, source="127.0.0.9") as client:
        assert client.get("/a").status == 403
    assert len(app.requests) == 4
    stats = proxy.sluice.settled()["requests"]
    assert (stats["allowed"], stats["limited"], stats["denied"]) == (4, 1, 1)


# /explain.

EXPLAINED = {
    "limits": [{"name": "per-ip", "rate": "1/h", "burst": 3}, {"name": "per-key", "rate": "1/h", "burst": 5, "key": "header:X-Api-Key", "missing": "skip"},
               {"name": "posts", "rate": "1/h", "burst": 1, "match": {"method": ["POST"]}, "key": ["ip", "path"], "status": 403},
               {"name": "shadow", "rate": "1/h", "mode": "shadow"}],
    "routes": [{"match": {"path_prefix": "/api"}, "upstream": "app"}, {"match": {"host": "static.example"}, "respond": {"status": 204}}],
    "client": {"trusted_proxies": ["127.0.0.1"]}, "deny": ["203.0.113.0/24"],
}


def explain(proxy, **parameters):
    query = "&".join(f"{name}={value}" for name, value in parameters.items())
    return proxy.sluice.admin_json(f"/explain?{query}")


def test_explain_tells_the_route_the_limits_and_the_verdict(pair):
    proxy = pair(**EXPLAINED)
    told = explain(proxy, method="POST", host="a.example", uri="/api/x?y=1", ip="198.51.100.7", header="X-Api-Key:secret")
    assert (told["route"], told["verdict"], told["status"], told["client"]) == ({"index": 0, "upstream": "app"}, "allowed", None, "198.51.100.7")
    assert [(limit["name"], limit["admits"], limit["remaining"]) for limit in told["limits"]] == [("per-ip", True, 3), ("per-key", True, 5), ("posts", True, 1), ("shadow", True, 1)]
    assert told["limits"][0]["key"] == "198.51.100.7"
    assert told["limits"][1]["key"].startswith("header:X-Api-Key#") and "secret" not in json.dumps(told)
    assert explain(proxy, host="static.example", uri="/")["status"] == 204
    assert explain(proxy, host="other.example", uri="/") == {"client": "127.0.0.1", "listener": proxy.sluice.config["listen"], "route": None, "verdict": "none", "status": 404, "refused_by": None, "retry_after": None, "limits": []}
    assert explain(proxy, uri="/api", ip="203.0.113.9")["verdict"] == "denied"
    stats = proxy.sluice.stats()
    assert stats["clients"]["tracked"] == 0 and stats["requests"]["total"] == 0, "it spends, counts and remembers nothing"


@pytest.mark.parametrize("query", ["path=%2Flogin", "ip=nobody", "uri=nowhere", "method=G%20T", "host=a%2Fb", "header=nocolon", "uri=%2Fa%23b"])
def test_explain_refuses_what_is_no_request(pair, query):
    status, _, body = pair(**EXPLAINED).sluice.ask_admin("GET", f"/explain?{query}")
    assert status == 400 and json.loads(body)["detail"]


def listening(*names):
    return [{"name": name, "address": f"127.0.0.1:{free_port()}"} for name in names]


def test_explain_asks_for_a_listener_and_without_one_for_the_first(pair):
    routes = [{"match": {"listener": "inside"}, "respond": {"status": 204}}, {"upstream": "app"}]
    proxy = pair(listen=listening("front", "inside"), routes=routes, limits=[{"name": "per-ip", "match": {"listener": "front"}, "rate": "1/h"}])
    assert proxy.client().get().status == 200
    assert proxy.client().get().status == 429
    for told in (explain(proxy), explain(proxy, listener="front")):
        assert (told["listener"], told["verdict"], told["status"], told["refused_by"]) == ("front", "limited", 429, "per-ip")
        assert [limit["name"] for limit in told["limits"]] == ["per-ip"]
    told = explain(proxy, listener="inside")
    assert (told["listener"], told["route"]["index"], told["status"], told["limits"]) == ("inside", 0, 204, [])
    for name in ("nosuch", ""):
        status, _, body = proxy.sluice.ask_admin("GET", f"/explain?listener={name}")
        assert status == 400 and json.loads(body)["detail"] == f'no listener is named "{name}"; there is front, inside'


def test_explain_tells_when_to_come_back(pair):
    limits = [{"name": "brief", "rate": "1/m", "burst": 1}, {"name": "long", "rate": "1/h", "burst": 1, "ban": {"after": 2, "within": "1h", "for": "2h"}}]
    proxy = pair(limits=limits)
    client = proxy.client()
    assert (explain(proxy)["verdict"], explain(proxy)["retry_after"]) == ("allowed", None)
    assert client.get().status == 200
    told = explain(proxy)
    assert told["verdict"] == "limited" and 3590 <= told["retry_after"] <= 3600
    assert proxy.sluice.ask_admin("PUT", "/bans/127.0.0.1", '{"for": "3h"}')[0] == 200
    told = explain(proxy)
    assert told["verdict"] == "banned" and 3 * 3600 - 10 <= told["retry_after"] <= 3 * 3600
    assert abs(told["retry_after"] - int(client.get().one("Retry-After"))) <= 1


def test_explain_agrees_with_what_the_next_request_gets(pair):
    listen = listening("front", "side")
    limits = [*EXPLAINED["limits"], {"name": "by-the-side", "rate": "1/h", "burst": 2, "match": {"listener": "side"}}]
    proxy = pair(**{**EXPLAINED, "limits": limits}, listen=listen)
    seed = random.randrange(1 << 32)
    dice = random.Random(seed)
    clients = {each["name"]: RawClient(("127.0.0.1", int(each["address"].rpartition(":")[2]))) for each in listen}
    for _ in range(200):
        name, client = dice.choice(list(clients.items()))
        method, path, host = dice.choice(["GET", "POST"]), dice.choice(["/api", "/api/x", "/other"]), dice.choice(["a.example", "static.example"])
        ip, key = f"198.51.100.{dice.randrange(4)}" if dice.random() < 0.9 else "203.0.113.1", dice.choice([None, "k1", "k2"])
        told = explain(proxy, listener=name, method=method, host=host, uri=path, ip=ip, **({"header": f"X-Api-Key:{key}"} if key else {}))
        fields = [("X-Forwarded-For", ip)] + ([("X-Api-Key", key)] if key else [])
        answer = client.ask(get(path, host=host, fields=fields, method=method, body=b"" if method == "POST" else None))
        assert answer.status == (told["status"] or 200), (seed, told, answer.raw_head)
        if told["verdict"] == "limited":
            assert json.loads(answer.body)["violated-policies"] == [told["refused_by"]], seed
            assert 0 <= told["retry_after"] - int(answer.one("Retry-After")) <= 1, seed
        shown = [limit["name"] for limit in told["limits"] if limit["mode"] == "enforce"]
        if told["verdict"] in ("allowed", "limited"):
            assert [item.split(";")[0].strip('" ') for item in answer.one("RateLimit-Policy").split(",")] == shown, seed
