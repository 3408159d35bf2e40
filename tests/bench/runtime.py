#!/usr/bin/env python3
"""The runtime's own figures beside Go's and beside plain threads, as a Markdown table.

    tests/bench/runtime.py [--build build/release] [--rounds 3] [--scale 1.0] [ROW...]

Builds runtime_bench and runtime_threads_bench in the build folder and go/runtime.go in a temporary one, runs
every row in a process of its own, the programs in turns, and takes the best of the rounds: what else runs on
the machine only ever adds. A ratio is ours divided by Go's with as many threads.

Before a row that takes gigabytes, a program touches as many and ends: the host of a virtual machine gives memory at the
first touch and takes it back within a minute of disuse, and who came first would pay for it, several times what the
row is about.
"""

import argparse
import pathlib
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent

# name, title, unit, nanoseconds in a unit, with how many threads, most that ours may be of Go's
ROWS = [
    ("spawn", "spawn and exit", "ns", 1, (1, 2), 0.33),
    ("yield", "yield", "ns", 1, (1, 2), 0.25),
    ("round_trip", "unbuffered channel, round trip", "ns", 1, (1, 2), 0.40),
    ("channel", "channel of 100, per item", "ns", 1, (1, 2), 0.60),
    ("mutex", "mutex, 100 tasks, per lock", "ns", 1, (1, 2), 1.00),
    ("skynet", "skynet, a million tasks", "ms", 1e6, (1, 2), 0.50),
    ("parked", "a million parked tasks", "ms", 1e6, (1,), 0.50),
    ("parked_bytes", "the same, memory of each", "B", 1, (1,), None),
    ("touched", "the kernel's share: a million pages, far apart", "ms", 1e6, (1,), None),
    ("sleeping", "a million tasks sleeping 1 s", "ms", 1e6, (1,), 1.00),
]
BYTES_MAX = 4600
OURS_ALONE = {"touched"}
OF_GIGABYTES = {"parked", "touched", "sleeping"}
THREAD_ROWS = {"spawn", "yield", "round_trip", "channel", "mutex", "parked"}


def build(folder, temporary):
    subprocess.run(["cmake", "--build", folder, "--target", "runtime_bench", "runtime_threads_bench"],
                   check=True, stdout=subprocess.DEVNULL)
    go = temporary / "go_runtime"
    subprocess.run(["go", "build", "-o", go, HERE / "go" / "runtime.go"], check=True)
    programs = folder / "tests" / "bench"
    return programs / "runtime_bench", go, programs / "runtime_threads_bench"


def run(command, best, key):
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=600)
    if done.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))}: {done.stderr.strip()}")
    for line in done.stdout.splitlines():
        name, value = line.split("\t")
        at = (key, name)
        best[at] = min(best.get(at, float("inf")), float(value))


def measure(arguments, ours, go, threads):
    best = {}
    for _ in range(arguments.rounds):
        for name, _, _, _, counts, _ in ROWS:
            if name == "parked_bytes" or (arguments.rows and name not in arguments.rows):
                continue
            for count in counts:
                programs = {"ours": ours} if name in OURS_ALONE else {"ours": ours, "go": go}
                for whose, program in programs.items():
                    if name in OF_GIGABYTES:
                        run([ours, count, "touched", arguments.scale], {}, ())
                    run([program, count, name, arguments.scale], best, (whose, count))
            if name in THREAD_ROWS:
                run([threads, name, arguments.scale], best, ("threads",))
    return best


def text(value, unit_ns):
    if value is None:
        return ""
    value /= unit_ns
    return f"{value:,.1f}" if value < 100 else f"{value:,.0f}"


def verdict(name, ratio, ours, limit):
    if name == "parked_bytes":
        return f"{'reached' if ours <= BYTES_MAX else 'MISSED'} (≤ {BYTES_MAX:,} B)"
    if limit is None:
        return ""
    return f"{'reached' if ratio <= limit else 'MISSED'} (≤ {limit:.2f})"


def table(best):
    lines = ["| | threads | ours | Go | ours / Go | target | a thread each |", "|---|---:|---:|---:|---:|---|---:|"]
    for name, title, unit, unit_ns, counts, limit in ROWS:
        for count in counts:
            ours, go = best.get((("ours", count), name)), best.get((("go", count), name))
            if ours is None or (go is None and name not in OURS_ALONE):
                continue
            ratio = ours / go if go else None
            threads = best.get((("threads",), name)) if count == counts[-1] and unit != "ms" else None
            lines.append(f"| {title} | {count} | {text(ours, unit_ns)} {unit} | {text(go, unit_ns)}{f' {unit}' if go else ''} | "
                         f"{f'{ratio:.2f}' if go else ''} | {verdict(name, ratio, ours, limit)} | "
                         f"{text(threads, unit_ns)}{' ' + unit if threads else ''} |")
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description="The runtime's figures beside Go's, as a Markdown table.")
    parser.add_argument("--build", type=pathlib.Path, default=ROOT / "build" / "release")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--scale", type=float, default=1.0, help="of the number of operations; 1: as Go's table")
    parser.add_argument("rows", nargs="*", choices=[[], *[row[0] for row in ROWS]])
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="sluice-bench-") as temporary:
        programs = build(arguments.build, pathlib.Path(temporary))
        print(table(measure(arguments, *programs)))


if __name__ == "__main__":
    main()
