"""What a request on warm connections costs: the system calls and the allocations that service/README.md tells."""

import collections
import re
import subprocess

import pytest

from support.heap import Heap
from support.sluice import SANITIZER_MEMORY

REQUESTS = 1000
IN_THE_BACKGROUND = REQUESTS // 2  # what nobody's request costs meanwhile: timers, what is due each second; one call more for each request is beyond it

LIMITS = [{"name": "all", "rate": "1000000/s", "match": {"path": "/ok"}}, {"name": "none", "rate": "1/h", "burst": 1, "match": {"path": "/refused"}}]

pytestmark = pytest.mark.skipif(SANITIZER_MEMORY > 1, reason="a sanitizer's own calls would be counted")


def ask(client, path, status, times):
    for _ in range(times):
        assert client.get(path).status == status


def warmed(proxy):
    client = proxy.client()
    ask(client, "/ok", 200, 50)
    client.get("/refused")
    ask(client, "/refused", 429, 50)
    return client


@pytest.fixture
def calls(tmp_path):
    """calls(process, work) -> how often each system call was made by the workers of the process during work()."""

    def count(process, work):
        trace = tmp_path / "trace"
        with subprocess.Popen(["strace", "-f", "-p", str(process), "-o", trace], stderr=subprocess.PIPE, text=True) as strace:
            try:
                told = strace.stderr.readline()
                if "attached" not in told:
                    pytest.skip(f"strace may not look at the process here: {told}")
                work()
            finally:
                strace.terminate()
        made = collections.defaultdict(collections.Counter)
        for thread, name in re.findall(r"^(\d+) +(\w+)\(", trace.read_text(), re.M):
            made[thread][name] += 1
        return sum((of for of in made.values() if of["recvfrom"] > 0), collections.Counter())  # the workers'

    return count


@pytest.mark.parametrize("path,status,each", [("/ok", 200, 4), ("/refused", 429, 2)], ids=["forwarded", "refused"])
def test_the_system_calls_of_a_request_on_warm_connections(pair, calls, path, status, each):
    proxy = pair(limits=LIMITS)
    client = warmed(proxy)
    made = calls(proxy.sluice.pid, lambda: ask(client, path, status, REQUESTS))
    waits = made.pop("epoll_wait", 0) + made.pop("epoll_pwait", 0) + made.pop("epoll_pwait2", 0)
    messages = {name: number for name, number in made.items() if re.fullmatch(r"(recv|send|read|write)\w*", name)}
    assert each * REQUESTS <= sum(messages.values()) <= each * REQUESTS + IN_THE_BACKGROUND, made
    assert sum(made.values()) - sum(messages.values()) <= IN_THE_BACKGROUND, made
    assert waits <= each * REQUESTS + IN_THE_BACKGROUND  # one client, one request at a time: each answer is waited for


@pytest.mark.parametrize("path,status", [("/ok", 200), ("/refused", 429)], ids=["forwarded", "refused"])
def test_a_request_on_warm_connections_allocates_nothing(pair, tmp_path, path, status):
    heap = Heap(tmp_path)
    client = warmed(pair(sluice_options={"environment": heap.environment}, limits=LIMITS))
    before = heap.calls()
    assert before > 100  # the start's: they are counted
    ask(client, path, status, REQUESTS)
    assert heap.calls() - before <= IN_THE_BACKGROUND
