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

import report

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
    ("parked_small", "the same million, on stacks of 64 KiB", "ms", 1e6, (1,), None),
    ("touched", "the system's share: a million pages, far apart", "ms", 1e6, (1,), None),
    ("touched_dense", "the same, side by side, 16 at a time", "ms", 1e6, (1,), None),
    ("sleeping", "a million tasks sleeping 1 s", "ms", 1e6, (1,), 1.00),
]
BYTES_MAX = 4600
OURS_ALONE = {"touched", "touched_dense"}
AS_GO_DOES = {"parked_small": "parked"}  # rows of ours that are held against another of Go's
OF_GIGABYTES = {"parked", "parked_small", *OURS_ALONE, "sleeping"}
THREAD_ROWS = {"spawn", "yield", "round_trip", "channel", "mutex", "parked"}


def run(command, best, key):
    for name, value in report.run(command).items():
        report.keep_best(best, (key, name), value)


def measure(arguments, ours, threads, go):
    best = {}
    for _ in range(arguments.rounds):
        for name, _, _, _, counts, _ in ROWS:
            if name == "parked_bytes" or (arguments.rows and name not in arguments.rows):
                continue
            for count in counts:
                programs = {"ours": ours} if name in OURS_ALONE or name in AS_GO_DOES else {"ours": ours, "go": go}
                for whose, program in programs.items():
                    if name in OF_GIGABYTES:
                        run([ours, count, "touched", arguments.scale], {}, ())
                    run([program, count, name, arguments.scale], best, (whose, count))
            if name in THREAD_ROWS:
                run([threads, name, arguments.scale], best, ("threads",))
    return best


def verdict(name, ratio, ours, limit):
    if name == "parked_bytes":
        return report.verdict(ours <= BYTES_MAX, f"≤ {BYTES_MAX:,} B")
    if limit is None:
        return ""
    return report.verdict(ratio <= limit, f"≤ {limit:.2f}")


def table(best):
    rows = []
    for name, title, unit, unit_ns, counts, limit in ROWS:
        for count in counts:
            ours, go = best.get((("ours", count), name)), best.get((("go", count), AS_GO_DOES.get(name, name)))
            if ours is None or (go is None and name not in OURS_ALONE):
                continue
            ratio = ours / go if go else None
            threads = best.get((("threads",), name)) if count == counts[-1] and unit != "ms" else None
            rows.append([title, str(count), *(f"{report.text(value, unit_ns)} {unit}" if value else "" for value in (ours, go)),
                         f"{ratio:.2f}" if go else "", verdict(name, ratio, ours, limit),
                         f"{report.text(threads, unit_ns)} {unit}" if threads else ""])
    return report.table(["| | threads | ours | Go | ours / Go | target | a thread each |",
                         "|---|---:|---:|---:|---:|---|---:|"], rows)


def main():
    parser = report.arguments_of("The runtime's figures beside Go's, as a Markdown table.")
    parser.add_argument("--scale", type=float, default=1.0, help="of the number of operations; 1: as Go's table")
    parser.add_argument("rows", nargs="*", choices=[[], *[row[0] for row in ROWS]])
    arguments = parser.parse_args()
    targets = ["runtime_bench", "runtime_threads_bench"]
    with report.built(arguments.build, targets, "runtime.go") as programs:
        print(table(measure(arguments, *programs)))


if __name__ == "__main__":
    main()
