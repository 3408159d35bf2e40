"""What limit.py and runtime.py share: they build our programs and Go's, run them, and print a Markdown table.

A program prints a figure on each line: its name, a tab, its value."""

import argparse
import contextlib
import os
import pathlib
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent


def arguments_of(description):
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--build", type=pathlib.Path, default=ROOT / "build" / "release")
    parser.add_argument("--rounds", type=int, default=3)
    return parser


@contextlib.contextmanager
def built(folder, targets, go_source, go_environment=None):
    """Builds `targets` in the build folder, and go/`go_source` in a temporary one; their paths, Go's last."""
    with tempfile.TemporaryDirectory(prefix="sluice-bench-") as temporary:
        subprocess.run(["cmake", "--build", folder, "--target", *targets], check=True, stdout=subprocess.DEVNULL)
        go = pathlib.Path(temporary) / "go_bench"
        environment = os.environ | {"GOCACHE": str(pathlib.Path(temporary) / "cache"), **(go_environment or {})}
        subprocess.run(["go", "build", "-o", go, HERE / "go" / go_source], check=True, env=environment)
        yield [*(folder / "tests" / "bench" / target for target in targets), go]


def run(command):
    """The figures that the program prints; ends ours when it fails."""
    command = [str(word) for word in command]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)}: {done.stderr.strip()}")
    return {name: float(value) for name, value in (line.split("\t") for line in done.stdout.splitlines())}


def keep_best(best, at, value, choose=min):
    best[at] = choose(best.get(at, value), value)


def text(value, unit=1):
    if value is None:
        return ""
    value /= unit
    return f"{value:,.1f}" if value < 100 else f"{value:,.0f}"


def verdict(reached, bound):
    return f"{'reached' if reached else 'MISSED'} ({bound})"


def table(head, rows):
    return "\n".join([*head, *("| " + " | ".join(row) + " |" for row in rows)])
