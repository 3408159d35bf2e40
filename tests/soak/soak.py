"""`./dev soak [MINUTES]`: the proxy under a mixed load with faults for MINUTES, against the binary with AddressSanitizer.
Fails when its memory, descriptors or tasks grow, when a client or the sanitizer sees something wrong, or when anything is
left over in the end. What is compared is the median of an early part of the run with that of the last."""

import argparse
import asyncio
import logging
import os
import pathlib
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
# The sanitizer holds freed memory back, 256 MiB of it by default: growth would be seen only behind that.
os.environ.setdefault("ASAN_OPTIONS", "quarantine_size_mb=8:detect_stack_use_after_return=0:malloc_context_size=8")
os.environ.setdefault("UBSAN_OPTIONS", "print_stacktrace=1")

from load import Load  # noqa: E402
from support.sluice import BINARY, LEASH, Sluice  # noqa: E402
from support.upstream import Refusing  # noqa: E402

WIDTH = 64
EVERY = 2.0  # seconds between two samples
RELOAD_EVERY = 5.0


def config(app, refusing, turn):
    """Two that take turns: what a reload changes most, limits, timeouts and upstreams, changes each time."""
    return {
        "upstreams": {
            "app": {"servers": [app], "response_timeout": "2s", "stall_timeout": "2s", "connect_timeout": "1s",
                    "max_connections": 256 + turn % 2, "max_idle": 32},
            "gone": {"servers": [refusing, app], "response_timeout": "2s"},
        },
        "routes": [{"match": {"path": "/slow"}, "upstream": "gone"}, {"upstream": "app"}],
        "limits": [{"name": "per-client", "rate": f"{20 + turn % 2}/s", "burst": 40},
                   {"name": "by-path", "key": ["ip", "path"], "rate": "100/s", "mode": "shadow"}],
        "clients": {"max": 500, "idle_after": "5s", "sweep_every": "2s"},
        "timeouts": {"head": "2s", "body": "2s", "write": "2s", "keep_alive": f"{3 + turn % 2}s", "drain": "5s", "tunnel": "3s"},
        "max": {"connections": 150},
        "log": {"access": "limited"},
        "runtime": {"workers": 2},
    }


class Samples:
    """What the process takes, every few seconds."""

    def __init__(self, sluice):
        self._sluice = sluice
        self._began = time.monotonic()
        self.rows = []  # (second, resident bytes, descriptors, live tasks, stack bytes)

    def take(self):
        runtime = self._sluice.stats()["runtime"]
        self.rows.append((time.monotonic() - self._began, self._sluice.memory()[0], self._sluice.descriptors(),
                          runtime["tasks"]["live"], runtime["stack_bytes"]))

    def compare(self):
        """(what, early median, late median, whether that is flat) for each figure."""
        total = self.rows[-1][0]

        def median(column, begin, end):
            return statistics.median(row[column] for row in self.rows if begin * total <= row[0] <= end * total)

        slack = {"resident MiB": (1, 2**20, 8), "descriptors": (2, 1, 40), "tasks": (3, 1, 40), "stacks MiB": (4, 2**20, 4)}
        for what, (column, unit, allowed) in slack.items():
            early, late = (median(column, *part) / unit for part in ((0.15, 0.35), (0.8, 1)))
            yield what, early, late, late <= early * 1.1 + allowed


async def reload_again_and_again(sluice, make, failures):
    for turn in range(1, 1 << 30):
        await asyncio.sleep(RELOAD_EVERY)
        try:
            await asyncio.to_thread(sluice.reload, make(turn))
            await asyncio.to_thread(sluice.metrics)
        except AssertionError as error:
            failures.append(str(error))


async def sample_again_and_again(samples, sluice, until, say):
    while (left := until - time.monotonic()) > 0 and sluice.alive():
        await asyncio.to_thread(samples.take)
        second, memory, descriptors, tasks, stacks = samples.rows[-1]
        if len(samples.rows) % 30 == 1:
            say(f"{second:6.0f} s  {memory / 2**20:6.1f} MiB resident  {descriptors:4} descriptors  {tasks:4} tasks")
        await asyncio.sleep(min(EVERY, left))


async def soak(sluice, make, seconds, say):
    """(failures, samples, load): what went wrong, and what was seen."""
    samples, failures = Samples(sluice), []
    load = Load(sluice.address, WIDTH)
    reloads = asyncio.create_task(reload_again_and_again(sluice, make, failures))
    await sample_again_and_again(samples, sluice, time.monotonic() + seconds, say)
    reloads.cancel()
    if sluice.alive():
        await load.stop()
    else:
        failures.append(f"the proxy has ended by itself:\n{sluice.stderr[-8000:]}")
    return failures + load.wrong, samples, load


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("minutes", type=float, nargs="?", default=30)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    arguments = parser.parse_args()
    random.seed(arguments.seed)
    logging.getLogger("asyncio").setLevel(logging.ERROR)  # of sends to who is gone it warns each time
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 8192), hard))
    say = lambda line: print(line, flush=True)  # noqa: E731
    say(f"{BINARY}, {arguments.minutes:g} minutes, {WIDTH} clients at a time, seed {arguments.seed}")

    upstream = subprocess.Popen([*LEASH, sys.executable, str(pathlib.Path(__file__).parent / "upstream.py")], stdout=subprocess.PIPE, text=True)
    app, refusing = f"127.0.0.1:{int(upstream.stdout.readline())}", Refusing()
    make = lambda turn: config(app, refusing.address, turn)  # noqa: E731
    with tempfile.TemporaryDirectory(prefix="sluice-soak-") as directory, Sluice(make(0), directory) as sluice:
        failures, samples, load = asyncio.run(soak(sluice, make, 60 * arguments.minutes, say))
        if sluice.alive():
            answered = sluice.stats()
            try:
                sluice.wait_resting()
                sluice.stop()
            except AssertionError as error:
                failures.append(str(error))
        upstream.kill()
        upstream.wait()
        requests = answered["requests"] if sluice.process.returncode == 0 else {}

    say(f"connections {sum(load.counts.values())}: " + ", ".join(f"{name} {count}" for name, count in load.counts.items()))
    say(f"requests {requests.get('total')}, by status {requests.get('by_status')}, ended early {load.ended_early}")
    for what, early, late, flat in samples.compare():
        say(f"{what:13} early {early:8.1f}  late {late:8.1f}  {'flat' if flat else 'GROWS'}")
        if not flat:
            failures.append(f"{what} grew from {early:.1f} to {late:.1f}")
    for failure in failures[:20]:
        say(f"FAILED: {failure}")
    say(f"soak: {'passed' if not failures else f'failed, {len(failures)} times'}")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
