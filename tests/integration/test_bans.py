"""Bans: made by refusals and by the admin listener, listed, lifted, and over when their time is."""

import json
import re
import threading
import time
import urllib.parse

import pytest

from support.client import expect_problem, get
from support.ports import free_port
from support.sluice import run
from support.upstream import response, serve
from support.wait import wait_until

BAN = {"after": 3, "within": "1m", "for": "15m"}
PER_IP = {"name": "per-ip", "rate": "1/h", "burst": 2, "ban": BAN}


def admin(sluice, method, path, body=None, **headers):
    """(status, answer as JSON) of one admin call."""
    status, _, text = sluice.ask_admin(method, path, body if body is None or isinstance(body, str) else json.dumps(body), headers)
    return status, json.loads(text)


def path(call, key):
    return f"/{call}/{urllib.parse.quote(key, safe='')}"


def ban(sluice, key, duration="10m"):
    status, answer = admin(sluice, "PUT", path("bans", key), {"for": duration})
    assert status == 200, answer
    return answer["bans"]


def statuses(client, count, fields=()):
    return [client.get(fields=fields).status for _ in range(count)]


def test_whoever_is_shut_out_by_an_operator_is_so_where_no_route_leads(pair):
    proxy = pair(routes=[{"match": {"path_prefix": "/app"}, "upstream": "app"}])
    client = proxy.client(source="127.0.0.2")
    assert client.get("/nowhere").status == 404
    ban(proxy.sluice, "127.0.0.2")
    assert client.get("/nowhere").status == 403
    status, told = admin(proxy.sluice, "GET", "/explain?method=GET&uri=/nowhere&ip=127.0.0.2")
    assert (status, told["status"], told["verdict"]) == (200, 403, "banned")
    assert proxy.client(source="127.0.0.3").get("/nowhere").status == 404


def test_a_ban_that_comes_and_goes_harms_nobody_whom_no_route_serves(pair):
    """Between the moment in which a request is found to go nowhere and the one in which it is decided about."""
    proxy = pair(routes=[{"match": {"path_prefix": "/app"}, "upstream": "app"}])
    over = threading.Event()
    seen = set()

    def ask():
        client = proxy.client()
        while not over.is_set():
            client.send(get("/nowhere") * 50)
            seen.update(client.read().status for _ in range(50))

    askers = [threading.Thread(target=ask) for _ in range(2)]
    for each in askers:
        each.start()
    for _ in range(500):
        ban(proxy.sluice, "127.0.0.1")
        admin(proxy.sluice, "DELETE", path("bans", "127.0.0.1"))
    over.set()
    for each in askers:
        each.join()
    assert seen == {403, 404}


def test_so_many_refusals_shut_the_client_out(pair):
    proxy = pair(limits=[PER_IP], log={"access": "limited"})
    bad, good = proxy.client(source="127.0.0.2"), proxy.client(source="127.0.0.3")
    assert statuses(bad, 7) == [200, 200, 429, 429, 429, 403, 403]
    answer = bad.get()
    assert "banned" in expect_problem(answer, 403)["detail"]
    assert 14 * 60 < int(answer.one("Retry-After")) <= 15 * 60
    assert not answer.all("RateLimit"), "no limit was asked"
    assert good.get().status == 200
    assert len(proxy.upstream.wait_for_requests(3)) == 3

    stats = proxy.sluice.settled()
    assert stats["requests"]["banned"] == 3 and stats["requests"]["limited"] == 3
    assert stats["limits"][0]["banned"] == 3
    assert (stats["bans"]["active"], stats["bans"]["made"]) == (1, 1)
    metrics = proxy.sluice.ask_admin("GET", "/metrics")[2]
    assert 'sluice_requests_total{limit="per-ip",outcome="banned"} 3' in metrics
    assert "\nsluice_bans 1\n" in metrics
    wait_until(lambda: proxy.sluice.output.count('"verdict":"banned"') == 3, "three lines of the access log")
    line, = wait_until(lambda: [json.loads(line) for line in proxy.sluice.output.splitlines() if '"message":"banned"' in line], "the log")
    assert (line["limit"], line["key"], line["seconds"]) == ("per-ip", "127.0.0.2", 900)

    status, listed = admin(proxy.sluice, "GET", "/bans")
    (entry,) = listed["bans"]
    assert status == 200 and listed["total"] == 1
    assert (entry["key"], entry["limit"], entry["by"]) == ("127.0.0.2", "per-ip", "limit")
    assert 890 < entry["left_seconds"] <= 900 and re.fullmatch(r"\d{4}-\d\d-\d\dT.*Z", entry["banned_until"])
    until = {client["key"]: client["banned_until"] for client in proxy.sluice.admin_json("/stats/clients")["clients"]}
    assert until["127.0.0.3"] is None and until["127.0.0.2"][:16] == entry["banned_until"][:16]


def test_a_ban_ends_by_itself(pair):
    proxy = pair(limits=[{"rate": "100/s", "burst": 1, "ban": {"after": 1, "within": "1m", "for": "1s"}}])
    client = proxy.client()
    begin = time.monotonic()
    wait_until(lambda: client.get().status == 429, "a refusal")
    refused = time.monotonic()
    assert client.get().status == 403
    wait_until(lambda: client.get().status == 200, "the end of the ban")
    assert time.monotonic() - begin >= 1 and time.monotonic() - refused < 10
    wait_until(lambda: '"message":"ban expired"' in proxy.sluice.output, "the end in the log")
    stats = wait_until(lambda: (s := proxy.sluice.stats())["bans"]["active"] == 0 and s, "the table is empty")
    assert stats["bans"]["expired"] >= 1


def test_let_in_by_hand(pair):
    proxy = pair(limits=[PER_IP])
    client = proxy.client(source="127.0.0.2")
    assert statuses(client, 6)[-1] == 403
    status, lifted = admin(proxy.sluice, "DELETE", path("bans", "127.0.0.2"))
    assert status == 200 and [b["limit"] for b in lifted["bans"]] == ["per-ip"]
    assert statuses(client, 4) == [429, 429, 429, 403], "its bucket is as empty as before, and it is counted anew"
    assert admin(proxy.sluice, "DELETE", path("bans", "127.0.0.9"))[0] == 404
    wait_until(lambda: '"message":"ban lifted by an operator"' in proxy.sluice.output, "the log says so")


def test_all_are_let_in_at_once(pair):
    proxy = pair(limits=[PER_IP, {"name": "by-key", "rate": "100/h", "key": "header:X-Api-Key", "missing": "skip"}])
    bad, keyed, by_hand = (proxy.client(source=f"127.0.0.{n}") for n in (2, 3, 4))
    assert statuses(bad, 6)[-1] == 403
    assert statuses(keyed, 1, [("X-Api-Key", "s3cret")]) == [200]
    key, = (c["key"] for c in proxy.sluice.admin_json("/stats/clients?limit=by-key")["clients"])
    ban(proxy.sluice, key)
    ban(proxy.sluice, "127.0.0.4")
    assert {b["limit"] for b in admin(proxy.sluice, "GET", "/bans")[1]["bans"]} == {"per-ip", "by-key", None}
    assert [b["key"] for b in admin(proxy.sluice, "GET", "/bans?limit=by-key")[1]["bans"]] == [key]
    for method in ("GET", "DELETE"):
        for name in ("nosuch", ""):
            assert admin(proxy.sluice, method, f"/bans?limit={name}")[0] == 404
    status, lifted = admin(proxy.sluice, "DELETE", "/bans?limit=per-ip")
    assert status == 200 and lifted["total"] == 1 and [(b["key"], b["limit"]) for b in lifted["bans"]] == [("127.0.0.2", "per-ip")]
    assert (statuses(bad, 1), statuses(keyed, 1, [("X-Api-Key", "s3cret")]), statuses(by_hand, 1)) == ([429], [403], [403])
    status, lifted = admin(proxy.sluice, "DELETE", "/bans")
    assert status == 200 and lifted["total"] == 2 and {b["key"] for b in lifted["bans"]} == {key, "127.0.0.4"}
    assert (statuses(keyed, 1, [("X-Api-Key", "s3cret")]), statuses(by_hand, 1)) == ([200], [200])
    assert admin(proxy.sluice, "DELETE", "/bans") == (200, {"bans": [], "total": 0})
    stats = proxy.sluice.stats()["bans"]
    assert (stats["active"], stats["made"], stats["lifted"]) == (0, 3, 3)
    lines = [json.loads(line) for line in proxy.sluice.stderr.splitlines() if '"message":"all bans lifted by an operator"' in line]
    assert [(line["limit"], line["bans"]) for line in lines] == [("per-ip", 1), ("any", 2), ("any", 0)]


def test_an_address_is_banned_by_hand_whatever_it_asks_for(pair):
    proxy = pair(limits=[{"name": "posts", "rate": "1/h", "match": {"method": ["POST"]}}], allow=["127.0.0.4/32"])
    assert ban(proxy.sluice, "127.0.0.2")[0]["limit"] is None
    assert ban(proxy.sluice, "127.0.0.4/31")[0]["key"] == "127.0.0.4/31"
    got = {n: proxy.client(source=f"127.0.0.{n}").get().status for n in range(2, 7)}
    assert got == {2: 403, 3: 200, 4: 403, 5: 403, 6: 200}
    assert [b["key"] for b in admin(proxy.sluice, "GET", "/bans")[1]["bans"]] == ["127.0.0.4/31", "127.0.0.2"]
    assert admin(proxy.sluice, "DELETE", "/bans/127.0.0.4/31")[0] == 200, "a slash may stay as it is"
    assert proxy.client(source="127.0.0.5").get().status == 200


def test_a_client_behind_a_trusted_proxy_is_banned_by_its_own_address(pair):
    proxy = pair(client={"trusted_proxies": ["127.0.0.1/32"]})
    ban(proxy.sluice, "2001:db8:0:1::5")
    client = proxy.client()

    def status(address):
        return client.get(fields=[("X-Forwarded-For", address)]).status
    assert status("2001:db8:0:1::ffff") == 403, "the client is a /64"
    assert status("2001:db8:0:2::5") == 200
    assert admin(proxy.sluice, "DELETE", path("bans", "2001:db8:0:1::/64"))[0] == 200
    assert status("2001:db8:0:1::5") == 200


def test_a_secret_is_banned_as_it_is_listed(pair):
    proxy = pair(limits=[{"name": "by-key", "rate": "100/h", "key": "header:X-Api-Key", "missing": "skip"}])
    client = proxy.client()
    assert statuses(client, 2, [("X-Api-Key", "s3cret")]) == [200, 200]
    key = proxy.sluice.admin_json("/stats/clients")["clients"][0]["key"]
    assert key.startswith("header:X-Api-Key#") and "s3cret" not in key
    ban(proxy.sluice, key)
    assert statuses(client, 2, [("X-Api-Key", "s3cret")]) == [403, 403]
    assert statuses(client, 1, [("X-Api-Key", "other")]) == [200] and statuses(client, 1) == [200]
    one, = proxy.sluice.admin_json(path("clients", key))["clients"]
    assert one["banned_until"] and one["allowed"] == 2
    assert admin(proxy.sluice, "DELETE", path("bans", key))[0] == 200
    assert statuses(client, 1, [("X-Api-Key", "s3cret")]) == [200]


def test_one_client_is_shown_under_every_limit_and_forgotten(pair):
    proxy = pair(limits=[PER_IP, {"name": "wide", "rate": "1000/h", "ipv4_prefix": 24}])
    client = proxy.client(source="127.0.0.2")
    statuses(client, 6)
    listed = {c["limit"]: c for c in proxy.sluice.admin_json(path("clients", "127.0.0.2"))["clients"]}
    assert listed["per-ip"]["denied"] == 3 and listed["per-ip"]["banned_until"]
    assert listed["wide"]["key"] == "127.0.0.0/24" and listed["wide"]["allowed"] == 2 and not listed["wide"]["banned_until"]
    status, forgotten = admin(proxy.sluice, "DELETE", path("clients", "127.0.0.2"))
    assert status == 200 and {c["limit"] for c in forgotten["clients"]} == {"per-ip", "wide"}
    assert statuses(client, 6) == [200, 200, 429, 429, 429, 403], "as if it had never come"
    for method in ("GET", "DELETE"):
        assert admin(proxy.sluice, method, path("clients", "192.0.2.99"))[0] == 404
        assert admin(proxy.sluice, method, path("clients", "nonsense"))[0] == 404


@pytest.mark.parametrize("body, status", [
    ("", 400), ("{", 400), ("10m", 400), ("[" * 10_000, 400), ("{}", 422), ("[]", 422), ("null", 422), ('"10m"', 422), ('{"for": 10}', 422),
    ('{"for": "10m", "from": "now"}', 422), ('{"for": ""}', 422), ('{"for": "10"}', 422), ('{"for": "-1m"}', 422), ('{"for": "0s"}', 422),
    ('{"for": "9999999d"}', 422), ('{"fro": "10m"}', 422), ('{"for": "10m\\u0000"}', 422), ('{"for": "\\ud800"}', 400),
    ('/**/ {"for": "10m"}', 400), ('{"for": "10m"} // no', 400), ('{"for": "10m", "for": "20m"}', 422), ("[" * 20 + "]" * 20, 422)])
def test_a_ban_that_makes_no_sense_is_refused(pair, body, status):
    proxy = pair()
    answer = proxy.sluice.ask_admin("PUT", "/bans/127.0.0.2", body)
    assert answer[0] == status and json.loads(answer[2])["status"] == status, answer
    assert answer[1].get_content_type() == "application/problem+json"
    assert proxy.sluice.stats()["bans"]["made"] == 0


def test_what_is_wrong_with_a_duration_is_said_once(pair):
    answer = pair().sluice.ask_admin("PUT", "/bans/127.0.0.2", '{"for": "10"}')
    detail = json.loads(answer[2])["detail"]
    assert detail.startswith('for: "10" is not a duration') and detail.count("is not") == 1


def test_what_is_no_key_is_unknown_and_what_is_no_method_is_refused(pair):
    proxy = pair(limits=[PER_IP])
    for key in ("nobody", "127.0.0.1/33", "::1/129", "127.0.0.1/", "global", "header:X#0011223344556677", "\n", "%", "a" * 4000):
        assert admin(proxy.sluice, "PUT", path("bans", key), {"for": "1m"})[0] == 404, key
    assert proxy.sluice.ask_admin("PUT", "/bans/%zz", '{"for": "1m"}')[0] == 400
    for call, allow in (("/bans", {"GET", "HEAD", "DELETE"}), ("/bans/127.0.0.1", {"PUT", "DELETE"}), ("/clients/127.0.0.1", {"GET", "HEAD", "DELETE"})):
        status, headers, _ = proxy.sluice.ask_admin("PATCH", call)
        assert status == 405 and set(headers["Allow"].split(", ")) == allow
    for top in ("0", "x", "10001"):
        assert admin(proxy.sluice, "GET", f"/bans?top={top}")[0] == 400


def test_the_calls_need_the_token(start_sluice, scripted):
    upstream = scripted(serve(response(body=b"ok")))
    sluice = start_sluice({"upstream": upstream.address, "admin": {"address": f"127.0.0.1:{free_port()}", "token": "s3cret"}})
    for method, call, body in (("GET", "/bans", None), ("DELETE", "/bans", None), ("PUT", "/bans/127.0.0.2", '{"for": "1m"}'), ("DELETE", "/bans/127.0.0.2", None),
                               ("GET", "/clients/127.0.0.2", None), ("DELETE", "/clients/127.0.0.2", None)):
        assert sluice.ask_admin(method, call, body)[0] == 401
        assert sluice.ask_admin(method, call, body, {"Authorization": "Bearer wrong"})[0] == 401
    assert sluice.client(source="127.0.0.2").get().status == 200
    assert sluice.ask_admin("PUT", "/bans/127.0.0.2", '{"for": "1m"}', {"Authorization": "Bearer s3cret"})[0] == 200
    assert sluice.client(source="127.0.0.2").get().status == 403


def test_a_page_of_elsewhere_bans_nobody(pair):
    proxy = pair()
    status, _, _ = proxy.sluice.ask_admin("PUT", "/bans/127.0.0.2", '{"for": "1m"}', {"Origin": "http://evil.example"})
    assert status == 403
    assert proxy.client(source="127.0.0.2").get().status == 200


def test_bans_survive_a_reload_and_those_of_a_shadow_limit_are_not_heeded(pair):
    proxy = pair(limits=[PER_IP])
    client = proxy.client(source="127.0.0.2")
    assert statuses(client, 6)[-1] == 403
    proxy.sluice.reload({**proxy.sluice.config, "limits": [{**PER_IP, "rate": "50/s", "burst": 99}]})
    assert client.get().status == 403
    proxy.sluice.reload({**proxy.sluice.config, "limits": [{**PER_IP, "mode": "shadow"}]})
    assert client.get().status == 200
    proxy.sluice.reload({**proxy.sluice.config, "limits": [{**PER_IP, "rate": "50/s", "burst": 99, "ban": {**BAN, "after": 9}}]})
    assert client.get().status == 403


def test_a_banned_client_is_not_forgotten_by_the_janitor(pair):
    proxy = pair(limits=[{"name": "per-ip", "rate": "1000/s", "burst": 1, "ban": {"after": 1, "within": "1m", "for": "1h"}}],
                 clients={"max": 1000, "idle_after": "10ms", "sweep_every": "50ms"})
    client, other = proxy.client(source="127.0.0.2"), proxy.client(source="127.0.0.3")
    for _ in range(200):
        client.send(get() * 8)
        if 403 in [client.read().status for _ in range(8)]:
            break
    other.get()
    wait_until(lambda: proxy.sluice.stats()["clients"]["evicted_idle"] >= 1, "the other is forgotten")
    assert [c["key"] for c in proxy.sluice.admin_json("/stats/clients")["clients"]] == ["127.0.0.2"]
    assert client.get().status == 403


def test_the_table_on_the_terminal_tells_of_bans(pair):
    proxy = pair(limits=[PER_IP])
    statuses(proxy.client(source="127.0.0.2"), 6)
    host, port = proxy.sluice.admin
    proxy.sluice.settled()
    shown = run("stats", "-a", f"{host}:{port}").stdout
    assert re.search(r"bans +1 active, 1 made", shown), shown
