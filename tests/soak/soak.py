"""`./dev soak [MINUTES]`: the proxy under a mixed load with faults for MINUTES, against the binary with AddressSanitizer:
in the clear and under TLS on both sides, with and without the PROXY protocol, while it is reloaded and clients are banned.
Fails when its memory, descriptors or tasks grow, when a client or the sanitizer sees something wrong, or when anything is
left over in the end. What is compared is how high they went, but for a tenth of the time, in an early part of the run and in the last."""

import argparse
import asyncio
import contextlib
import logging
import math
import os
import pathlib
import random
import resource
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
# The sanitizer holds freed memory back, 256 MiB of it by default: growth would be seen only behind that.
os.environ.setdefault("ASAN_OPTIONS", "quarantine_size_mb=8:detect_stack_use_after_return=0:malloc_context_size=8")
os.environ.setdefault("UBSAN_OPTIONS", "print_stacktrace=1")

from load import Load  # noqa: E402
from support.sluice import BINARY, Sluice  # noqa: E402
from world import World  # noqa: E402

WIDTH = 64
EVERY = 2.0  # seconds between two samples
RELOAD_EVERY = 5.0


class Samples:
    """What the process takes, every few seconds."""

    def __init__(self, sluice):
        self._sluice = sluice
        self._began = time.monotonic()
        self.rows = []  # (second, resident bytes, descriptors, live tasks, stack bytes, heap bytes)

    def take(self):
        stats = self._sluice.stats()
        runtime = stats["runtime"]
        self.rows.append((time.monotonic() - self._began, self._sluice.memory()[0], self._sluice.descriptors(),
                          runtime["tasks"]["live"], runtime["stack_bytes"], stats["process"]["heap_bytes"]))

    def compare(self):
        """(what, early, late, whether that is flat) for each figure."""
        total = self.rows[-1][0]

        def high(column, begin, end):
            values = sorted(row[column] for row in self.rows if begin * total <= row[0] <= end * total)
            return values[len(values) * 9 // 10]

        # A sanitizer's allocator keeps of what was freed ever more, in the sizes that TLS asks for: what is resident says
        # little there, and what is allocated, all.
        kept = math.inf if b"sanitizer" in subprocess.run([BINARY, "version"], capture_output=True, check=True).stdout else 8
        slack = {"resident MiB": (1, 2**20, kept), "heap MiB": (5, 2**20, 4), "descriptors": (2, 1, 40), "tasks": (3, 1, 40),
                 "stacks MiB": (4, 2**20, 4)}
        for what, (column, unit, allowed) in slack.items():
            early, late = (high(column, *part) / unit for part in ((0.15, 0.35), (0.8, 1)))
            yield what, early, late, late <= early * 1.1 + allowed


def operate(sluice, world, turn):
    """What an operator does: a reload, a glance at the metrics, and a ban of an address that no client has, now and then
    lifted again."""
    sluice.reload(world.config(turn))
    sluice.metrics()
    ban = f"/bans/10.1.{turn >> 8 & 255}.{turn & 255}"
    for method, body in [("PUT", '{"for": "20s"}'), ("DELETE", None)][:1 + turn % 2]:
        status, _, said = sluice.ask_admin(method, ban, body)
        assert status == 200, f"{method} {ban}: {status} {said}"


async def operate_again_and_again(sluice, world, failures):
    for turn in range(1, 1 << 30):
        await asyncio.sleep(RELOAD_EVERY)
        try:
            await asyncio.to_thread(operate, sluice, world, turn)
        except AssertionError as error:
            failures.append(str(error))


async def sample_again_and_again(samples, sluice, until, say):
    while (left := until - time.monotonic()) > 0 and sluice.alive():
        await asyncio.to_thread(samples.take)
        second, memory, descriptors, tasks, _, heap = samples.rows[-1]
        if len(samples.rows) % 30 == 1:
            say(f"{second:6.0f} s  {memory / 2**20:6.1f} MiB resident  {heap / 2**20:5.1f} MiB allocated  {descriptors:4} descriptors  {tasks:4} tasks")
        await asyncio.sleep(min(EVERY, left))


async def soak(sluice, world, seconds, say):
    """(failures, samples, load): what went wrong, and what was seen."""
    samples, failures = Samples(sluice), []
    load = Load(world.entrances, WIDTH)
    operator = asyncio.create_task(operate_again_and_again(sluice, world, failures))
    await sample_again_and_again(samples, sluice, time.monotonic() + seconds, say)
    operator.cancel()
    if sluice.alive():
        await load.stop()
    else:
        failures.append(f"the proxy has ended by itself:\n{sluice.stderr[-8000:]}")
    failures += [f"no answer came by {entrance} for {host}" for (entrance, host), count in load.answers.items() if count == 0]
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

    with tempfile.TemporaryDirectory(prefix="sluice-soak-") as directory, contextlib.closing(World(directory)) as world, \
            Sluice(world.config(0), directory) as sluice:
        failures, samples, load = asyncio.run(soak(sluice, world, 60 * arguments.minutes, say))
        stats = sluice.stats() if sluice.alive() else None
        if stats:
            try:
                sluice.wait_resting()
                sluice.stop()
            except AssertionError as error:
                failures.append(str(error))

    say(f"connections {sum(load.counts.values())}: " + ", ".join(f"{name} {count}" for name, count in load.counts.items()))
    say("answers " + ", ".join(f"by {entrance} for {host} {count}" for (entrance, host), count in load.answers.items()))
    if stats:
        say(f"requests {stats['requests']['total']}, by status {stats['requests']['by_status']}, ended early {load.ended_early}")
        say(f"bans {stats['bans']['made']}, handshakes that failed {stats['connections']['handshakes_failed']}")
        failures += [] if stats["bans"]["made"] and "403" in stats["requests"]["by_status"] else ["nobody was banned"]
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
