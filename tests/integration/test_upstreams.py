"""Several servers behind one upstream: who is next, who is out and since when, and what becomes of requests meanwhile."""

import collections
import concurrent.futures
import json
import re
import socket
import threading
import time

import pytest

from support.client import expect_problem, get
from support.names import Names
from support.ports import free_port
from support.sluice import SANITIZER_MEMORY
from support.tls import under_tls
from support.upstream import Blackhole, Refusing, ScriptedUpstream, once, response, serve
from support.wait import PATIENCE, wait_until
from support.wire import Ended

FAST = {"path": "/healthz", "interval": "50ms", "timeout": "500ms", "healthy_after": 2, "unhealthy_after": 3}


class App(ScriptedUpstream):
    """A server that answers with its name. GET /healthz is answered as `health` says: a status, or a function of the
    connection; everything else with `status`, /slow once `go_on` is set."""

    def __init__(self, name, **options):
        self.name = name
        self.status = 200
        self.health = 200
        self.checks = []
        self.go_on = threading.Event()
        self.served = collections.Counter()
        super().__init__(self._serve, **options)

    def _serve(self, connection):
        while request := connection.read_request():
            if request.target == "/healthz":
                self.checks.append(request)
                if callable(self.health):
                    return self.health(connection)
                connection.send(response(self.health, b"x" * 100))
                continue
            if request.target.startswith("/slow"):
                self.go_on.wait()
            self.served[request.target] += 1
            connection.send(response(self.status, self.name.encode()))

    def stop(self):
        self.go_on.set()
        super().stop()


@pytest.fixture
def apps(closing):
    """apps(count) -> that many App, named a, b, c, …"""
    return lambda count: [closing(App(name)) for name in "abcdefgh"[:count]]


@pytest.fixture
def house(start_sluice):
    """house(servers, **options of the upstream) -> Sluice. Servers are Apps, addresses, or dicts of the configuration.
    After a test nothing may be left over."""
    started = []

    def config(servers, top=None, **options):
        listed = [each if isinstance(each, (str, dict)) else each.address for each in servers]
        return {"upstreams": {"app": {"servers": listed, **options}}, "routes": [{"upstream": "app"}], "log": {"access": "off"},
                **(top or {})}

    def start(servers, environment=None, **options):
        sluice = start_sluice(config(servers, **options), environment=environment)
        sluice.config_of = config
        started.append(sluice)
        return sluice

    yield start
    for sluice in started:
        if sluice.alive():
            sluice.wait_resting()
            sluice.stop()


def weighted(app, weight, **more):
    return {"address": app.address, "weight": weight, **more}


def names(client, count, path="/"):
    """Who answered, in turn."""
    answers = [client.get(path) for _ in range(count)]
    assert {answer.status for answer in answers} == {200}
    return "".join(answer.body.decode() for answer in answers)


def server(sluice, app):
    """What /stats says of one server."""
    address = app if isinstance(app, str) else app.address
    return next(each for upstream in sluice.stats()["upstreams"] for each in upstream["servers"] if each["address"] == address)


def metric(sluice, name, app):
    return int(re.search(rf'^{name}{{[^}}]*server="{re.escape(app.address)}"}} (\d+)$', sluice.metrics(), re.MULTILINE)[1])


def ready(sluice):
    return sluice.ask_admin("GET", "/readyz")[0] == 200


def log_lines(sluice, message):
    lines = [json.loads(line) for line in sluice.output.splitlines() if line.startswith("{")]
    return [line for line in lines if message in line.get("msg", line.get("message", ""))]


def logged(sluice, message):
    """The one line of the log that says so; it is written by a thread of its own, behind what it tells of."""
    lines = wait_until(lambda: log_lines(sluice, message), f"a line: {message}")
    assert len(lines) == 1, lines
    return lines[0]


# Who is next


def test_round_robin_is_smooth_and_exact(house, apps):
    a, b, c = apps(3)
    sluice = house([weighted(a, 5), b, weighted(c, 1)])
    with sluice.client() as client:
        assert names(client, 14) == "aabacaaaabacaa"
    assert [server(sluice, app)["weight"] for app in (a, b, c)] == [5, 1, 1]


def test_round_robin_over_many_connections_obeys_the_weights(house, apps):
    a, b, c = apps(3)
    sluice = house([weighted(a, 3), weighted(b, 2), weighted(c, 1)])
    answers = sluice.crowd(get(), 16, total=600)
    seen = collections.Counter(answer.response.body for answer in answers)
    assert seen == {b"a": 300, b"b": 200, b"c": 100}


def test_least_requests_goes_round_the_busy(house, apps):
    a, b, c = apps(3)
    sluice = house([a, b, c], balance="least_requests")
    with sluice.client() as slow, sluice.client() as client:
        slow.send(get("/slow"))
        busy = wait_until(lambda: [app for app in (a, b, c) if server(sluice, app)["in_flight"] == 1], "one is busy")[0]
        seen = collections.Counter(names(client, 20))
        assert busy.name not in seen and all(8 <= count <= 12 for count in seen.values()), seen
        busy.go_on.set()
        assert slow.read().status == 200


def test_random_two_takes_the_less_busy_of_two(house, apps):
    a, b = apps(2)
    sluice = house([a, b], balance="random_two")
    with sluice.client() as slow, sluice.client() as client:
        slow.send(get("/slow"))
        busy, idle = wait_until(lambda: [(x, y) for x, y in ((a, b), (b, a)) if server(sluice, x)["in_flight"] == 1], "one is busy")[0]
        assert names(client, 20) == idle.name * 20
        busy.go_on.set()
        assert slow.read().status == 200
        wait_until(lambda: server(sluice, busy)["in_flight"] == 0, "the end of the slow one")
        assert set(names(client, 40)) == {"a", "b"}


def homes(sluice, count=60):
    """Who answers each of so many clients, twice the same."""
    found = {}
    for last in range(2, 2 + count):
        with sluice.client(source=f"127.0.0.{last}") as client:
            found[last], again = names(client, 2)
            assert found[last] == again
    return found


def test_ip_hash_moves_only_the_clients_of_a_lost_server(house, apps):
    a, b, c = apps(3)
    sluice = house([a, b, weighted(c, 2)], balance="ip_hash", health=FAST)
    before = homes(sluice)
    assert set(before.values()) == {"a", "b", "c"}
    b.health = 500
    wait_until(lambda: not server(sluice, b)["healthy"], "b is out")
    meanwhile = homes(sluice)
    assert {client: home for client, home in before.items() if home != "b"} == {
        client: home for client, home in meanwhile.items() if before[client] != "b"}
    assert set(meanwhile.values()) == {"a", "c"}
    b.health = 200
    wait_until(lambda: server(sluice, b)["healthy"], "b is back")
    assert homes(sluice) == before


def test_ip_hash_takes_the_addresses_of_one_prefix_for_one_client(house, apps):
    sluice = house(apps(3), balance="ip_hash", top={"client": {"ipv4_prefix": 24}})
    assert len(set(homes(sluice, 30).values())) == 1


# Backups


def test_a_backup_is_asked_only_when_no_other_is_in_service(house, apps):
    a, b, c = apps(3)
    sluice = house([weighted(a, 1, backup=True), b, c], health=FAST)
    with sluice.client() as client:
        assert set(names(client, 10)) == {"b", "c"}
        b.health = 500
        wait_until(lambda: not server(sluice, b)["healthy"], "b is out")
        assert names(client, 10) == "c" * 10
        c.health = 500
        wait_until(lambda: not server(sluice, c)["healthy"], "c is out")
        assert names(client, 10) == "a" * 10
        assert ready(sluice)
        b.health = 200
        wait_until(lambda: server(sluice, b)["healthy"], "b is back")
        assert names(client, 10) == "b" * 10
    assert [server(sluice, app)["backup"] for app in (a, b, c)] == [True, False, False]


def test_a_backup_takes_the_request_that_no_other_server_takes(house, apps, closing):
    a, = apps(1)
    sluice = house([closing(Refusing()).address, weighted(a, 1, backup=True)])
    with sluice.client() as client:
        assert names(client, 5) == "aaaaa"
        assert client.ask(get(method="POST", body=b"hello")).status == 200


# Health checks


def test_a_check_is_a_get_of_the_path_with_the_servers_host(house, apps):
    a, = apps(1)
    house([a], health={**FAST, "path": "/healthz"})
    wait_until(lambda: len(a.checks) >= 2, "two checks")
    assert {(check.method, check.target, check.one("Host")) for check in a.checks[:2]} == {("GET", "/healthz", a.address)}


def bad(connection):
    connection.send(b"HTTP/1.1 200 Fine\r\nContent-Length: x\r\n\r\n")


SICK = {"500": 500, "404": 404, "closes": lambda connection: connection.close(), "resets": lambda connection: connection.reset(),
        "hangs": lambda connection: connection.hang(), "malformed": bad,
        "drips": lambda connection: connection.drip(b"HTTP/1.1 200 Fine\r\n" + b"X: yy\r\n" * 100, 0.05)}


@pytest.mark.parametrize("how", SICK)
def test_health_flips_within_the_stated_time(house, apps, how):
    a, b = apps(2)
    sluice = house([a, b], health=FAST)
    wait_until(lambda: b.checks, "the first check")
    assert server(sluice, b)["healthy"]
    b.health = SICK[how]
    start = time.monotonic()
    wait_until(lambda: not server(sluice, b)["healthy"], "b is out")
    # unhealthy_after checks, each an interval or a timeout apart.
    assert time.monotonic() - start < (4 * 0.5 + 0.5) * PATIENCE
    with sluice.client() as client:
        assert names(client, 10) == "a" * 10
    assert metric(sluice, "sluice_upstream_healthy", b) == 0 and metric(sluice, "sluice_upstream_healthy", a) == 1
    line = logged(sluice, "server is not healthy")
    assert (line["upstream"], line["server"]) == ("app", b.address) and line["reason"]
    assert ready(sluice), "one server is enough"
    b.health = 302
    start = time.monotonic()
    wait_until(lambda: server(sluice, b)["healthy"], "b is back")
    assert time.monotonic() - start < (3 * 0.5 + 0.5) * PATIENCE
    logged(sluice, "server is healthy again")
    with sluice.client() as client:
        assert set(names(client, 10)) == {"a", "b"}


def test_a_server_that_only_ever_says_it_is_at_it_is_unhealthy(house, apps):
    a, b = apps(2)
    b.health = lambda connection: connection.send(b"HTTP/1.1 102 Processing\r\n\r\n" * 101)
    sluice = house([a, b], health=FAST)
    assert logged(sluice, "server is not healthy")["reason"] == "too many interim answers"


def test_single_failures_change_nothing(house, apps):
    a, = apps(1)
    turns = iter(range(1_000_000))
    a.health = lambda connection: connection.send(response(200 if next(turns) % 3 == 2 else 500, b""))
    sluice = house([a], health=FAST)
    wait_until(lambda: len(a.checks) >= 12, "twelve checks")
    stats = server(sluice, a)
    assert stats["healthy"] and stats["checks_failed"] >= 6 and stats["checks"] > stats["checks_failed"]
    assert not log_lines(sluice, "server is not healthy")


def test_checks_go_over_a_unix_socket(house, closing, tmp_path):
    a = closing(App("a", unix=str(tmp_path / "app.sock")))
    sluice = house([a], health=FAST)
    wait_until(lambda: a.checks, "a check")
    assert a.checks[0].one("Host") == "localhost"
    a.health = 500
    wait_until(lambda: not ready(sluice), "not ready")
    a.health = 200
    wait_until(lambda: ready(sluice), "ready")


def test_a_server_that_is_not_there_is_unhealthy(house, apps, closing):
    a, = apps(1)
    nowhere = closing(Refusing())
    sluice = house([a, nowhere.address], health=FAST)
    wait_until(lambda: not server(sluice, nowhere)["healthy"], "it is out")
    failures = server(sluice, nowhere)["failures"]
    with sluice.client() as client:
        assert names(client, 10) == "a" * 10
    assert server(sluice, nowhere)["failures"] == failures, "no request went there"


def test_checks_that_we_have_no_descriptor_for_say_nothing_about_the_server(start_sluice, apps):
    a, = apps(1)
    sluice = start_sluice({"upstreams": {"app": {"servers": [a.address], "health": FAST}}, "routes": [{"upstream": "app"}]},
                          limit_files=64)
    client = sluice.client()
    assert client.get().status == 200
    others = [sluice.client() for _ in range(120)]
    wait_until(lambda: sluice.descriptors() >= 64, "descriptors run out")
    checks = len(a.checks)
    end = time.monotonic() + 20 * 0.05
    wait_until(lambda: time.monotonic() > end, "the time of twenty checks")
    assert len(a.checks) < checks + 10, "there were descriptors for checks"
    assert client.get().status == 200
    for other in others:
        other.close()
    wait_until(lambda: len(a.checks) > checks + 10, "checks go on")
    stats = server(sluice, a)
    assert stats["healthy"] and stats["checks_failed"] == 0
    logged(sluice, "a health check cannot be made")
    assert not log_lines(sluice, "server is not healthy")
    sluice.stop()


def test_all_unhealthy_is_503_at_once_and_not_ready(house, apps):
    a, b = apps(2)
    sluice = house([a, b], health=FAST, connect_timeout="5s", max_connections=1)
    a.health = b.health = 500
    wait_until(lambda: not ready(sluice), "not ready")
    assert sluice.stats()["ready"] is False
    start = time.monotonic()
    for client in [sluice.client() for _ in range(5)]:
        answer = client.get()
        expect_problem(answer, 503)
        assert int(answer.one("Retry-After")) >= 1 and answer.one("Connection").lower() == "close"
        client.expect_close()
    assert time.monotonic() - start < 2 * PATIENCE
    assert not a.served and not b.served


def test_ready_as_long_as_one_upstream_is(start_sluice, apps):
    a, b = apps(2)
    upstreams = {app.name: {"servers": [app.address], "health": FAST} for app in (a, b)}
    routes = [{"match": {"path_prefix": "/a"}, "upstream": "a"}, {"upstream": "b"}]
    sluice = start_sluice({"upstreams": upstreams, "routes": routes, "log": {"access": "off"}})
    a.health = 500
    wait_until(lambda: not server(sluice, a)["healthy"], "a is out")
    assert ready(sluice)
    with sluice.client() as client:
        assert client.get("/b").status == 200
        assert client.get("/a").status == 503
    b.health = 500
    wait_until(lambda: not ready(sluice), "not ready")
    sluice.stop()


# Ejection


EJECT = {"after": 3, "for": "600ms"}


def ejected(sluice, app):
    return server(sluice, app)["ejected_until"]


@pytest.mark.parametrize("status", [502, 503, 504])
def test_failures_in_a_row_eject_a_server_for_a_time(house, apps, status):
    a, b = apps(2)
    b.status = status
    sluice = house([a, b], eject=EJECT)
    with sluice.client() as client:
        assert [client.get().status for _ in range(6)] == [200, status] * 3
        start = time.monotonic()
        stats = server(sluice, b)
        assert not stats["healthy"] and stats["ejections"] == 1
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", stats["ejected_until"])
        assert metric(sluice, "sluice_upstream_ejected", b) == 1 and metric(sluice, "sluice_upstream_healthy", b) == 0
        assert names(client, 20) == "a" * 20
        line = logged(sluice, "server ejected")
        assert (line["upstream"], line["server"], line["failures"]) == ("app", b.address, 3)
        wait_until(lambda: not ejected(sluice, b), "b is back")
        assert time.monotonic() - start > 0.4
        # One more failure ejects it again at once.
        assert sorted(client.get().status for _ in range(2)) == [200, status]
        assert ejected(sluice, b)
        wait_until(lambda: not ejected(sluice, b), "b is back")
        # A success makes it whole: then it takes three again.
        b.status = 200
        assert sorted(names(client, 2)) == ["a", "b"]
        b.status = status
        assert sorted(client.get().status for _ in range(4)) == [200, 200, status, status]
        assert not ejected(sluice, b)


ENDINGS = {"kept": b"HTTP/1.1 503 X\r\nContent-Length: 2\r\n\r\nhi", "closed": b"HTTP/1.1 503 X\r\nConnection: close\r\nContent-Length: 2\r\n\r\nhi",
           "1.0": b"HTTP/1.0 503 X\r\nContent-Length: 2\r\n\r\nhi", "until close": b"HTTP/1.1 503 X\r\n\r\nhi",
           "more behind": b"HTTP/1.1 503 X\r\nContent-Length: 2\r\n\r\nhi and more"}


@pytest.mark.parametrize("how", ENDINGS)
def test_a_failure_counts_once_however_its_connection_ends(house, apps, scripted, how):
    a, = apps(1)
    failing = scripted(once(ENDINGS[how]))
    sluice = house([failing, a], eject={"after": 4, "for": "1h"})
    with sluice.client() as client:
        assert [client.get().status for _ in range(6)] == [503, 200] * 3
        assert not ejected(sluice, failing)
        assert client.get().status == 503
        wait_until(lambda: ejected(sluice, failing), "the fourth failure ejects it")


def test_a_success_between_them_resets_the_count(house, apps):
    a, b = apps(2)
    sluice = house([a, b], eject=EJECT)
    with sluice.client() as client:
        for _ in range(4):
            b.status = 503
            assert [client.get().status for _ in range(4)] == [200, 503] * 2
            b.status = 200
            assert names(client, 2) == "ab"
    assert server(sluice, b)["ejections"] == 0


def test_an_error_of_the_application_ejects_nobody(house, apps):
    a, b = apps(2)
    b.status = 500
    sluice = house([a, b], eject=EJECT)
    with sluice.client() as client:
        assert [client.get().status for _ in range(20)] == [200, 500] * 10


FAILING = {"closes": lambda connection: connection.read_request() and connection.close(),
           "resets": lambda connection: connection.read_request() and connection.reset(),
           "malformed": lambda connection: connection.read_request() and connection.send(b"garbage\r\n\r\n"),
           "hangs": lambda connection: connection.read_request() and connection.hang(),
           "cut": lambda connection: connection.read_request() and connection.send(b"HTTP/1.1 200 Fine\r\nContent-Length: 9\r\n\r\nx")}


@pytest.mark.parametrize("how", FAILING)
def test_every_failure_of_a_connection_counts(house, apps, scripted, how):
    a, = apps(1)
    failing = scripted(FAILING[how])
    sluice = house([a, failing], eject=EJECT, response_timeout="200ms")
    for _ in range(6):
        with sluice.client() as client:
            try:
                client.get()
            except (Ended, ConnectionError):
                pass  # cut in the middle of its answer
    assert ejected(sluice, failing)
    assert len(failing.requests) == 3


def test_refused_connections_count_and_no_request_fails(house, apps, closing):
    a, = apps(1)
    nowhere = closing(Refusing())
    sluice = house([nowhere.address, a], eject={"after": 3, "for": "1h"})
    with sluice.client() as client:
        assert names(client, 20) == "a" * 20
    stats = server(sluice, nowhere)
    assert stats["failures"] == 3 and stats["ejections"] == 1 and stats["ejected_until"]


def test_the_last_server_is_never_ejected(house, apps):
    a, b = apps(2)
    a.status = b.status = 503
    sluice = house([a, b], eject={"after": 2, "for": "1h"})
    with sluice.client() as client:
        assert [client.get().status for _ in range(20)] == [503] * 20
        out = [app for app in (a, b) if ejected(sluice, app)]
        assert len(out) == 1
        assert ready(sluice)
        (b if out[0] is a else a).status = 200
        assert client.get().status == 200
    assert a.served["/"] + b.served["/"] == 21, "every request was a server's"


def test_those_ejected_are_asked_when_no_other_is_healthy(house, apps):
    a, b = apps(2)
    b.status = 503
    sluice = house([a, b], eject={"after": 2, "for": "1h"}, health=FAST)
    with sluice.client() as client:
        assert [client.get().status for _ in range(4)] == [200, 503] * 2
        assert ejected(sluice, b)
        a.health, b.status = 500, 200
        wait_until(lambda: not server(sluice, a)["healthy"], "a is out")
        assert ready(sluice)
        assert names(client, 5) == "bbbbb"


def test_what_clients_do_ejects_nobody(house, apps):
    a, b = apps(2)
    sluice = house([a, b], eject={"after": 1, "for": "1h"})
    for _ in range(4):
        client = sluice.client()
        client.send(get("/slow"))
        wait_until(lambda: sluice.stats()["requests"]["in_flight"] == 1, "it is under way")
        client.reset()
        wait_until(lambda: sluice.stats()["requests"]["in_flight"] == 0, "its end")
    assert [server(sluice, app)["ejections"] for app in (a, b)] == [0, 0]


# A server goes


def applications(start_sluice):
    """Three processes that answer with their names, and a proxy in front of them."""
    servers = [start_sluice({"listen": f"127.0.0.1:{free_port()}", "log": {"access": "off"},
                             "routes": [{"respond": {"status": 200, "body": name}}]}) for name in "abc"]
    addresses = [each.config["listen"] for each in servers]
    sluice = start_sluice({"upstreams": {"app": {"servers": addresses, "retries": 1, "eject": {"after": 3, "for": "1h"}}},
                           "routes": [{"upstream": "app"}], "log": {"access": "off"}})
    return servers, addresses, sluice


def all_served(answers):
    return collections.Counter(answer.status for answer in answers) == {200: len(answers)}


def test_a_server_that_is_stopped_under_load_costs_no_request(start_sluice):
    servers, addresses, sluice = applications(start_sluice)
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        load = pool.submit(sluice.crowd, get(), 32, seconds=2 * PATIENCE)
        wait_until(lambda: min(server(sluice, each)["requests"] for each in addresses) > 300, "every server is at work")
        servers[1].stop()
        answers = load.result()
    assert all_served(answers)
    assert {answer.response.body for answer in answers[-100:]} == {b"a", b"c"}
    gone = server(sluice, addresses[1])
    assert gone["ejected_until"] and (gone["connections_open"], gone["in_flight"]) == (0, 0)
    sluice.wait_resting()
    sluice.stop()


def test_a_server_that_crashes_under_load_costs_no_request(house, apps):
    """As processes die that close their listener first: then every request on a connection that was there is sent to
    another server."""
    a, b, c = apps(3)
    sluice = house([a, b, c], retries=1)
    waiting = [sluice.client() for _ in range(48)]  # 16 connections to each
    for client in waiting:
        client.send(get("/slow"))
    wait_until(lambda: all(server(sluice, app)["in_flight"] == 16 for app in (a, b, c)), "all servers have 16")
    for app in (a, b, c):
        app.go_on.set()
    assert {client.read().status for client in waiting} == {200}
    for client in waiting:
        client.close()
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        load = pool.submit(sluice.crowd, get(), 16, seconds=1 * PATIENCE)
        wait_until(lambda: b.served["/"] > 50, "b is at work")
        b.stop()
        answers = load.result()
    assert all_served(answers)
    assert {answer.response.body for answer in answers[-50:]} == {b"a", b"c"}


def test_a_server_that_is_killed_under_load_is_left_alone_at_once(start_sluice):
    """The kernel takes connections for a dying process to the last: a request on one of those is a 502 (row 3 of
    conformance/test_faults.py: it is on no reused connection). No other request fails."""
    servers, addresses, sluice = applications(start_sluice)
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        load = pool.submit(sluice.crowd, get(), 32, seconds=2 * PATIENCE)
        wait_until(lambda: min(server(sluice, each)["requests"] for each in addresses) > 300, "every server is at work")
        servers[1].kill()
        killed = time.monotonic()
        answers = load.result()
    failed = [answer for answer in answers if answer.status != 200]
    assert {answer.status for answer in failed} <= {502} and len(failed) <= 32
    assert all(answer.received < killed + 0.5 * PATIENCE for answer in failed)
    dead = server(sluice, addresses[1])
    assert dead["ejected_until"] and (dead["connections_open"], dead["in_flight"]) == (0, 0)
    assert {answer.response.body for answer in answers[-100:]} == {b"a", b"c"}
    sluice.wait_resting()
    sluice.stop()


# The line for a connection


def test_who_waits_for_a_connection_is_served_in_the_order_of_coming(house, apps):
    a, = apps(1)
    sluice = house([a], max_connections=1, connect_timeout="10s")
    first = sluice.client()
    first.send(get("/slow"))
    wait_until(lambda: server(sluice, a)["in_flight"] == 1, "the only connection is taken")
    waiting = []
    for number in range(6):
        waiting.append(sluice.client())
        waiting[-1].send(get(f"/{number}"))
        wait_until(lambda: sluice.stats()["upstreams"][0]["waiting"] == number + 1, "it waits")
    upstream, = sluice.stats()["upstreams"]
    assert (upstream["connections_used"], upstream["connections_max"], upstream["waiting"]) == (1, 1, 6)
    a.go_on.set()
    assert [client.read().status for client in [first, *waiting]] == [200] * 7
    assert [request.target for request in a.requests] == ["/slow", *(f"/{number}" for number in range(6))]
    assert len(a.connections) == 1


def test_who_waits_too_long_gets_503(house, apps):
    a, = apps(1)
    sluice = house([a], max_connections=1, connect_timeout="300ms")
    with sluice.client() as first, sluice.client() as second:
        first.send(get("/slow"))
        wait_until(lambda: server(sluice, a)["in_flight"] == 1, "the only connection is taken")
        start = time.monotonic()
        answer = second.get()
        assert 0.25 < time.monotonic() - start < 3 * PATIENCE
        expect_problem(answer, 503)
        assert int(answer.one("Retry-After")) >= 1 and answer.one("Connection").lower() == "close"
        a.go_on.set()
        assert first.read().status == 200
        assert first.get().status == 200, "its place is free again"


def test_response_timeout_begins_behind_the_line(house, scripted):
    """Who waited longer than that, and was lent the connection of the one before, has all of it left."""
    go_on = threading.Event()

    def script(connection):
        connection.read_request()
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\no")  # its head is there in time
        go_on.wait()
        connection.send(b"k")
        connection.read_request()
        connection.gone(0.1)  # which it must not be, though nothing comes
        connection.send(response(body=b"late"))
        connection.hang()

    sluice = house([scripted(script)], max_connections=1, connect_timeout="30s", response_timeout="500ms")
    with sluice.client() as first, sluice.client() as second:
        first.send(get())
        assert first.read_head().status == 200
        second.send(get(method="POST", body=b"x"))
        wait_until(lambda: sluice.stats()["upstreams"][0]["waiting"] == 1, "it waits")
        since = sluice.stats()["uptime_seconds"]
        wait_until(lambda: sluice.stats()["uptime_seconds"] > since + 0.6, "that for longer than response_timeout")
        go_on.set()
        answer = second.read()
        assert (answer.status, answer.body) == (200, b"late")
    only, = sluice.stats()["upstreams"][0]["servers"]
    assert (only["requests"], only["failures"]) == (2, 0)


def test_who_leaves_the_line_is_not_waited_for(house, apps):
    a, = apps(1)
    sluice = house([a], max_connections=1, connect_timeout="30s")
    with sluice.client() as first, sluice.client() as last:
        first.send(get("/slow"))
        wait_until(lambda: server(sluice, a)["in_flight"] == 1, "the only connection is taken")
        leaving = sluice.client()
        leaving.send(get("/left"))
        wait_until(lambda: sluice.stats()["requests"]["in_flight"] == 2, "it waits")
        last.send(get("/last"))
        wait_until(lambda: sluice.stats()["requests"]["in_flight"] == 3, "so does the last")
        leaving.reset()
        start = time.monotonic()
        wait_until(lambda: sluice.stats()["requests"]["in_flight"] == 2, "it has left")
        assert time.monotonic() - start < 1.0 * PATIENCE
        a.go_on.set()
        assert [first.read().status, last.read().status] == [200, 200]
    assert [request.target for request in a.requests] == ["/slow", "/last"]


def test_connections_that_are_being_made_count(house, apps, closing):
    """All who connect at once need room, not one of them: idle connections elsewhere give way to each."""
    a, = apps(1)
    nowhere = closing(Blackhole())
    sluice = house([a, {"address": nowhere.address, "backup": True}], max_connections=4, retries=0, connect_timeout="30s",
                   eject={"after": 1, "for": "10m"})
    clients = [sluice.client() for _ in range(4)]
    for client in clients:
        client.send(get("/slow"))
    wait_until(lambda: server(sluice, a)["in_flight"] == 4, "all are there")
    a.go_on.set()
    assert [client.read().status for client in clients] == [200] * 4
    a.status = 503
    assert clients[0].get().status == 503
    assert ejected(sluice, a) and server(sluice, a)["connections_open"] == 4
    for client in clients:
        client.send(get())
    wait_until(lambda: server(sluice, nowhere)["connections_open"] == 4, "all try to connect")
    wait_until(lambda: server(sluice, a)["connections_open"] == 0, "none more than four")
    for client in clients:
        client.reset()


class Mute:
    """Connections to it are made, and that is all: no handshake, no answer."""

    def __init__(self):
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = "127.0.0.1:%d" % self._listener.getsockname()[1]

    def stop(self):
        self._listener.close()


@pytest.mark.parametrize("kind", ["tcp", "unix", "tls"])
def test_who_leaves_is_not_connected_for(house, closing, tmp_path, kind):
    make = {"tcp": lambda _: Blackhole(), "unix": lambda i: Blackhole(tmp_path / f"{i}.sock"), "tls": lambda _: Mute()}[kind]
    nowhere = [closing(make(i)) for i in range(3)]
    secure = {"tls": {}} if kind == "tls" else {}
    sluice = house([each.address for each in nowhere], connect_timeout="60s", eject={"after": 1, "for": "10m"}, **secure)
    client = sluice.client()
    client.send(get())
    wait_until(lambda: sluice.stats()["requests"]["in_flight"] == 1, "it waits")
    client.reset()
    start = time.monotonic()
    wait_until(lambda: sluice.stats()["requests"]["in_flight"] == 0, "it is given up")
    assert time.monotonic() - start < 1.0 * PATIENCE
    stats = sluice.stats()
    assert stats["requests"]["client_aborted"] == 1 and "504" not in stats["requests"]["by_status"]
    assert [server(sluice, each)["failures"] for each in nowhere] == [0, 0, 0], "it is not their doing"
    assert "handshake" not in sluice.stderr


def test_max_connections_holds_across_reloads_that_change_it(house, apps):
    a, = apps(1)
    often = {"connect_timeout": "30s", "retries": 0}
    sluice = house([a], max_connections=2, **often)

    def line():
        upstream, = sluice.stats()["upstreams"]
        return upstream["connections_used"], upstream["connections_max"], upstream["waiting"]

    clients = [sluice.client() for _ in range(6)]
    for client in clients[:3]:
        client.send(get("/slow"))
    wait_until(lambda: line() == (2, 2, 1), "two are lent, one waits")
    sluice.reload(sluice.config_of([a], max_connections=1, **often))
    clients[3].send(get("/slow"))
    wait_until(lambda: line() == (2, 1, 2), "one more waits: two are lent where one may be")
    sluice.reload(sluice.config_of([a], max_connections=3, **often))
    wait_until(lambda: line() == (3, 3, 1), "one more is lent, as it is the third")
    clients[4].send(get("/slow"))
    wait_until(lambda: line() == (3, 3, 2), "and waits")
    sluice.reload(sluice.config_of([a], max_connections=2, **often))
    clients[5].send(get("/slow"))
    wait_until(lambda: line() == (3, 2, 3), "three are lent still")
    assert server(sluice, a)["connections_open"] == 3
    a.go_on.set()
    assert [client.read().status for client in clients] == [200] * 6
    wait_until(lambda: line() == (0, 2, 0), "all are given back")


# Idle connections


def test_no_more_than_max_idle_connections_are_kept(house, apps):
    a, = apps(1)
    sluice = house([a], max_idle=2)
    clients = [sluice.client() for _ in range(5)]
    for client in clients:
        client.send(get("/slow"))
    wait_until(lambda: server(sluice, a)["in_flight"] == 5, "five are under way")
    a.go_on.set()
    assert [client.read().status for client in clients] == [200] * 5
    wait_until(lambda: server(sluice, a)["connections_open"] == 2, "two are left")
    assert server(sluice, a)["connections_idle"] == 2
    for client in clients:
        client.close()


def test_idle_connections_are_closed_after_idle_timeout(house, apps):
    a, = apps(1)
    sluice = house([a], idle_timeout="300ms")
    with sluice.client() as client:
        assert client.get().status == 200
        assert a.connections[0].wait_gone(5 * PATIENCE)
        assert client.get().status == 200
    assert len(a.connections) == 2


# Names


def test_a_name_is_looked_up_and_all_its_addresses_tried(house, apps):
    a, = apps(1)  # on 127.0.0.1 alone, while localhost may be ::1 too
    sluice = house(["localhost:" + a.address.rpartition(":")[2]], health=FAST)
    with sluice.client() as client:
        assert names(client, 5) == "aaaaa"
    wait_until(lambda: a.checks, "a check")
    assert a.requests[0].one("Host") is not None


def test_a_name_that_does_not_resolve_is_502_and_told(house):
    sluice = house(["nowhere.invalid:80"], connect_timeout="10s")
    with sluice.client() as client:
        expect_problem(client.get(), 502)
    line = wait_until(lambda: log_lines(sluice, "cannot be looked up"), "a line in the log")[0]
    assert line["server"] == "nowhere.invalid:80" and line["reason"]


@pytest.fixture
def hosts(tmp_path):
    if SANITIZER_MEMORY != 1:
        pytest.skip("a sanitizer's runtime must be loaded first")
    return Names(tmp_path)


def test_all_addresses_of_a_name_are_used_in_turn(house, closing, hosts):
    one = closing(App("a", host="127.0.0.2"))
    two = closing(App("b", host="127.0.0.3", port=one.port))
    hosts.stand_for(app=["127.0.0.2", "127.0.0.3"])
    sluice = house([f"app:{one.port}"], environment=hosts.environment, max_idle=0)  # a connection for each request
    with sluice.client() as client:
        assert names(client, 8) == "abababab"
    assert server(sluice, f"app:{one.port}")["requests"] == 8
    assert {request.one("Host") for request in one.requests} == {"a.example"}
    assert two.served["/"] == 4


def test_an_address_that_does_not_answer_leaves_time_for_the_others(house, closing, hosts):
    nowhere = closing(Blackhole())
    port = nowhere.address.rpartition(":")[2]
    closing(App("a", host="127.0.0.3", port=int(port)))
    hosts.stand_for(app=["127.0.0.1", "127.0.0.3"])
    sluice = house([f"app:{port}"], environment=hosts.environment, max_idle=0, connect_timeout="1s", retries=0)
    with sluice.client() as client:
        assert names(client, 4) == "aaaa"


def test_many_addresses_leave_each_the_time_for_its_handshake(house, closing, hosts, authority):
    context = authority.server_context(authority.issue("app"))

    def slowly(connection):
        connection.upstream.stopping.wait(0.2)
        under_tls(context, serve(response(body=b"ok")))(connection)

    first = closing(ScriptedUpstream(slowly, host="127.0.0.2"))
    others = [closing(ScriptedUpstream(slowly, host=f"127.0.0.{last}", port=first.port)) for last in range(3, 22)]
    hosts.stand_for(app=[f"127.0.0.{last}" for last in range(2, 22)])
    sluice = house([f"app:{first.port}"], environment=hosts.environment, tls={"ca": authority.root}, connect_timeout="2s")
    with sluice.client() as client:
        assert client.get().status == 200
    assert sum(len(each.connections) for each in [first, *others]) == 1


def test_a_name_that_moves_is_followed_without_a_failure(house, closing, hosts):
    one = closing(App("a", host="127.0.0.2"))
    closing(App("b", host="127.0.0.3", port=one.port))
    name = f"app:{one.port}"
    hosts.stand_for(app=["127.0.0.2"])
    sluice = house([name], environment=hosts.environment)
    with sluice.client() as client:
        assert names(client, 5) == "aaaaa"
        # The name stops resolving: the last address holds, and that is told.
        hosts.stand_for()
        one.stop()
        expect_problem(client.get(), 502)
        line = wait_until(lambda: log_lines(sluice, "cannot be looked up"), "it is told")[0]
        assert line["server"] == name and line["upstream"] == "app"
        # It stands for another address: within a second or two that is known, since no address took a connection.
        hosts.stand_for(app=["127.0.0.3"])
        wait_until(lambda: log_lines(sluice, "stands for other addresses"), "it has moved", 5)
        logged(sluice, "can be looked up again")
        assert names(client, 5) == "bbbbb"


def test_a_resolver_that_hangs_holds_up_neither_requests_nor_the_end(house, apps, hosts):
    a, = apps(1)
    hosts.stand_for(app=["hangs"])
    sluice = house(["app:1", a], environment=hosts.environment, connect_timeout="200ms")
    with sluice.client() as client:
        assert names(client, 4) == "aaaa"
        status = sluice.client().get("/").status
        assert status == 200
    start = time.monotonic()
    sluice.stop()
    assert time.monotonic() - start < 5 * PATIENCE


# Reload


def test_a_reload_keeps_connections_health_and_checks(house, apps):
    a, b, c = apps(3)
    sluice = house([a, b], health=FAST)
    b.health = 500
    wait_until(lambda: not server(sluice, b)["healthy"], "b is out")
    with sluice.client() as client:
        assert names(client, 3) == "aaa"
        tasks = sluice.stats()["runtime"]["tasks"]["live"]
        checks = server(sluice, b)["checks"]
        sluice.reload(sluice.config_of([weighted(a, 7), b, c], health=FAST))
        stats = server(sluice, b)
        assert not stats["healthy"] and stats["checks"] >= checks, "what was known of b is known still"
        assert server(sluice, a)["weight"] == 7 and server(sluice, a)["requests"] == 3
        assert names(client, 8) == "aaaacaaa"
        assert len([each for each in a.connections if {request.target for request in each.requests} - {"/healthz"}]) == 1, "a's connection was kept"
        logged(sluice, "server is not healthy")
        # A server that is gone is checked no more, and its connections are closed.
        sluice.reload(sluice.config_of([a, b], health=FAST))
        seen = len(c.checks)
        assert all(connection.wait_gone() for connection in c.connections)
        wait_until(lambda: sluice.stats()["runtime"]["tasks"]["live"] <= tasks, "its task has ended")
        more = len(a.checks) + 5
        wait_until(lambda: len(a.checks) > more, "checks go on")
        assert len(c.checks) <= seen + 1
        b.health = 200
        wait_until(lambda: server(sluice, b)["healthy"], "b is back")


@pytest.mark.parametrize("eject", [None, {"after": 1, "for": "1ms"}])
def test_an_ejection_ends_with_the_settings_that_made_it(house, apps, eject):
    a, b = apps(2)
    b.status = 503
    sluice = house([a, b], eject={"after": 1, "for": "1h"})
    with sluice.client() as client:
        assert [client.get().status for _ in range(3)] == [200, 503, 200]
        assert ejected(sluice, b)
        b.status = 200
        sluice.reload(sluice.config_of([a, b], eject=eject))
        assert not ejected(sluice, b) and server(sluice, b)["healthy"]
        assert sorted(names(client, 4)) == ["a", "a", "b", "b"]


def test_an_ejection_that_is_over_is_not_made_longer(house, apps):
    a, b = apps(2)
    b.status = 503
    sluice = house([a, b], eject={"after": 1, "for": "50ms"})
    with sluice.client() as client:
        assert [client.get().status for _ in range(2)] == [200, 503]
        wait_until(lambda: not ejected(sluice, b), "b is back")
        sluice.reload(sluice.config_of([a, b], eject={"after": 1, "for": "1h"}))
        assert not ejected(sluice, b) and server(sluice, b)["ejections"] == 1


def test_what_is_known_of_a_server_outlives_other_settings_of_its_connections(house, apps):
    a, b = apps(2)
    sluice = house([a, b], health=FAST)
    b.health = 500
    wait_until(lambda: not server(sluice, b)["healthy"], "b is out")
    sluice.reload(sluice.config_of([a, b], health=FAST, max_idle=7))
    assert not server(sluice, b)["healthy"]
    with sluice.client() as client:
        assert names(client, 4) == "aaaa"
    b.health = 200
    wait_until(lambda: server(sluice, b)["healthy"], "b is back")


def test_other_health_settings_begin_anew(house, apps):
    a, = apps(1)
    a.health = 500
    sluice = house([a], health=FAST)
    wait_until(lambda: not ready(sluice), "not ready")
    sluice.reload(sluice.config_of([a]))
    assert ready(sluice)
    seen = len(a.checks)
    with sluice.client() as client:
        assert names(client, 20) == "a" * 20
    assert len(a.checks) <= seen + 1


def test_a_hundred_reloads_leave_no_task_and_no_descriptor(house, apps):
    a, b = apps(2)
    sluice = house([a, b], health={**FAST, "interval": "10ms"})
    for number in range(100):
        health = {**FAST, "interval": f"{10 + number % 2}ms"}  # another server each time
        sluice.reload(sluice.config_of([a, b], health=health))
        with sluice.client() as client:
            assert set(names(client, 2)) == {"a", "b"}
