"""Near the memory limit of its container the proxy sheds what is new, and goes on with what is under way."""

import contextlib
import json
import os
import pathlib
import subprocess
import sys
import threading

import pytest

from support.client import expect_problem, get
from support.sluice import LEASH, SANITIZER_MEMORY
from support.upstream import chunked, response
from support.wait import wait_until

MIB = 1 << 20
ROOT = pathlib.Path("/sys/fs/cgroup")


class Container:
    """A group of processes with a memory limit of its own, version 2 or 1, of the real kernel."""

    def __init__(self, name):
        self._second = (ROOT / "cgroup.controllers").exists()
        self.folder = ROOT / ("" if self._second else "memory") / name
        with contextlib.suppress(OSError):
            if self._second:
                (ROOT / "cgroup.subtree_control").write_text("+memory")
        self._neighbour = None
        try:
            self.folder.mkdir()
            self.set_limit(1 << 40)
        except OSError as error:
            self.stop()
            pytest.skip(f"no group can be made here: {error}")

    def set_limit(self, size):
        (self.folder / ("memory.max" if self._second else "memory.limit_in_bytes")).write_text(str(size))

    def fill(self, size):
        """A neighbour in the group, who uses so much."""
        use = f"import sys; room = bytearray(b'x') * {size}; print('ready', flush=True); sys.stdin.read()"
        join = f'echo $$ > {self.folder}/cgroup.procs && exec "$@"'
        self._neighbour = subprocess.Popen([*LEASH, "sh", "-c", join, "sh", sys.executable, "-c", use],
                                           stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self._neighbour.stdout.readline() == b"ready\n"

    def used(self):
        return int((self.folder / ("memory.current" if self._second else "memory.usage_in_bytes")).read_text())

    def stop(self):
        if self._neighbour:
            self._neighbour.communicate()
        with contextlib.suppress(OSError):
            wait_until(lambda: not (self.folder / "cgroup.procs").read_text(), "the end of its processes")
            self.folder.rmdir()


@pytest.fixture
def container(closing, request):
    return closing(Container(f"sluice-test-{os.getpid()}"))


def overloaded(proxy):
    return proxy.sluice.stats()["overloaded"]


def test_a_proxy_near_its_limit_sheds_what_is_new_and_recovers(container, pair):
    def script(connection):
        while request := connection.read_request():
            if request.target == "/long":
                connection.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n")
                proceed.wait(30)
                connection.send(chunked(b"b" * 1000))
            else:
                connection.send(response(body=b"ok"))

    proceed = threading.Event()
    container.fill(round(100 * SANITIZER_MEMORY) * MIB)
    proxy = pair(script, sluice_options={"cgroup": container.folder})
    assert not overloaded(proxy)
    under_way, idle = proxy.client(), proxy.client()
    assert idle.get().status == 200
    under_way.send(get("/long"))
    assert under_way.read_head().status == 200

    container.set_limit(container.used() * 100 // 94)  # 7 MiB are left, or more where more is used
    wait_until(lambda: overloaded(proxy), "that it is overloaded")
    assert proxy.sluice.ask_admin("GET", "/readyz")[0] == 503
    assert proxy.sluice.ask_admin("GET", "/healthz")[0] == 200
    answer = idle.get()
    expect_problem(answer, 503)
    assert int(answer.one("Retry-After")) >= 1 and answer.one("Connection") == "close"
    idle.expect_close()
    newcomer = proxy.client()
    answer = newcomer.read()
    assert answer.status == 503 and int(answer.one("Retry-After")) >= 1 and "low on memory" in json.loads(answer.body)["detail"]
    newcomer.expect_close()
    assert len(proxy.upstream.requests) == 2, "what is shed never reaches the upstream"
    proceed.set()
    assert under_way.wire.exactly(6) == b"1\r\na\r\n"
    wait_until(lambda: under_way.wire.unread.endswith(b"0\r\n\r\n") or under_way.wire.fill() or False, "what was under way")
    stats = proxy.sluice.stats()
    assert stats["requests"]["shed"] == 1 and stats["connections"]["refused"] == 1
    assert stats["memory"]["overloads"] == 1 and stats["memory"]["used_bytes"] > 0.85 * stats["memory"]["limit_bytes"]
    metrics = proxy.sluice.metrics()
    assert "sluice_overloaded 1\n" in metrics and "sluice_requests_shed_total 1\n" in metrics
    assert "low on memory" in proxy.sluice.output

    container.set_limit(1 << 30)
    wait_until(lambda: not overloaded(proxy), "that memory is there again")
    assert proxy.sluice.ask_admin("GET", "/readyz")[0] == 200
    assert proxy.client().get().status == 200
    under_way.close()


def test_without_a_limit_there_is_no_overload(pair):
    stats = pair().sluice.stats()
    assert stats["overloaded"] is False
    assert stats["memory"] is None or stats["memory"]["limit_bytes"] > 0
