"""The commands of runtime/gdb_tasks.py in a real gdb. Without gdb there is nothing to test: they are skipped."""

import os
import pathlib
import re
import shutil
import subprocess

import pytest

SCRIPT = pathlib.Path(__file__).parents[2] / "runtime/gdb_tasks.py"
PROGRAM = os.environ.get("SLUICE_GDB_EXAMPLE", "")

pytestmark = pytest.mark.skipif(shutil.which("gdb") is None or not PROGRAM, reason="no gdb here, or no program was named")


def gdb(*commands):
    arguments = ["gdb", "-nx", "-q", "-batch", "-ex", "set debuginfod enabled off", "-ex", "run", "-ex", f"source {SCRIPT}"]
    for command in commands:
        arguments += ["-ex", command]
    done = subprocess.run([*arguments, PROGRAM], capture_output=True, text=True, timeout=60)
    return done.stdout + done.stderr


def test_tasks_are_listed_with_what_they_wait_for():
    text = gdb("sluice-tasks")
    assert len(re.findall(r"^\d+ parked in channel receive on 0x\w+, spawned at \S*gdb_example.cpp:\d+$", text, re.M)) == 2, text
    assert re.search(r"^\d+ parked in sleep on 0x0, spawned at \S*gdb_example.cpp:\d+$", text, re.M), text
    assert re.search(r"^\d+ running, spawned at \S+:\d+$", text, re.M), text


def test_a_parked_task_has_frames():
    listed = gdb("sluice-tasks")
    waiting = re.search(r"^(\d+) parked in channel receive", listed, re.M)[1]
    text = gdb(f"sluice-frames {waiting}")
    assert re.search(r"^#\d+ 0x\w+ .*wait_for_a_word", text, re.M), text
    assert "there is no task 999999" in gdb("sluice-frames 999999")
