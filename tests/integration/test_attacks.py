"""Slow clients by the thousand, as slowhttptest makes them, and a process without descriptors: healthy clients hardly
notice, and everything recovers."""

import subprocess
import time

import pytest

from support.client import connect, crowd, get
from support.sluice import LEASH
from support.wait import DEADLINE, PATIENCE, wait_until
from support import wire

ATTACKERS = 2000
# Options, the path, and how many are connected at a time once it is under way (a range attack does not stay).
ATTACKS = {
    "slow-heads": (["-H"], "/64k", ATTACKERS - 100),
    "slow-bodies": (["-B", "-t", "PUT"], "/up/slow", ATTACKERS - 100),
    "slow-readers": (["-X", "-w", "10", "-y", "20", "-n", "5", "-z", "32", "-k", "1"], "/64k", 100),
    "ranges": (["-R"], "/64k", 0),
}
# What a healthy client may wait at most while 2,000 others attack, on any machine: twice what it waits without them,
# or this.
FLOOR = 0.25 * PATIENCE


class Attack:
    """slowhttptest against the proxy, until stop()."""

    def __init__(self, url, options):
        command = ["slowhttptest", *options, "-c", str(ATTACKERS), "-r", "1000", "-i", "5", "-l", "600", "-p", "600", "-u", url]
        self._process = subprocess.Popen([*LEASH, "prlimit", "--nofile=8192", "--", *command], stdout=subprocess.DEVNULL,
                                         stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL)

    def stop(self):
        self._process.kill()
        self._process.wait()


def p99(sluice, **request):
    """Of 1,000 requests by 8 healthy clients."""
    answers = crowd(sluice.address, get("/one", **request), connections=8, total=1000)
    assert {answer.status for answer in answers} == {200}
    return sorted(answer.received - answer.sent for answer in answers)[990]


@pytest.mark.parametrize("attack", ATTACKS)
def test_healthy_clients_hardly_notice_two_thousand(start_sluice, nginx, closing, attack):
    options, path, least = ATTACKS[attack]
    # Each slow body holds a connection to the upstream: there have to be some to spare.
    sluice = start_sluice({"upstreams": {"app": {"servers": [nginx.address], "max_connections": 3000}},
                           "routes": [{"upstream": "app"}],
                           "log": {"access": "off"}, "max": {"connections": 5000},
                           "timeouts": {"head": "60s", "body": "60s", "write": "60s"}})
    before = p99(sluice)
    attackers = closing(Attack(f"{sluice.url}{path}", options))
    wait_until(lambda: (stats := sluice.stats()["connections"])["accepted"] > ATTACKERS / 2 and stats["open"] >= least,
               "the attackers")
    during = p99(sluice)
    print(f"p99 {before * 1000:.2f} ms alone, {during * 1000:.2f} ms beside {sluice.stats()['connections']['open']} attackers")
    assert during < max(2 * before, FLOOR)
    attackers.stop()
    wait_until(lambda: sluice.stats()["connections"]["open"] == 0, "the end of all attackers", 4 * DEADLINE)
    sluice.stop()


def test_a_limit_on_requests_in_flight_keeps_one_client_from_taking_all_connections_to_the_upstream(start_sluice, nginx, closing):
    """Without it 1,024 slow uploads hold every one of the default max_connections, and all others get 503."""
    sluice = start_sluice({"upstreams": {"app": {"servers": [nginx.address]}}, "routes": [{"upstream": "app"}],
                           "client": {"trusted_proxies": ["127.0.0.1/32"]},
                           "limits": [{"name": "slots", "algorithm": "concurrency", "max": 50}],
                           "log": {"access": "off"}, "timeouts": {"body": "60s"}})
    healthy = {"fields": [("X-Forwarded-For", "198.51.100.1")]}
    before = p99(sluice, **healthy)
    attackers = closing(Attack(f"{sluice.url}/up/slow", ["-B", "-t", "PUT"]))
    wait_until(lambda: sluice.stats()["requests"]["limited"] > ATTACKERS / 2, "the attackers")
    used, = {upstream["connections_used"] for upstream in sluice.stats()["upstreams"]}
    assert used == 50
    during = p99(sluice, **healthy)
    print(f"p99 {before * 1000:.2f} ms alone, {during * 1000:.2f} ms beside the attackers")
    assert during < max(2 * before, FLOOR)
    attackers.stop()
    sluice.stop()


def test_accept_survives_without_descriptors(pair):
    """More clients than the process may have descriptors: those beyond wait in the kernel's queue, or are turned away;
    nobody who was connected is hurt, and when some leave the others are served."""
    proxy = pair(sluice_options={"limit_files": 64})
    served = proxy.client()
    assert served.get().status == 200
    others = [proxy.client() for _ in range(120)]
    wait_until(lambda: proxy.sluice.descriptors() >= 60, "that descriptors run out")
    assert proxy.sluice.alive()
    assert "who connects waits: there is no descriptor" in proxy.sluice.stderr
    before = proxy.sluice.cpu_seconds()
    end = time.monotonic() + 1
    wait_until(lambda: time.monotonic() > end, "one second to pass")
    assert proxy.sluice.cpu_seconds() - before < 0.5, "accept must not spin"
    assert served.get().status in (200, 503)
    for other in others[:-1]:
        other.close()
    answer = others[-1].get()
    assert answer.status == 200
    assert served.get().status == 200


def test_connections_beyond_the_limit_get_a_503_that_costs_little(pair):
    proxy = pair(max={"connections": 10})
    inside = [proxy.client() for _ in range(10)]
    assert [client.get().status for client in inside] == [200] * 10
    before = proxy.sluice.stats()
    for _ in range(300):
        sock = connect(proxy.sluice.address)
        answer = wire.read_response(wire.Wire(sock, DEADLINE))
        assert answer.status == 503 and answer.has("Retry-After")
        sock.close()
    after = proxy.sluice.stats()
    assert after["connections"]["refused"] - before["connections"]["refused"] == 300
    # One write each, by the task that accepts: no task, no request.
    assert after["runtime"]["tasks"]["spawned"] - before["runtime"]["tasks"]["spawned"] < 50
    assert after["requests"]["total"] == before["requests"]["total"]
    assert [client.get().status for client in inside] == [200] * 10
