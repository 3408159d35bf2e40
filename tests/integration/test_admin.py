"""The admin listener: figures that add up exactly to what was sent."""

import contextlib
import http.client
import json
import math
import re
import signal
import socket
import subprocess
import threading
import time

import pytest

from support.client import RawClient, get
from support.ports import free_port
from support.sluice import BINARY, LEASH, connected, run
from support.upstream import Refusing, response
from support.wait import wait_until

OK = response(body=b"ok")

# The shape that GET /stats promises: a type, a list of one shape, or a mapping.
NUMBER = (int, float)
STATS = {
    "version": str, "uptime_seconds": NUMBER, "ready": bool, "config": {"reloads": int, "reloads_failed": int},
    "connections": {"open": int, "accepted": int, "refused": int, "handshakes_failed": int, "tunnels": int},
    "requests": {"total": int, "in_flight": int, "allowed": int, "limited": int, "delayed": int, "shadow_limited": int, "denied": int,
                 "banned": int, "by_status": dict},
    "latency_seconds": {"p50": NUMBER, "p90": NUMBER, "p99": NUMBER, "p999": NUMBER},
    "limits": [{"name": str, "algorithm": str, "rate": str, "burst": int, "allowed": int, "limited": int, "clients": int}],
    "clients": {"tracked": int, "max": int, "evicted_idle": int, "evicted_full": int, "bytes": int},
    "janitor": {"sweeps": int, "last_sweep_seconds": NUMBER, "longest_pause_seconds": NUMBER, "removed": int, "next_in_seconds": NUMBER},
    "upstreams": [{"name": str, "servers": [{"address": str, "healthy": bool, "requests": int, "failures": int, "in_flight": int,
                                              "connections_open": int, "connections_idle": int}]}],
    "runtime": {"workers": int, "tasks": {"live": int, "spawned": int, "peak": int}, "steals": int, "parks": int, "blocking_jobs": int,
                "stack_bytes": int},
}


def fits(value, shape, where="stats"):
    if isinstance(shape, dict):
        assert isinstance(value, dict), where
        for key, inner in shape.items():
            assert key in value, f"{where}.{key} is missing"
            fits(value[key], inner, f"{where}.{key}")
    elif isinstance(shape, list):
        assert isinstance(value, list) and value, where
        for at, each in enumerate(value):
            fits(each, shape[0], f"{where}[{at}]")
    else:
        assert isinstance(value, shape) and (shape is bool or not isinstance(value, bool)), f"{where}: {value!r}"


def test_stats_has_the_promised_shape(pair):
    proxy = pair(limits=[{"rate": "10/s", "burst": 20}])
    assert proxy.client().get().status == 200
    fits(proxy.sluice.stats(), STATS)


def test_stats_add_up_exactly(pair):
    def script(connection):
        while request := connection.read_request():
            connection.send(response(int(request.target[1:4]) if request.target[1:4].isdigit() else 200, b"ok"))

    routes = [{"match": {"path": "/pot"}, "respond": {"status": 418}}, {"match": {"path_prefix": "/"}, "upstream": "app"}]
    routes[1]["match"]["host"] = "a.example"
    proxy = pair(script, routes=routes, limits=[{"name": "posts", "rate": "1/h", "burst": 7, "match": {"method": ["POST"]}}])
    start = proxy.sluice.stats()
    one, two = proxy.client(source="127.0.0.2"), proxy.client(source="127.0.0.3")
    for _ in range(10):
        assert one.get().status == 200
    for _ in range(5):
        assert two.get("/500").status == 500
    for _ in range(4):
        assert one.get("/pot").status == 418
    for _ in range(3):
        assert two.get("/nowhere", host="b.example").status == 404
    posts = [one.ask(get(method="POST", body=b"x")).status for _ in range(9)] + [two.ask(get(method="POST", body=b"x")).status for _ in range(8)]
    assert posts == [200] * 7 + [429] * 2 + [200] * 7 + [429]
    for bad in (b"nonsense\r\n\r\n", b"GET nonsense HTTP/1.1\r\nHost: a\r\n\r\n"):
        client = proxy.client()
        assert client.ask(bad, "GET").status == 400
        client.expect_close()
    wait_until(lambda: proxy.sluice.stats()["requests"]["in_flight"] == 0, "the last one accounted for")
    # What was malformed is read over for a moment, so that its answer is not lost to a reset.
    wait_until(lambda: proxy.sluice.stats()["connections"]["open"] == 2, "the end of the two malformed ones")

    stats = proxy.sluice.stats()
    assert stats["requests"]["by_status"] == {"200": 24, "500": 5, "418": 4, "404": 3, "429": 3, "400": 2}
    assert stats["requests"]["total"] == 41 and stats["requests"]["in_flight"] == 0
    assert stats["requests"]["limited"] == 3
    assert {key: stats["requests"][key] for key in ("delayed", "shadow_limited", "denied", "banned")} == dict.fromkeys(
        ("delayed", "shadow_limited", "denied", "banned"), 0)
    limit, = stats["limits"]
    assert (limit["name"], limit["algorithm"], limit["burst"]) == ("posts", "token_bucket", 7)
    assert (limit["allowed"], limit["limited"], limit["clients"]) == (14, 3, 2)
    assert stats["clients"]["tracked"] == 2 and stats["clients"]["bytes"] > 0
    assert stats["connections"]["accepted"] - start["connections"]["accepted"] == 4
    assert stats["connections"]["open"] == 2 and stats["connections"]["refused"] == 0
    server, = stats["upstreams"][0]["servers"]
    assert server["address"] == proxy.upstream.address and server["healthy"]
    assert (server["requests"], server["failures"], server["in_flight"]) == (29, 0, 0)
    assert (server["connections_open"], server["connections_idle"]) == (1, 1)
    assert stats["uptime_seconds"] > start["uptime_seconds"]
    assert 0 < stats["latency_seconds"]["p50"] <= stats["latency_seconds"]["p90"] <= stats["latency_seconds"]["p99"] <= stats["latency_seconds"]["p999"] < 5


def test_allowed_and_limited_are_all_requests_that_were_judged(pair):
    proxy = pair(limits=[{"rate": "1/h", "burst": 5}])
    client = proxy.client()
    for _ in range(12):
        client.get()
    requests = proxy.sluice.settled()["requests"]
    assert (requests["total"], requests["allowed"], requests["limited"]) == (12, 5, 7)


def test_what_is_in_flight_shows(pair):
    go_on = threading.Event()

    def script(connection):
        while connection.read_request():
            go_on.wait()
            connection.send(OK)

    proxy = pair(script)
    clients = [proxy.client() for _ in range(3)]
    for client in clients:
        client.send(get())
    proxy.upstream.wait_for_requests(3)
    stats = proxy.sluice.stats()
    assert stats["requests"]["in_flight"] == 3 and stats["requests"]["total"] in (0, 3)
    assert stats["connections"]["open"] == 3
    server, = stats["upstreams"][0]["servers"]
    assert (server["in_flight"], server["connections_open"], server["connections_idle"]) == (3, 3, 0)
    go_on.set()
    assert [client.read().status for client in clients] == [200] * 3
    wait_until(lambda: proxy.sluice.stats()["upstreams"][0]["servers"][0]["connections_idle"] == 3, "all three idle")


def test_failures_of_a_server_are_counted(pair, closing):
    refusing = closing(Refusing())
    proxy = pair(app={"servers": [refusing.address]})
    assert [proxy.client().get().status for _ in range(3)] == [502] * 3
    stats = proxy.sluice.settled()
    server, = stats["upstreams"][0]["servers"]
    assert server["address"] == refusing.address and server["failures"] >= 3 and server["in_flight"] == 0
    assert stats["requests"]["by_status"] == {"502": 3}


def test_the_latency_is_the_upstreams(pair):
    def script(connection):
        while connection.read_request():
            connection.gone(0.2)
            connection.send(OK)

    proxy = pair(script)
    client = proxy.client()
    assert [client.get().status for _ in range(4)] == [200] * 4
    latency = proxy.sluice.settled()["latency_seconds"]
    assert 0.18 < latency["p50"] < 1 and 0.18 < latency["p999"] < 2


def test_stats_clients(pair):
    proxy = pair(limits=[{"name": "few", "rate": "1/h", "burst": 3}, {"name": "other", "rate": "100/h"}])
    for source, count in (("127.0.0.2", 2), ("127.0.0.3", 5), ("127.0.0.4", 9)):
        client = proxy.client(source=source)
        for _ in range(count):
            client.get()
    seen = proxy.sluice.admin_json("/stats/clients?limit=few&order=denied")
    assert seen["total"] == 3
    assert [(c["key"], c["limit"], c["allowed"], c["denied"], c["remaining"]) for c in seen["clients"]] == [
        ("127.0.0.4", "few", 3, 6, 0), ("127.0.0.3", "few", 3, 2, 0), ("127.0.0.2", "few", 2, 0, 1)]
    assert all(0 <= c["last_seen_seconds"] < 60 and c["banned_until"] is None for c in seen["clients"])
    recent = proxy.sluice.admin_json("/stats/clients?limit=few&order=recent&top=1")
    assert [c["key"] for c in recent["clients"]] == ["127.0.0.4"] and recent["total"] == 3
    allowed = proxy.sluice.admin_json("/stats/clients?limit=other&order=allowed")
    assert [c["allowed"] for c in allowed["clients"]] == sorted((c["allowed"] for c in allowed["clients"]), reverse=True)
    assert proxy.sluice.admin_json("/stats/clients")["total"] == 6
    for query in ("limit=nosuch", "order=nonsense", "top=-1", "top=x"):
        status, _, body = proxy.sluice.ask_admin("GET", f"/stats/clients?{query}")
        assert status in (400, 404), (query, status, body)


SAMPLE = re.compile(r'([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{((?:[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\[\\"n])*",?)*)\})? (\S+)')


def parse_metrics(text):
    """{(name, labels as a frozenset): value}; every line must be of the exposition format, and every family typed once."""
    samples, types = {}, {}
    assert text.endswith("\n")
    for line in text.splitlines():
        if line.startswith("# TYPE "):
            _, _, name, kind = line.split(" ")
            assert name not in types, f"{name} is typed twice"
            types[name] = kind
        elif line.startswith("# HELP "):
            continue
        else:
            match = SAMPLE.fullmatch(line)
            assert match, f"bad line: {line!r}"
            family = re.sub(r"_(bucket|sum|count)$", "", match[1])
            assert match[1] in types or types.get(family) == "histogram", f"{match[1]} has no type"
            labels = frozenset(re.findall(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\.)*)"', match[2] or ""))
            assert (match[1], labels) not in samples, f"twice: {line}"
            samples[match[1], labels] = float(match[3])
    return samples, types


def test_metrics_add_up(pair):
    proxy = pair(limits=[{"name": 'odd "name"\\', "rate": "1/h", "burst": 3}])
    client = proxy.client()
    for _ in range(8):
        client.get()
    proxy.sluice.settled()
    text = proxy.sluice.metrics()
    samples, types = parse_metrics(text)
    escaped = 'odd \\"name\\"\\\\'
    by_outcome = {dict(labels)["outcome"]: value for (name, labels), value in samples.items()
                  if name == "sluice_requests_total" and dict(labels).get("limit") == escaped}
    assert by_outcome.get("allowed") == 3 and by_outcome.get("limited") == 5
    codes = {dict(labels)["code"]: value for (name, labels), value in samples.items() if name == "sluice_responses_total" and value}
    assert codes == {"200": 3, "429": 5}
    assert types["sluice_request_duration_seconds"] == "histogram"
    buckets = sorted((float(dict(labels)["le"]), value) for (name, labels), value in samples.items() if name == "sluice_request_duration_seconds_bucket")
    assert math.isinf(buckets[-1][0]) and buckets[-1][1] == samples["sluice_request_duration_seconds_count", frozenset()] == 8
    assert all(a[1] <= b[1] for a, b in zip(buckets, buckets[1:]))
    assert samples["sluice_request_duration_seconds_sum", frozenset()] > 0
    assert samples["sluice_clients", frozenset()] == 1
    names = {name for name, _ in samples}
    for prefix in ("sluice_upstream_", "sluice_janitor_", "sluice_runtime_", "sluice_clients_evicted_total", "process_"):
        assert any(name.startswith(prefix) for name in names), prefix
    assert samples["process_resident_memory_bytes", frozenset()] > 1 << 20
    assert 1 << 16 < samples["process_heap_bytes", frozenset()] < 64 << 20
    for name, kind in types.items():
        assert kind != "counter" or name.endswith("_total"), name


def test_metrics_say_their_content_type(pair):
    _, headers, _ = pair().sluice.ask_admin("GET", "/metrics")
    assert headers["Content-Type"].startswith("text/plain; version=0.0.4")


def test_health_and_readiness(pair):
    sluice = pair().sluice
    assert sluice.ask_admin("GET", "/healthz")[0] == 200
    assert sluice.ask_admin("GET", "/readyz")[0] == 200
    assert sluice.ask_admin("HEAD", "/healthz")[0] == 200


@pytest.mark.parametrize("method,path,status", [("GET", "/nosuch", 404), ("GET", "/stats/nosuch", 404), ("POST", "/stats", 405),
                                                ("DELETE", "/metrics", 405), ("GET", "/reload", 405), ("PUT", "/healthz", 405)])
def test_unknown_paths_and_wrong_methods(pair, method, path, status):
    sluice = pair().sluice
    got, headers, _ = sluice.ask_admin(method, path)
    assert got == status
    if status == 405:
        assert headers["Allow"]


@pytest.mark.parametrize("method,call,known", [
    ("GET", "/stats/clients?limt=x", "there are limit, top and order"), ("GET", "/bans?limt=x", "there are limit and top"),
    ("GET", "/debug/trace?second=1", "there is only seconds"), ("DELETE", "/bans?limt=x", "there is only limit"), ("GET", "/stats?top=1", "there is none"),
    ("DELETE", "/clients/127.0.0.2?limit=x", "there is none"), ("DELETE", "/bans/127.0.0.2?limit=x", "there is none"), ("POST", "/reload?dry=1", "there is none"),
    ("GET", "/explain?path=/x", "there are listener, method, host, uri, ip and header=NAME:VALUE")])
def test_a_parameter_that_a_call_does_not_take_is_refused(pair, method, call, known):
    sluice = pair(limits=[{"rate": "1/h"}]).sluice
    assert sluice.ask_admin("PUT", "/bans/127.0.0.2", '{"for": "1h"}')[0] == 200
    status, headers, body = sluice.ask_admin(method, call)
    name = call.partition("?")[2].partition("=")[0]
    assert (status, headers.get_content_type()) == (400, "application/problem+json")
    assert json.loads(body)["detail"] == f'there is no parameter "{name}" here; {known}'
    assert sluice.stats()["bans"]["active"] == 1 and sluice.stats()["config"]["reloads"] == 0, "nothing was done"


def test_whoever_else_calls_may_add_parameters(pair):
    """Proxies, probes, scrapers and browsers have some of their own."""
    sluice = pair().sluice
    for call in ("/check", "/healthz", "/readyz", "/metrics", "/"):
        assert sluice.ask_admin("GET", f"{call}?_=1")[0] == 200


def test_the_admin_listener_keeps_connections_and_takes_pipelining(pair):
    sluice = pair().sluice
    connection = http.client.HTTPConnection(*sluice.admin, timeout=15)
    for path in ("/healthz", "/stats", "/nosuch", "/metrics", "/readyz"):
        connection.request("GET", path)
        answer = connection.getresponse()
        answer.read()
        assert answer.status == (404 if path == "/nosuch" else 200)
    connection.close()


def test_head_of_a_stream_is_its_head_alone(pair):
    with RawClient(pair().sluice.admin) as client:
        client.send(b"HEAD /events HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        assert client.read_head().one("Content-Type") == "text/event-stream"
        client.expect_close()


def test_a_token_guards_all_but_health_and_readiness(start_sluice, scripted):
    sluice = start_sluice({"upstream": scripted().address, "admin": {"address": "127.0.0.1:%d" % free_port(), "token": "s3cret"}})
    for path in ("/stats", "/metrics", "/stats/clients", "/debug/tasks", "/config", "/nosuch"):
        assert sluice.ask_admin("GET", path)[0] == 401, path
        assert sluice.ask_admin("GET", path, headers={"Authorization": "Bearer wrong"})[0] == 401
        assert sluice.ask_admin("GET", path, headers={"Authorization": "Bearer s3cret"})[0] == (404 if path == "/nosuch" else 200)
    assert sluice.ask_admin("POST", "/reload")[0] == 401
    for path in ("/healthz", "/readyz"):
        assert sluice.ask_admin("GET", path)[0] == 200
    _, _, body = sluice.ask_admin("GET", "/config", headers={"Authorization": "Bearer s3cret"})
    assert "s3cret" not in body
    sluice.stop()


def test_an_admin_listener_that_others_may_reach_without_a_token_is_warned_of(start_sluice, scripted):
    """Also where the file has one and the environment does not; at the start, and at a reload that takes it away."""
    warning, app = "the admin listener has no token", scripted().address

    def started(host, token):
        config = {"upstream": app, "admin": {"address": f"{host}:{free_port()}", "token": token}}
        return start_sluice(config, environment={"SLUICE_EMPTY": ""}), config

    for host, token in (("127.0.0.1", ""), ("127.1.2.3", ""), ("0.0.0.0", "s3cret")):
        quiet, _ = started(host, token)
        quiet.stop()
        assert warning not in quiet.stderr, host
    open_to_all, _ = started("0.0.0.0", "${SLUICE_EMPTY}")
    wait_until(lambda: warning in open_to_all.stderr, "the warning")
    assert [json.loads(line)["level"] for line in open_to_all.stderr.splitlines() if warning in line] == ["warn"]
    guarded, config = started("0.0.0.0", "s3cret")
    assert warning not in guarded.stderr
    guarded.write({**config, "admin": {**config["admin"], "token": ""}})
    wait_until(lambda: warning in guarded.stderr, "the warning")


def test_another_token_ends_the_streams_that_the_old_one_opened(start_sluice, scripted):
    config = {"upstream": scripted().address, "admin": {"address": "127.0.0.1:%d" % free_port(), "token": "s3cret"}}
    sluice = start_sluice(config)
    with RawClient(sluice.admin) as client:
        client.send(b"GET /events HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer s3cret\r\n\r\n")
        assert client.read_head().status == 200
        sluice.write({**config, "log": {"access": "off"}})
        wait_until(lambda: '"message":"reloaded"' in sluice.stderr, "a reload that keeps it")
        events = client.wire.received.count(b"data: ")
        while client.wire.received.count(b"data: ") == events:
            client.wire.fill()
        sluice.write({**config, "admin": {**config["admin"], "token": "another"}})
        assert client.ends()[0] == "closed"
    sluice.stop()


def test_config_shows_what_is_in_force(pair):
    proxy = pair(limits=[{"rate": "10/s"}], timeouts={"head": "7s"})
    shown = proxy.sluice.admin_json("/config")
    assert shown["limits"][0]["name"] == "limit-1" and shown["limits"][0]["burst"] == 10
    assert shown["timeouts"]["head"] == "7s" and shown["max"]["headers"] == 100


def test_a_reload_tells_what_needs_a_restart(pair):
    proxy = pair()
    started = proxy.sluice.config

    def reload(config):
        proxy.sluice.write(config)
        status, _, body = proxy.sluice.ask_admin("POST", "/reload")
        assert status == 200
        return json.loads(body)

    changed = {**started, "runtime": {"workers": 7}, "admin": {**started["admin"], "address": "127.0.0.1:1"},
               "listen": [{"address": started["listen"], "reuse_port": True}]}
    assert reload(changed) == {"reloaded": True, "needs_restart": ["admin.address", "runtime", "listen.reuse_port"]}
    assert reload(started) == {"reloaded": True, "needs_restart": []}


def test_a_reload_that_fails_is_told_as_what_it_is(pair):
    """A file may well validate and not be served."""
    proxy = pair()
    started = proxy.sluice.config
    with socket.create_server(("127.0.0.1", 0)) as other:
        busy = "127.0.0.1:%d" % other.getsockname()[1]
        proxy.sluice.write({**started, "listen": [started["listen"], busy]})
        status, _, body = proxy.sluice.ask_admin("POST", "/reload")
        proxy.sluice.reload(started)  # before the address is free: the file is watched, too
    problem = json.loads(body)
    assert (status, problem["detail"]) == (422, "not reloaded; nothing was changed")
    assert len(problem["errors"]) == 1 and busy in problem["errors"][0]


def test_a_reload_that_failed_is_seen_until_one_succeeds(pair):
    proxy = pair()
    started, sluice = proxy.sluice.config, proxy.sluice

    def metrics():
        samples, types = parse_metrics(sluice.metrics())
        assert types["sluice_config_reloads_total"] == "counter"
        return {"outcome " + dict(labels)["outcome"] if labels else name.removeprefix("sluice_config_last_reload_"): value
                for (name, labels), value in samples.items() if name.startswith("sluice_config_")}

    def table():
        return run("stats", "-a", "%s:%d" % sluice.admin).stdout

    assert sluice.stats()["config"] == {"reloads": 0, "reloads_failed": 0, "last_reload_ok": None, "last_reload_seconds_ago": None,
                                        "last_success_seconds_ago": None}
    before = metrics()
    assert (before["outcome ok"], before["outcome failed"], before["successful"]) == (0, 0, 1)
    assert 0 <= time.time() - before["success_timestamp_seconds"] < 600
    assert "RELOAD" not in table()
    sluice.write({**started, "limits": [{"rate": "nonsense"}]})
    assert sluice.ask_admin("POST", "/reload")[0] == 422
    config, after = sluice.stats()["config"], metrics()
    # The file is watched, too: each reload of it fails.
    assert config["last_reload_ok"] is False and config["reloads"] == config["reloads_failed"] >= 1
    assert 0 <= config["last_reload_seconds_ago"] < 60 and config["last_success_seconds_ago"] is None
    assert after["outcome failed"] >= 1 and {**after, "outcome failed": 0, "successful": 1} == before
    assert after["successful"] == 0
    assert "THE LAST RELOAD FAILED" in table()
    sluice.reload(started)
    config, after = sluice.stats()["config"], metrics()
    assert config["last_reload_ok"] is True and config["reloads"] > config["reloads_failed"]
    assert 0 <= config["last_success_seconds_ago"] < 60
    assert after["outcome ok"] >= 1 and after["successful"] == 1
    assert after["success_timestamp_seconds"] > before["success_timestamp_seconds"]
    assert "RELOAD" not in table()


def test_debug_tasks_names_where_tasks_were_started(pair):
    go_on = threading.Event()

    def script(connection):
        while connection.read_request():
            go_on.wait()
            connection.send(OK)

    proxy = pair(script)
    client = proxy.client()
    client.send(get())
    proxy.upstream.wait_for_requests(1)

    def all_listed():  # the tasks of two calls are not always the same: that of a call before may be on its way out
        status, headers, text = proxy.sluice.ask_admin("GET", "/debug/tasks")
        assert status == 200 and headers.get_content_type() == "text/plain"
        tasks = re.findall(r"^id (\d+), (.+) for (\d+\.\d+) s, started at ((?:service|runtime)/\S+\.(?:cpp|h):\d+)((?:, on 0x[0-9a-f]+)?, [1-9]\d* bytes of stack)?$", text, re.M)
        assert len({task[0] for task in tasks}) == len(tasks), text
        return (text, tasks) if len(tasks) == proxy.sluice.stats()["runtime"]["tasks"]["live"] else None

    text, tasks = wait_until(all_listed, "every task that lives in the list")
    assert re.search(r"^\d+ tasks? parked in .*\n    sluice::\S.*\(sluice\+0x\w+\)$", text, re.M), text
    waits = [(state, float(seconds)) for _, state, seconds, _, _ in tasks]
    assert all(bool(wait) == state.startswith("parked") for _, state, _, _, wait in tasks), text
    assert any(state == "running" for state, _ in waits) and any(state == "parked in accept" for state, _ in waits), text
    assert all(seconds < proxy.sluice.stats()["uptime_seconds"] + 1 for _, seconds in waits), text
    go_on.set()
    assert client.read().status == 200


def test_debug_trace_shows_what_the_workers_did(pair):
    proxy = pair()
    stop = threading.Event()

    def ask():
        with proxy.client() as client:
            while not stop.is_set():
                client.get()

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        status, headers, text = proxy.sluice.ask_admin("GET", "/debug/trace?seconds=1")
    finally:
        stop.set()
        asking.join()
    assert status == 200 and headers.get_content_type() == "application/json"
    events = json.loads(text)["traceEvents"]
    runs = [event for event in events if event.get("cat") == "run"]
    assert runs and all(re.fullmatch(r"\w+\.cpp:\d+", event["name"]) for event in runs)
    assert any(event["name"] == "park" and event["args"]["what"] == "read" for event in events)
    assert proxy.sluice.ask_admin("GET", "/debug/trace?seconds=0")[0] == 400


def test_no_admin_listener(scripted, tmp_path):
    upstream, port = scripted(), free_port()
    file = tmp_path / "sluice.json"
    file.write_text(json.dumps({"listen": f"127.0.0.1:{port}", "upstream": upstream.address, "admin": None}))
    process = subprocess.Popen([*LEASH, BINARY, "run", "-c", file], stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    with contextlib.ExitStack() as stack:
        stack.callback(process.wait)
        stack.callback(process.kill)
        connected(("127.0.0.1", port))
        with RawClient(("127.0.0.1", port)) as client:
            assert client.get().status == 200
        sockets = subprocess.run(["ss", "-Hltnp"], capture_output=True, text=True).stdout
        assert sum(f"pid={process.pid}," in line for line in sockets.splitlines()) == 1
        process.send_signal(signal.SIGTERM)
        assert process.wait(15) == 0


def test_the_janitor_forgets_idle_clients_that_owe_nothing(pair):
    limits = [{"name": "quick", "rate": "100/s", "burst": 5, "match": {"path": "/quick"}},
              {"name": "slow", "rate": "1/h", "burst": 5, "match": {"path": "/slow"}}]
    proxy = pair(limits=limits, clients={"idle_after": "100ms", "sweep_every": "100ms"})
    proxy.client(source="127.0.0.2").get("/quick")
    proxy.client(source="127.0.0.3").get("/slow")
    assert proxy.sluice.stats()["clients"]["tracked"] == 2
    wait_until(lambda: proxy.sluice.stats()["clients"]["tracked"] == 1, "the idle client forgotten")
    sweeps = proxy.sluice.stats()["janitor"]["sweeps"]
    wait_until(lambda: proxy.sluice.stats()["janitor"]["sweeps"] >= sweeps + 3, "three more sweeps")
    stats = proxy.sluice.stats()
    assert stats["clients"]["tracked"] == 1, "a client that still owes was forgotten"
    assert stats["clients"]["evicted_idle"] == stats["janitor"]["removed"] == 1
    assert 0 <= stats["janitor"]["next_in_seconds"] <= 0.1
    assert [c["key"] for c in proxy.sluice.admin_json("/stats/clients")["clients"]] == ["127.0.0.3"]


def test_access_log(pair):
    proxy = pair(log={"access": "all", "format": "json"}, limits=[{"name": "few", "rate": "1/h", "burst": 2}])
    client = proxy.client(source="127.0.0.9")
    statuses = [client.get("/seen?x=1").status for _ in range(3)]
    assert statuses == [200, 200, 429]

    def lines():
        entries = [json.loads(line) for line in proxy.sluice.output.splitlines() if line.startswith("{")]
        return [entry for entry in entries if entry.get("status") in (200, 429)]

    wait_until(lambda: len(lines()) == 3, "three lines of access log")
    # Each worker has a lane of its own, so lines that two of them wrote at a time may change places.
    assert sorted(entry["status"] for entry in lines()) == statuses
    assert all("127.0.0.9" in json.dumps(entry) and "/seen" in json.dumps(entry) for entry in lines())


def log_lines(sluice):
    """The lines of the access log so far, in JSON."""
    entries = [json.loads(line) for line in sluice.output.splitlines() if line.startswith("{")]
    return [entry for entry in entries if entry.get("event") == "request"]


def test_access_log_counts_the_bytes_of_every_body(pair):
    """Those of the proxy's own errors as well, and none in answer to HEAD."""
    proxy = pair(log={"access": "all"}, deny=["127.0.0.66"], limits=[{"rate": "1/h"}], max={"body": 1},
                 routes=[{"match": {"host": "a.example"}, "upstream": "app"}])
    denied, one = proxy.client(source="127.0.0.66"), proxy.client()
    answers = [denied.get(), denied.ask(get(method="HEAD")), one.get(), one.get(), one.get(host="b.example"),
               one.ask(get(method="POST", body=b"long"))]
    assert [answer.status for answer in answers] == [403, 403, 200, 429, 404, 413]
    wait_until(lambda: len(log_lines(proxy.sluice)) == 6, "a line for each")
    expected = sorted((answer.status, len(answer.body)) for answer in answers)
    assert sorted((line["status"], line["bytes_out"]) for line in log_lines(proxy.sluice)) == expected
    assert {line["status"] for line in log_lines(proxy.sluice) if line.get("route") == 0} == {200, 429, 403}
    assert proxy.sluice.settled()["requests"]["bytes_out"] == sum(len(answer.body) for answer in answers)


def test_access_log_blames_no_upstream_for_the_time_that_a_limit_held_a_request(pair):
    proxy = pair(log={"access": "all"}, limits=[{"rate": "2/s", "burst": 1, "action": "delay"}])
    client = proxy.client()
    assert [client.get().status, client.get().status] == [200, 200]
    wait_until(lambda: len(log_lines(proxy.sluice)) == 2, "both lines")
    held = [line for line in log_lines(proxy.sluice) if line.get("delayed")]
    assert len(held) == 1 and held[0]["duration_seconds"] > 0.4
    assert held[0]["upstream_seconds"] < held[0]["duration_seconds"] - 0.3


def test_access_log_of_the_limited_only(pair):
    proxy = pair(log={"access": "limited", "format": "json"}, limits=[{"rate": "1/h"}])
    client = proxy.client()
    assert [client.get(f"/limited-{n}").status for n in range(3)] == [200, 429, 429]
    wait_until(lambda: "/limited-2" in proxy.sluice.output, "the last refusal in the log")
    assert "/limited-1" in proxy.sluice.output and "/limited-0" not in proxy.sluice.output
