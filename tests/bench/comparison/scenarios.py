"""The scenarios: a table of what is asked and which figure is compared, and the three ways to measure one."""

import contextlib
import dataclasses
import time
import typing

from comparison import load
from comparison.accounts import Process
from comparison.proxies import UPSTREAM_PORT, Job, upstream

FIRST_PORT = 18100


@dataclasses.dataclass(frozen=True)
class Scenario:
    name: str
    what: str
    unit: str = "µs/request"
    measure: str = "cpu"
    path: str = "/"
    script: str = ""
    generator: typing.Callable = load.closed_loop
    connections: int | None = None  # none: as many as the run was told
    requests_per_unit: float = 1
    without: tuple = ()  # names of proxies that do not take part
    job: dict = dataclasses.field(default_factory=dict)
    cpus: str = "0"


SCENARIOS = {each.name: each for each in (
    Scenario("pass", "admitted and forwarded, a small answer"),
    Scenario("reject", "refused with 429", job={"refuse": True}),
    Scenario("pass2", "as pass, with two workers, on the CPUs of the load too", job={"workers": 2}, cpus="0,1"),
    Scenario("newconn", "as pass, a connection for each request", script=load.CLOSE, connections=16, job={"once": True}),
    Scenario("body64k", "answers of 64 KiB", "µs/MiB", path="/files/64k", requests_per_unit=16),
    Scenario("body1m", "answers of 1 MiB", "µs/MiB", path="/files/1m", connections=16),
    Scenario("upload64k", "uploads of 64 KiB", "µs/MiB", script=load.UPLOAD, connections=16, requests_per_unit=16),
    Scenario("clients", "as pass, a random client in each request", script=load.RANDOM_CLIENT, job={"forwarded": True}),
    Scenario("tls", "as pass, over TLS 1.3", job={"secure": True}, without=("kernel", "Go")),
    Scenario("resumed", "as newconn, over TLS 1.3, each session resumed", script=load.CLOSE, connections=16, job={"secure": True},
             without=("kernel", "Go")),
    Scenario("handshake", "as newconn, over TLS 1.3, each session new", generator=load.handshakes, connections=4,
             job={"secure": True}, without=("kernel", "Go")),
    Scenario("idle", "memory of an idle connection", "bytes", measure="memory", without=("kernel",)),
    Scenario("latency", "6,400 requests a second on 64 connections, p99", "µs", measure="latency"),
)}


class Run:
    """How long, how often, with which proxies."""

    def __init__(self, proxies, folder, seconds, rounds, connections, idle):
        self.proxies, self.folder = proxies, folder
        self.seconds, self.rounds, self.connections, self.idle = seconds, rounds, connections, idle

    def measure(self, scenario):
        """{proxy's name: [figures of round 1, of round 2, …]}. Figures are a dict; the one compared is "figure"."""
        return {"cpu": self._cpu, "memory": self._memory, "latency": self._latency}[scenario.measure](scenario)

    def _upstream(self, log):
        return Process(upstream(self.folder), "1", log)

    @contextlib.contextmanager
    def _all_started(self, scenario):
        """All proxies side by side, so that rounds go A B C, A B C: what else the machine does meanwhile then falls on
        each of them, and not on the one whose turn it was."""
        with contextlib.ExitStack() as stack:
            log = stack.enter_context(open(self.folder / "stderr", "w"))
            stack.enter_context(self._upstream(log)).wait_listening(UPSTREAM_PORT)
            started = {}
            for port, proxy in enumerate(self._taking_part(scenario), FIRST_PORT):
                process = stack.enter_context(Process(proxy.command(Job(port, self.folder, **scenario.job)), scenario.cpus, log))
                process.wait_listening(port)
                started[proxy.name] = process, port
            yield started

    def _taking_part(self, scenario):
        return [proxy for proxy in self.proxies if proxy.name not in scenario.without]

    def _cpu(self, scenario):
        """CPU time per request, from the kernel's accounts: of all figures the one that is least shaken by neighbours."""
        connections = scenario.connections or self.connections
        with self._all_started(scenario) as started:
            figures = {name: [] for name in started}
            for warm in [False] + [True] * self.rounds:
                for name, (process, port) in started.items():
                    user, system = process.cpu_seconds()
                    answers = scenario.generator(port, scenario.path, connections, self.seconds if warm else 1,
                                                 scenario.script, self.folder, scenario.job.get("secure", False))
                    user, system = (after - before for after, before in zip(process.cpu_seconds(), (user, system)))
                    if not warm:
                        continue
                    expected = answers.refused if scenario.job.get("refuse") else answers.requests - answers.refused
                    per_unit = 1e6 / answers.requests * scenario.requests_per_unit
                    figures[name].append({"figure": (user + system) * per_unit, "user": user * per_unit,
                                          "requests/s": answers.requests / answers.seconds,
                                          "as expected": expected / answers.requests, "unanswered": answers.broken})
        return figures

    def _memory(self, scenario):
        figures = {}
        for port, proxy in enumerate(self._taking_part(scenario), FIRST_PORT + 50):
            with open(self.folder / "stderr", "w") as log, self._upstream(log) as behind, \
                    Process(proxy.command(Job(port, self.folder)), "0", log) as process:
                behind.wait_listening(UPSTREAM_PORT)
                process.wait_listening(port)
                empty = _settled(process)
                with load.idle_connections(port, self.idle):
                    figures[proxy.name] = [{"figure": (_settled(process) - empty) / self.idle}]
        return figures

    def _latency(self, scenario):
        with self._all_started(scenario) as started:
            figures = {name: [] for name in started}
            for _ in range(self.rounds):
                for name, (_, port) in started.items():
                    taken = load.latencies(port, 64, 100, self.seconds, self.folder)
                    at = lambda share: taken[int(len(taken) * share)]
                    figures[name].append({"figure": at(0.99), "p50": at(0.5), "p99.9": at(0.999), "answers": len(taken)})
        return figures


def _settled(process, quiet=2.0, at_most=10.0):
    """Resident bytes, once they have not changed for `quiet` seconds: some give back what they no longer use."""
    start = since = time.monotonic()
    value = process.resident_bytes()
    while time.monotonic() - since < quiet and time.monotonic() - start < at_most:
        time.sleep(0.05)
        now = process.resident_bytes()
        if now != value:
            value, since = now, time.monotonic()
    return value
