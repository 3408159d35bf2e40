"""Limits as clients see them: exactly what is owed is admitted, never one more; and what a refusal says."""

import json
import re
import time

import pytest

from support.client import crowd, get
from support.upstream import response, serve
from support.wait import wait_until

LIMIT = {"name": "few", "rate": "2/s", "burst": 4}
EVERY = 0.5  # seconds per request of LIMIT


def statuses(answers):
    return [answer.status for answer in answers]


def burst_within(proxy, sources, count):
    """The answers to `count` requests at once from the first of the sources that got through within half a second:
    had they taken longer, one more would rightly be admitted."""
    for source in sources:
        answers = crowd(proxy.sluice.address, get(), connections=count, total=count, source=source)
        if max(a.received for a in answers) - min(a.sent for a in answers) < EVERY * 0.9:
            return answers
    raise AssertionError("this machine is too busy to send the requests within half a second")


def test_exactly_the_burst_of_20_at_once(pair):
    proxy = pair(serve(response()), limits=[LIMIT])
    for group in (2, 3):
        answers = burst_within(proxy, [f"127.0.{n}.{group}" for n in range(10)], 20)
        assert statuses(answers).count(200) == 4 and statuses(answers).count(429) == 16


def test_then_exactly_one_each_half_second_for_each_address(pair):
    """Two addresses ask in turns without a pause for three and a half seconds. Every answer is judged by the closed
    form: with the first request decided at t0, the k-th one after the burst is owed at t0 + k/2 s and not before."""
    proxy = pair(serve(response()), limits=[LIMIT])
    clients = {source: proxy.client(source=source) for source in ("127.0.0.2", "127.0.0.3")}
    log = {source: [] for source in clients}
    end = time.monotonic() + 3.5
    while time.monotonic() < end:
        for source, client in clients.items():
            sent = time.monotonic()
            status = client.get().status
            log[source].append((sent, time.monotonic(), status))
    for source, answers in log.items():
        first_sent, first_received, _ = answers[0]
        admitted = 0
        for sent, received, status in answers:
            after_burst = admitted - 4 + 1  # which one after the burst this would be
            if status == 200:
                assert received >= first_sent + after_burst * EVERY, f"{source}: one too early, {received - first_sent:.4f} s"
                admitted += 1
            else:
                assert status == 429
                assert sent < first_received + after_burst * EVERY, f"{source}: refused what was owed, {sent - first_received:.4f} s"
        assert admitted in (10, 11), f"{source}: {admitted} in 3.5 s"


def test_64_connections_at_once_never_get_one_more(pair):
    proxy = pair(serve(response()), limits=[LIMIT], runtime={"workers": 2})
    answers = crowd(proxy.sluice.address, get(), connections=64, seconds=2.2, source="127.0.0.2")
    admitted = statuses(answers).count(200)
    longest = max(a.received for a in answers) - min(a.sent for a in answers)
    shortest = max(a.sent for a in answers) - min(a.received for a in answers)
    assert 4 + int(shortest / EVERY) <= admitted <= 4 + int(longest / EVERY)
    assert len(answers) > 1000
    limit, = proxy.sluice.stats()["limits"]
    assert (limit["allowed"], limit["limited"]) == (admitted, len(answers) - admitted)


def test_64_connections_share_one_large_burst_exactly(pair):
    proxy = pair(serve(response()), limits=[{"name": "hour", "rate": "10/h", "burst": 1000}], runtime={"workers": 2})
    answers = crowd(proxy.sluice.address, get(), connections=64, total=3000)
    assert statuses(answers).count(200) == 1000 and statuses(answers).count(429) == 2000


def test_a_client_that_waits_retry_after_is_admitted(pair):
    proxy = pair(serve(response()), limits=[{"name": "few", "rate": "1/s", "burst": 1}])
    client = proxy.client()
    assert client.get().status == 200
    refused = client.get()
    assert refused.status == 429 and refused.one("Retry-After") == "1"
    end = time.monotonic() + 1
    wait_until(lambda: time.monotonic() >= end, "the second that we were told to wait")
    assert client.get().status == 200


def test_retry_after_is_that_of_the_limit_that_lasts_longest(pair):
    limits = [{"name": "brief", "rate": "2/m", "burst": 2}, {"name": "long", "rate": "2/h", "burst": 2}]
    client = pair(serve(response()), limits=limits).client()
    assert [client.get().status for _ in range(2)] == [200, 200]
    refused = client.get()
    assert refused.status == 429 and json.loads(refused.body)["violated-policies"] == ["brief"]
    seconds = int(refused.one("Retry-After"))
    assert 1790 <= seconds == json.loads(refused.body)["retry_after"] <= 1800
    assert json.loads(refused.body)["detail"] == f'The limit "brief" is used up; try again in {seconds} seconds.'


def test_retry_after_minds_a_limit_that_would_delay_for_too_long(pair):
    limits = [{"name": "brief", "rate": "1/m", "burst": 1}, {"name": "holds", "rate": "1/h", "burst": 1, "action": "delay", "max_delay": "10m"}]
    client = pair(serve(response()), limits=limits).client()
    assert client.get().status == 200
    refused = client.get()
    assert refused.status == 429 and json.loads(refused.body)["violated-policies"] == ["brief"]
    assert 2990 <= int(refused.one("Retry-After")) <= 3000


def test_a_request_that_costs_more_than_the_limit_holds_is_told_so(pair):
    client = pair(serve(response()), limits=[{"name": "few", "rate": "2/s", "burst": 2, "cost": {"header": "X-Cost"}}]).client()
    refused = client.get(fields=[("X-Cost", "3")])
    assert refused.status == 429 and refused.one("Retry-After") == "1"
    assert "never admits as much as this request costs" in json.loads(refused.body)["detail"]
    assert client.get(fields=[("X-Cost", "2")]).status == 200


def parse_list(value):
    """A structured-field list (RFC 9651) of strings with integer and string parameters: {name: {parameter: value}}."""
    items = {}
    for item in re.split(r"\s*,\s*", value):
        match = re.fullmatch(r'"([^"]*)"((?:;[a-z]+=(?:\d+|"[^"]*"))*)', item)
        assert match, f"no structured field: {value!r}"
        parameters = (part.split("=") for part in match[2].split(";")[1:])
        items[match[1]] = {key: number.strip('"') if '"' in number else int(number) for key, number in parameters}
    return items


def test_the_answer_to_a_refused_request(pair):
    proxy = pair(limits=[{"name": "per-ip", "rate": "6/m", "burst": 3}])
    client = proxy.client()
    for left in (2, 1, 0):
        answer = client.get()
        assert answer.status == 200
        assert parse_list(answer.one("RateLimit-Policy")) == {"per-ip": {"q": 3, "w": 30}}
        told = parse_list(answer.one("RateLimit"))["per-ip"]
        assert told["r"] == left and 1 <= told["t"] <= 10
        assert not answer.has("Retry-After")
    refused = client.get()
    assert refused.status == 429 and refused.reason == "Too Many Requests"
    assert 9 <= int(refused.one("Retry-After")) <= 10
    assert parse_list(refused.one("RateLimit"))["per-ip"]["r"] == 0
    assert refused.one("Content-Type") == "application/problem+json"
    body = json.loads(refused.body)
    assert isinstance(body.pop("detail"), str)
    assert body == {"type": "https://iana.org/assignments/http-problem-types#quota-exceeded", "title": "Too Many Requests",
                    "status": 429, "violated-policies": ["per-ip"], "retry_after": int(refused.one("Retry-After"))}
    assert not refused.has("Connection"), "a refusal costs the client its connection"
    assert [request.target for request in proxy.upstream.requests] == ["/"] * 3


def test_refusals_that_are_alike_are_the_same_bytes_at_their_own_dates(pair):
    proxy = pair(limits=[{"name": "per-ip", "rate": "1/h"}])
    client = proxy.client()
    assert client.get().status == 200
    seen = {}  # date: the answer without it
    while len(seen) < 2:  # until the second has changed
        refused = client.get()
        assert refused.status == 429
        seen[refused.one("Date")] = [field for field in refused.fields if field[0] != "Date"], refused.body
    (fields, body), (later_fields, later_body) = seen.values()
    at = [name for name, _ in fields].index("Retry-After")
    assert int(fields[at][1]) >= int(later_fields[at][1])
    assert len(body) == len(later_body) and json.loads(body)["retry_after"] == int(fields[at][1])


def test_what_a_reload_changes_the_next_refusal_tells(pair):
    proxy = pair(limits=[{"name": "old", "rate": "1/h"}])
    client = proxy.client()
    assert client.get().status == 200
    assert {json.loads(client.get().body)["violated-policies"][0] for _ in range(3)} == {"old"}
    proxy.sluice.reload({**proxy.sluice.config, "limits": [{"name": "new", "rate": "1/h"}]})
    assert client.get().status == 200
    assert {json.loads(client.get().body)["violated-policies"][0] for _ in range(3)} == {"new"}
    proxy.sluice.reload({**proxy.sluice.config, "response": {"body": "text", "headers": "legacy"}})
    for _ in range(3):
        refused = client.get()
        assert refused.one("Content-Type") == "text/plain; charset=utf-8"
        assert refused.has("X-RateLimit-Limit") and not refused.has("RateLimit")


@pytest.mark.parametrize("units", ["mh", "hm"])
@pytest.mark.parametrize("used", [20, 5])
def test_what_is_owed_stays_owed_when_a_reload_changes_the_rate(pair, units, used):
    """100/m has a token each 0.6 s, 100/h each 36 s: at most so many flow in while the test takes its time."""
    before, after = ({"name": "per-ip", "rate": f"100/{unit}", "burst": 20} for unit in units)
    proxy = pair(limits=[before])
    client = proxy.client()
    began = time.monotonic()
    assert statuses(client.get() for _ in range(used)) == [200] * used
    proxy.sluice.reload({**proxy.sluice.config, "limits": [after]})
    answers = [client.get() for _ in range(20)]
    flowed_in = int((time.monotonic() - began) / 0.6)
    assert {parse_list(a.one("RateLimit-Policy"))["per-ip"]["w"] for a in answers} == {{"h": 720, "m": 12}[units[1]]}
    assert 20 - used <= statuses(answers).count(200) <= 20 - used + flowed_in


def test_each_connection_is_refused_in_its_own_way(pair):
    proxy = pair(limits=[{"rate": "1/h"}])
    assert proxy.client().get().status == 200
    for _ in range(3):
        stays, goes, old = proxy.client(), proxy.client(), proxy.client()
        assert not stays.get().has("Connection")
        assert goes.ask(get(fields=[("Connection", "close")])).one("Connection") == "close"
        goes.expect_close()
        assert old.ask(get(version="1.0", fields=[("Connection", "keep-alive")])).one("Connection") == "keep-alive"
        assert stays.get().status == 429 and old.ask(get(version="1.0")).one("Connection") == "close"


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
def test_a_refusal_fits_the_method(pair, method):
    proxy = pair(limits=[{"rate": "1/h"}])
    client = proxy.client()
    assert client.get().status == 200
    for _ in range(3):
        refused = client.ask(get(method=method, body=b"hello" if method == "POST" else None))
        assert refused.status == 429 and bool(refused.body) == (method != "HEAD")
        assert int(refused.one("Content-Length")) > 0


def test_http_1_0_is_refused_in_its_own_version(pair):
    proxy = pair(limits=[{"rate": "1/h"}])
    assert proxy.client().get().status == 200
    client = proxy.client()
    refused = client.get(version="1.0")
    assert refused.status == 429 and refused.framing in ("length", "close")
    client.expect_close()


def test_several_limits_are_all_shown_and_the_nearest_is_told(pair):
    proxy = pair(limits=[{"name": "wide", "rate": "100/h", "burst": 100}, {"name": "tight", "rate": "1/m", "burst": 2}])
    client = proxy.client()
    answer = client.get()
    assert set(parse_list(answer.one("RateLimit-Policy"))) == {"wide", "tight"}
    assert parse_list(answer.one("RateLimit"))["tight"]["r"] == 1
    assert client.get().status == 200
    refused = client.get()
    assert refused.status == 429 and json.loads(refused.body)["violated-policies"] == ["tight"]


def test_a_refused_request_spends_nothing_on_other_limits(pair):
    proxy = pair(limits=[{"name": "wide", "rate": "10/h", "burst": 10, "key": "global"}, {"name": "tight", "rate": "1/h", "burst": 1}])
    for n in range(10):
        client = proxy.client(source=f"127.0.0.{10 + n}")
        assert client.get().status == 200
        assert [client.get().status for _ in range(20)] == [429] * 20
    assert proxy.client(source="127.0.0.99").get().status == 429


def test_a_limit_applies_where_its_match_fits(pair):
    proxy = pair(limits=[{"name": "writes", "rate": "1/h", "match": {"method": ["POST"], "path_prefix": "/api/"}}])
    client = proxy.client()
    assert client.ask(get("/api/x", method="POST", body=b"")).status == 200
    assert client.ask(get("/api/x", method="POST", body=b"")).status == 429
    unlimited = [client.ask(get("/api/x")), client.ask(get("/other", method="POST", body=b""))]
    assert [answer.status for answer in unlimited] == [200, 200]
    assert not any(answer.has("RateLimit") or answer.has("RateLimit-Policy") for answer in unlimited)


def test_another_spelling_of_a_path_is_no_way_around_its_limit(pair):
    proxy = pair(limits=[{"name": "login", "rate": "1/h", "match": {"path": "/login"}}, {"name": "each", "rate": "1/h", "key": ["ip", "path"], "match": {"path_prefix": "/p/"}}])
    client = proxy.client()
    for n, (first, *others) in enumerate([("/login", "/%6Cogin", "//login", "/./login", "/x/../login"), ("/p/a", "/p/%61", "/p//a", "/p/b/../a")]):
        assert client.get(first).status == 200
        assert proxy.upstream.requests[n].target == first
        assert [client.get(other).status for other in others] == [429] * len(others)
    assert client.get("/p/b").status == 200


def test_the_default_of_burst_is_the_count_of_the_rate(pair):
    proxy = pair(limits=[{"rate": "3/h"}])
    client = proxy.client()
    assert [client.get().status for _ in range(5)] == [200] * 3 + [429] * 2
    limit, = proxy.sluice.stats()["limits"]
    assert (limit["name"], limit["rate"], limit["burst"]) == ("limit-1", "3/h", 3)


def test_another_status(pair):
    proxy = pair(limits=[{"rate": "1/h", "status": 503}])
    client = proxy.client()
    assert client.get().status == 200
    refused = client.get()
    assert refused.status == 503 and json.loads(refused.body)["status"] == 503 and refused.has("Retry-After")


def test_the_upstreams_own_fields_are_kept_unless_ours_is_tighter(pair):
    theirs = [("RateLimit-Policy", '"theirs";q=5;w=60'), ("RateLimit", '"theirs";r=0;t=60')]
    proxy = pair(serve(response(body=b"ok", fields=theirs)), limits=[{"name": "ours", "rate": "100/h"}])
    answer = proxy.client().get()
    told = {name: told for value in answer.all("RateLimit") for name, told in parse_list(value).items()}
    assert told["theirs"] == {"r": 0, "t": 60}


def test_errors_of_the_proxy_itself_spend_nothing(pair):
    """A request that is malformed or matches no route is answered before any limit is asked."""
    proxy = pair(routes=[{"match": {"path": "/x"}, "upstream": "app"}], limits=[{"rate": "1/h"}])
    client = proxy.client()
    assert [client.get("/nowhere").status for _ in range(3)] == [404] * 3
    assert client.get("/x").status == 200
    assert client.get("/x").status == 429


def test_a_forwarding_field_that_is_not_believed_is_warned_of_once(pair):
    proxy = pair()
    client = proxy.client(source="127.0.0.9")
    for _ in range(20):
        assert client.get(fields=[("X-Forwarded-For", "1.2.3.4")]).status == 200
    wait_until(lambda: "client.trusted_proxies" in proxy.sluice.output, "the warning")
    proxy.sluice.stop()
    told, = [json.loads(line) for line in proxy.sluice.output.splitlines() if "client.trusted_proxies" in line]
    assert told["level"] == "warn" and told["peer"] == "127.0.0.9"
    line, = (line for line in proxy.sluice.output.splitlines() if "client.trusted_proxies" in line)
    assert '"127.0.0.9"' in line
