"""The four algorithms and `action: delay`, as clients see them."""

import random
import re
import subprocess
import threading
import time

import pytest

from support.client import crowd, get
from support.sluice import SANITIZER_MEMORY
from support.upstream import response, serve
from support.wait import wait_until

OK = response(body=b"ok")


class Gate:
    """An upstream's script that answers each request when it is let to, all at once or one by one."""

    def __init__(self):
        self.permits = threading.Semaphore(0)

    def __call__(self, connection):
        while connection.read_request():
            while not self.permits.acquire(timeout=0.05):
                if connection.gone(0):
                    return
            connection.send(OK)

    def open(self, count):
        for _ in range(count):
            self.permits.release()


def in_flight(proxy):
    clients = proxy.sluice.admin_json("/stats/clients?limit=slots")["clients"]
    return sum(client["in_flight"] for client in clients)


SLOTS = {"name": "slots", "algorithm": "concurrency", "max": 2}


def test_as_many_in_flight_as_max_and_no_more(pair):
    gate = Gate()
    proxy = pair(gate, limits=[SLOTS])
    first, second, third = (proxy.client() for _ in range(3))
    first.send(get())
    second.send(get())
    proxy.upstream.wait_for_requests(2)
    refused = third.get()
    assert refused.status == 429
    assert refused.one("RateLimit-Policy") == '"slots";q=2;qu="concurrent-requests"'
    assert refused.one("RateLimit") == '"slots";r=0', "nobody knows when a request ends"
    assert refused.one("Retry-After") == "1"
    assert b"in flight" in refused.body
    assert in_flight(proxy) == 2
    limit, = proxy.sluice.stats()["limits"]
    assert (limit["algorithm"], limit["max"]) == ("concurrency", 2) and "rate" not in limit and "burst" not in limit
    gate.open(1)
    assert (first if first.sock in _readable(first, second) else second).read().status == 200
    wait_until(lambda: in_flight(proxy) == 1, "the slot to be given back")
    third.send(get())
    proxy.upstream.wait_for_requests(3)
    gate.open(2)
    assert third.read().status == 200
    wait_until(lambda: in_flight(proxy) == 0, "no slot to be left")


def _readable(*clients):
    import select
    return select.select([client.sock for client in clients], [], [], 10)[0]


def test_a_slot_is_held_until_the_answer_has_been_sent(pair):
    """Also one of an answer of the proxy's own, and of an upstream that fails."""
    proxy = pair(serve(OK), limits=[{**SLOTS, "max": 1}])
    client = proxy.client()
    assert [client.get().status for _ in range(20)] == [200] * 20
    proxy.upstream.stop()
    assert {client.get().status for _ in range(5)} <= {502, 503}
    wait_until(lambda: in_flight(proxy) == 0, "no slot to be left")


def test_who_has_the_whole_answer_may_ask_again_at_once(pair):
    """By another connection, another worker's perhaps: the one answer is over, as far as the client can know."""
    proxy = pair(limits=[{**SLOTS, "max": 1}], routes=[
        {"match": {"path": "/own"}, "respond": {"status": 200, "body": "ours" * 2000}}, {"upstream": "app"}])
    clients = [proxy.client() for _ in range(2)]
    assert [clients[n % 2].get("/own" if n % 3 == 0 else "/").status for n in range(1500)] == [200] * 1500


def test_a_body_that_is_still_to_come_behind_an_answer_holds_no_slot(pair):
    proxy = pair(limits=[{**SLOTS, "max": 1}], routes=[{"respond": {"status": 200, "body": "ours"}}])
    slow, other = proxy.client(), proxy.client()
    slow.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n")
    assert slow.read().status == 200
    assert other.get().status == 200
    slow.send(b"hello" + get())
    assert slow.read().status == 200


def test_aborts_resets_and_reloads_leave_no_slot(pair):
    """Clients that leave at any moment, upstreams that reset and hang, reloads and forgotten clients meanwhile."""
    rng = random.Random(7)

    def script(connection):
        while connection.read_request():
            fate = rng.random()
            if fate < 0.2:
                return connection.reset()
            if fate < 0.4:
                connection.gone(0.3)
                return connection.close()
            connection.send(OK[: rng.randrange(10, len(OK))] if fate < 0.5 else OK)
            if fate < 0.5:
                return connection.close()

    proxy = pair(script, limits=[{**SLOTS, "max": 5}, {"name": "all", "key": "global", "rate": "1000000/s"}])
    config = dict(proxy.sluice.config)
    stop = threading.Event()

    def client(seed):
        own = random.Random(seed)
        for _ in range(120):
            try:
                one = proxy.sluice.client(source=f"127.0.0.{own.randrange(2, 5)}")
                one.send(get(method=own.choice(["GET", "POST"]), body=own.choice([None, b"x" * 10])))
                what = own.random()
                if what < 0.3:
                    one.reset()
                elif what < 0.5:
                    stop.wait(own.random() * 0.02)
                    one.reset()
                elif what < 0.6:
                    one.close()
                else:
                    one.read()
                    one.close()
            except (OSError, AssertionError, EOFError):
                pass
            except Exception as error:  # what a cut answer reads as
                if type(error).__name__ not in ("Ended", "Malformed"):
                    raise

    threads = [threading.Thread(target=client, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for turn in range(10):
        config["limits"][0]["max"] = 3 + turn % 4
        proxy.sluice.reload(config)
        stop.wait(0.05)
    for thread in threads:
        thread.join()
    wait_until(lambda: in_flight(proxy) == 0, "no slot to be left")
    assert proxy.sluice.stats()["requests"]["total"] > 300
    clients = proxy.sluice.admin_json("/stats/clients?limit=slots")["clients"]
    assert len(clients) == 3 and {client["remaining"] for client in clients} == {config["limits"][0]["max"]}


@pytest.mark.parametrize("algorithm", ["fixed_window", "sliding_window"])
def test_64_connections_never_get_one_more_than_a_window_has(pair, algorithm):
    """An hour's window: the test is within one, or around the border of two."""
    proxy = pair(serve(OK), limits=[{"name": "hour", "algorithm": algorithm, "rate": "1000/h"}], runtime={"workers": 2})
    statuses = [a.status for a in crowd(proxy.sluice.address, get(), connections=64, total=3000)]
    assert statuses.count(200) in (1000, 2000) if algorithm == "fixed_window" else statuses.count(200) == 1000
    refused = proxy.client().get()
    assert refused.status == 429
    assert refused.one("RateLimit-Policy") == '"hour";q=1000;w=3600'
    limit, = proxy.sluice.stats()["limits"]
    assert (limit["algorithm"], limit["rate"]) == (algorithm, "1000/h") and "burst" not in limit


@pytest.mark.parametrize("algorithm", ["token_bucket", "fixed_window", "sliding_window"])
def test_a_million_attempts_over_64_connections_get_what_there_is(start_sluice, algorithm):
    """Half of them. A token comes back after six minutes; a window may have a border in the test."""
    attempts = 1_000_000 if SANITIZER_MEMORY == 1 else 50_000
    limit = {"name": "half", "algorithm": algorithm, "rate": f"{attempts // 2}/d"}
    if algorithm == "token_bucket":
        limit |= {"rate": "10/h", "burst": attempts // 2}
    sluice = start_sluice({"routes": [{"respond": {"body": "here"}}], "limits": [limit], "runtime": {"workers": 2},
                           "log": {"access": "off"}})
    done = subprocess.run(["h2load", "--h1", f"-n{attempts}", "-c64", sluice.url], capture_output=True, text=True, timeout=300)
    got = re.search(r"status codes: (\d+) 2xx, 0 3xx, (\d+) 4xx, 0 5xx", done.stdout)
    assert got, done.stdout + done.stderr
    allowed, refused = map(int, got.groups())
    assert allowed + refused == attempts
    assert allowed == attempts // 2 or (algorithm == "fixed_window" and allowed == attempts)
    limit, = sluice.stats()["limits"]
    assert (limit["allowed"], limit["limited"]) == (allowed, refused)


def test_64_connections_never_hold_one_slot_more(pair):
    """Each waits at the upstream until as many have come as may."""
    now, most, lock = [0], [0], threading.Lock()

    def script(connection):
        while connection.read_request():
            with lock:
                now[0] += 1
                most[0] = max(most[0], now[0])
            connection.gone(0.002)
            with lock:
                now[0] -= 1
            connection.send(OK)

    proxy = pair(script, limits=[{**SLOTS, "max": 5}], runtime={"workers": 2})
    answers = crowd(proxy.sluice.address, get(), connections=64, total=4000)
    allowed = [answer.status for answer in answers].count(200)
    assert most[0] == 5 and allowed >= 5
    assert {answer.status for answer in answers} == {200, 429}
    wait_until(lambda: in_flight(proxy) == 0, "no slot to be left")


@pytest.mark.parametrize("algorithm", ["fixed_window", "sliding_window"])
def test_who_waits_retry_after_is_admitted(pair, algorithm):
    proxy = pair(serve(OK), limits=[{"name": "few", "algorithm": algorithm, "rate": "2/s"}])
    client = proxy.client()
    refusals = 0
    while refusals < 3:
        answer = client.get()
        if answer.status == 200:
            continue
        refusals += 1
        end = time.monotonic() + int(answer.one("Retry-After"))
        wait_until(lambda: time.monotonic() >= end, "what we were told to wait")
        assert client.get().status == 200


# delay


def delayed(rate, max_delay="5s", **more):
    return {"name": "slow", "rate": rate, "burst": 1, "action": "delay", "max_delay": max_delay, **more}


def test_delay_spaces_requests_out_in_the_order_in_which_they_came(pair):
    proxy = pair(serve(OK), limits=[delayed("10/s")])
    clients = [proxy.client() for _ in range(8)]
    began = time.monotonic()
    for n, client in enumerate(clients):
        client.send(get(f"/{n}"))
        wait_until(lambda: proxy.sluice.stats()["requests"]["in_flight"] + proxy.sluice.stats()["requests"]["total"] > n, "it to come")
    times = []
    for client in clients:
        assert client.read().status == 200
        times.append(time.monotonic() - began)
    assert [request.target for request in proxy.upstream.requests] == [f"/{n}" for n in range(8)]
    for n, taken in enumerate(times):
        assert taken >= 0.1 * n, f"request {n} came too early: {times}"
    stats = proxy.sluice.settled()
    held = stats["requests"]["delayed"]
    assert held >= 5 and stats["requests"]["allowed"] == 8 and stats["requests"]["limited"] == 0
    assert stats["limits"][0]["delayed"] == held and stats["limits"][0]["allowed"] == 8
    assert f'sluice_requests_total{{limit="slow",outcome="delayed"}} {held}' in proxy.sluice.metrics()


def test_who_cannot_have_its_turn_within_max_delay_is_refused_at_once(pair):
    proxy = pair(serve(OK), limits=[delayed("2/s", "1200ms")])
    clients = [proxy.client() for _ in range(6)]
    answers = {}
    began = time.monotonic()
    for n, client in enumerate(clients):
        client.send(get(f"/{n}"))
        wait_until(lambda: proxy.sluice.stats()["requests"]["in_flight"] + proxy.sluice.stats()["requests"]["total"] > n, "it to come")
    assert time.monotonic() - began < 0.45, "this machine is too busy"
    for n in (3, 4, 5):  # the turns of 1 and 2 are after 0.5 s and 1 s; that of 3 after 1.5 s
        answers[n] = clients[n].read()
        assert answers[n].status == 429 and answers[n].one("Retry-After") == "2"
    assert time.monotonic() - began < 0.5, "a request was held in vain"
    assert [clients[n].read().status for n in (0, 1, 2)] == [200] * 3


def test_a_client_that_leaves_gives_its_place_to_those_behind(pair):
    proxy = pair(serve(OK), limits=[delayed("1/s", "10s")])
    first, leaves, stays = (proxy.client() for _ in range(3))
    assert first.get("/first").status == 200
    began = time.monotonic()
    leaves.send(get("/leaves"))
    wait_until(lambda: proxy.sluice.stats()["requests"]["in_flight"] == 1, "it to wait")
    stays.send(get("/stays"))
    wait_until(lambda: proxy.sluice.stats()["requests"]["in_flight"] == 2, "both to wait")
    leaves.reset()
    assert stays.read().status == 200
    assert time.monotonic() - began < 1.9, "it waited behind who had left"
    assert [request.target for request in proxy.upstream.requests] == ["/first", "/stays"]


def test_a_request_waits_for_a_slot_and_gets_it_when_one_is_free(pair):
    gate = Gate()
    proxy = pair(gate, limits=[{**SLOTS, "max": 1, "action": "delay", "max_delay": "20s"}])
    clients = [proxy.client() for _ in range(4)]
    for n, client in enumerate(clients):
        client.send(get(f"/{n}"))
        wait_until(lambda: proxy.sluice.stats()["requests"]["in_flight"] == n + 1, "it to come")
    assert len(proxy.upstream.requests) == 1
    for n, client in enumerate(clients):
        proxy.upstream.wait_for_requests(n + 1)
        assert len(proxy.upstream.requests) == n + 1, "two at a time"
        gate.open(1)
        assert client.read().status == 200
    assert [request.target for request in proxy.upstream.requests] == [f"/{n}" for n in range(4)]
    wait_until(lambda: in_flight(proxy) == 0, "no slot to be left")
    assert proxy.sluice.stats()["requests"]["delayed"] == 3


def test_nobody_waits_for_a_slot_longer_than_max_delay(pair):
    gate = Gate()
    proxy = pair(gate, limits=[{**SLOTS, "max": 1, "action": "delay", "max_delay": "300ms"}])
    holds, waits = proxy.client(), proxy.client()
    holds.send(get())
    proxy.upstream.wait_for_requests(1)
    began = time.monotonic()
    refused = waits.get()
    assert refused.status == 429 and refused.one("Retry-After") == "1"
    assert 0.3 <= time.monotonic() - began < 2
    gate.open(1)
    assert holds.read().status == 200
    stats = proxy.sluice.settled()["requests"]
    assert (stats["delayed"], stats["limited"]) == (1, 1)


def test_a_drain_ends_the_waiting(pair):
    proxy = pair(serve(OK), limits=[delayed("1/m", "10m")], timeouts={"drain": "8s"})
    client = proxy.client()
    assert client.get().status == 200
    client.send(get())
    wait_until(lambda: proxy.sluice.stats()["requests"]["in_flight"] == 1, "it to wait")
    began = time.monotonic()
    proxy.sluice.stop()
    assert time.monotonic() - began < 4
    assert client.read().status == 503


def test_retry_after_of_a_limit_that_delays_is_when_those_who_wait_have_had_theirs(pair):
    proxy = pair(serve(OK), limits=[delayed("1/s", "2500ms")])
    clients = [proxy.client() for _ in range(3)]
    for n, client in enumerate(clients):
        client.send(get(f"/{n}"))
        wait_until(lambda: proxy.sluice.stats()["requests"]["in_flight"] + proxy.sluice.stats()["requests"]["total"] > n, "it to come")
    refused = proxy.client().get("/late")
    assert refused.status == 429 and refused.one("Retry-After") == "3"
    end = time.monotonic() + 3
    assert [client.read().status for client in clients] == [200] * 3
    wait_until(lambda: time.monotonic() >= end, "what we were told to wait")
    began = time.monotonic()
    assert proxy.client().get("/again").status == 200 and time.monotonic() - began < 0.5
