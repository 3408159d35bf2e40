#!/usr/bin/env python3
"""The limiter's own figures beside Go's (golang.org/x/time/rate, a map, a mutex), as a Markdown table.

    tests/bench/limit.py [--build build/release] [--rounds 3] [--clients 1000000] [--ten-million]

Builds limit_bench in the build folder and go/limit.go in a temporary one, runs every row in a process of its own, the two
programs in turns, and takes the best of the rounds: what else runs on the machine only ever takes. A ratio is ours
divided by Go's. Before each, half a gigabyte is touched and let go: the host of a virtual machine gives memory at the
first touch and takes it back when it is idle, and who came first would pay for it.
"""

import mmap

import report

# row, threads, figure, title, unit, whether more is better, what is to be reached
ROWS = [
    ("hot", 1, "hot", "a known client, hot, with reading the clock", "ns", False, None),
    ("decision", 1, "decision", "a known client, hot, the decision alone", "ns", False, ("ours", 60)),
    ("random", 1, "random", "decisions a second, clients at random, 1 thread", "million", True, ("ratio", 10)),
    ("random", 2, "random", "decisions a second, clients at random, 2 threads", "million", True, ("ratio", 10)),
    ("read", 1, "read", "the machine's share: one read at random, in as much memory", "ns", False, None),
    ("first", 1, "first", "first sight of a client", "ns", False, ("ratio", 0.25)),
    ("first", 1, "bytes", "resident bytes for a client", "B", False, ("ratio", 0.25)),
    ("first", 1, "longest_first", "longest of eight first sights", "µs", False, None),
    ("sweep", 1, "sweep", "longest wait while all are swept, 1 worker", "µs", False, ("ours", 1000)),
    ("sweep", 2, "sweep", "longest wait while all are swept, 2 workers", "µs", False, ("ours", 1000)),
    ("tail", 2, "tail_without", "p99.9 of decisions, ten million clients", "µs", False, None),
    ("tail", 2, "tail_with", "p99.9 of decisions while half of them are swept", "µs", False, ("tail_without", 2)),
]
OURS_ALONE = {"decision", "read", "tail"}
UNITS = {"ours": "", "ratio": " × Go", "tail_without": " × without"}  # of a target
CLIENTS = {"tail": 10_000_000}  # where it is not --clients


def touch(size):
    with mmap.mmap(-1, size) as memory:
        for at in range(0, size, mmap.PAGESIZE):
            memory[at] = 1


def run(program, row, clients, threads):
    touch(512 << 20)
    return report.run([program, row, clients, threads])


def measure(programs, rounds, clients):
    """The best of all rounds: {(program, row, threads, figure): value}."""
    best = {}
    more_is_better = {figure: more for _, _, figure, _, _, more, _ in ROWS}
    for _ in range(rounds):
        for row, threads in dict.fromkeys((row, threads) for row, threads, *_ in ROWS):
            for name, program in programs.items():
                if name == "go" and row in OURS_ALONE:
                    continue
                for figure, value in run(program, row, CLIENTS.get(row, clients), threads).items():
                    choose = max if more_is_better.get(figure) else min
                    report.keep_best(best, (name, row, threads, figure), value, choose)
    return best


def verdict(target, ours, ratio, without, more):
    if target is None:
        return ""
    kind, bound = target
    value = {"ours": ours, "ratio": ratio, "tail_without": without and ours / without}[kind]
    reached = value >= bound if more else value <= bound
    sign = "≥" if more else "≤"
    return report.verdict(reached, f"{sign} {bound}{UNITS[kind]}")


def table(best):
    rows = []
    for row, threads, figure, title, unit, more, target in ROWS:
        ours, go = best.get(("ours", row, threads, figure)), best.get(("go", row, threads, figure))
        ratio = ours / go if go else None
        without = best.get(("ours", row, threads, "tail_without"))
        rows.append([title, f"{report.text(ours)} {unit}", f"{report.text(go)} {unit}" if go else "",
                     f"{ratio:.3f}" if ratio and ratio < 0.1 else f"{ratio:.2f}" if ratio else "",
                     verdict(target, ours, ratio, without, more)])
    return report.table(["| | ours | Go | ours / Go | target |", "|---|---:|---:|---:|---|"], rows)


def main():
    parser = report.arguments_of("The limiter's figures beside Go's, as a Markdown table.")
    parser.add_argument("--clients", type=int, default=1_000_000)
    parser.add_argument("--ten-million", action="store_true", help="ours with ten million clients as well")
    arguments = parser.parse_args()
    go_environment = {"GO111MODULE": "off", "GOPATH": "/usr/share/gocode"}
    with report.built(arguments.build, ["limit_bench"], "limit.go", go_environment) as (ours, go):
        print(table(measure({"ours": ours, "go": go}, arguments.rounds, arguments.clients)))
        if arguments.ten_million:
            first = run(ours, "first", 10_000_000, 1)
            print(f"\nTen million clients, ours: {report.text(first['bytes'])} B resident for each.")


if __name__ == "__main__":
    main()
