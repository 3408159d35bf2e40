#!/usr/bin/python3
"""Sluice beside nginx, HAProxy, a proxy in Go and the kernel's own share, on the same work in one run.

The proxy under test has CPU 0, the load and the upstream have CPU 1. What is compared is the CPU time that the proxy
spends on a request, user and system together; each ratio is the median of the ratios of single rounds. On a quiet
machine, please, without a Docker daemon: its packet filter makes every packet dearer. Ends with a Markdown table."""

import argparse
import json
import pathlib
import shutil
import statistics
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

from comparison.proxies import present
from comparison.scenarios import SCENARIOS, Run

BINARY = pathlib.Path(__file__).resolve().parents[2] / "build/release/sluice"


def arguments():
    parser = argparse.ArgumentParser(prog="./dev bench proxy", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sluice", default=BINARY, type=pathlib.Path, help="the binary; \"\" measures the peers alone")
    parser.add_argument("--only", default=",".join(SCENARIOS), help="scenarios, by commas: %(default)s")
    parser.add_argument("--peers", default="kernel,nginx,haproxy,go", help="by commas: %(default)s")
    parser.add_argument("--seconds", "--secs", type=int, default=4, help="of each round (%(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="after one to get warm (%(default)s)")
    parser.add_argument("--connections", type=int, default=64, help="of the load (%(default)s)")
    parser.add_argument("--idle", type=int, default=4000, help="connections of the scenario idle (%(default)s)")
    parser.add_argument("--json", type=pathlib.Path, help="write every figure of every round there")
    options = parser.parse_args()
    options.only = options.only.split(",")
    if unknown := set(options.only) - set(SCENARIOS):
        parser.error(f"no scenario {', '.join(sorted(unknown))}")
    return options


def median(rows, key="figure"):
    return statistics.median(row[key] for row in rows)


def ratio(ours, theirs):
    pairs = [(own["figure"], other["figure"]) for own, other in zip(ours, theirs) if other["figure"] > 0]
    return statistics.median(own / other for own, other in pairs) if pairs else None


def amiss(rows):
    """Answers that are not the scenario's, beyond those that a limit of one a second lets through."""
    return any(row.get("as expected", 1) < 0.99 or row.get("unanswered", 0) > 0 for row in rows)


def number(value):
    return f"{value:,.0f}" if value >= 100 else f"{value:.2f}"


def tell(scenario, measured):
    for name, rows in measured.items():
        rest = "  ".join(f"{key} {number(median(rows, key))}" for key in rows[0] if key != "figure")
        print(f"  {name:8} {number(median(rows)):>10} {scenario.unit:11} {rest}{'  AMISS' if amiss(rows) else ''}", flush=True)


def table(results, names):
    """Figures of each proxy, and Sluice's as a share of each peer's."""
    peers = [name for name in names if name != "Sluice"]
    shares = peers if "Sluice" in names else []
    yield "| | unit | " + " | ".join(names) + "".join(f" | ÷ {name}" for name in shares) + " |"
    yield "|---|---|" + "---:|" * (len(names) + len(shares))
    for scenario, measured in results:
        cells = [number(median(measured[name])) if name in measured else "" for name in names]
        for name in shares:
            share = ratio(measured["Sluice"], measured[name]) if name in measured else None
            cells.append(f"{share:.2f}" if share else "")
        yield f"| {scenario.what} | {scenario.unit} | " + " | ".join(cells) + " |"


def main():
    options = arguments()
    binary = options.sluice if str(options.sluice) not in ("", ".") else None
    proxies = present(binary, options.peers.lower().split(","))
    folder = pathlib.Path(tempfile.mkdtemp(prefix="sluice-bench-"))
    folder.chmod(0o755)  # workers of nginx, which are not root, read the files
    results, failed = [], False
    try:
        run = Run(proxies, folder, options.seconds, options.rounds, options.connections, options.idle)
        for name in options.only:
            scenario = SCENARIOS[name]
            print(f"{name}: {scenario.what}", flush=True)
            measured = run.measure(scenario)
            results.append((scenario, measured))
            failed = failed or any(amiss(rows) for rows in measured.values())
            tell(scenario, measured)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        if options.json:
            options.json.write_text(json.dumps({each.name: measured for each, measured in results}, indent=1))
    print("\n" + "\n".join(table(results, [proxy.name for proxy in proxies])))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
