"""The two commands of the README on a new Debian with bash and apt and nothing else installed."""

import contextlib
import http.client
import json
import os
import pathlib
import signal
import subprocess

import pytest

from support.debian import debian_folder
from support.sluice import LEASH, ROOT
from support.wait import wait_until

SOURCES = ["dev", "CMakeLists.txt", "CMakePresets.json", ".clang-format", "cmake", "runtime", "config", "service", "docker",
           "tests"]

# In its own mount and process namespaces: all that runs in there ends with it, and nothing stays mounted.
INSIDE = """
set -e
mount -t proc proc "$0/proc"
mount -t sysfs sysfs "$0/sys"
mount -t tmpfs tmpfs "$0/tmp"
mount --rbind /dev "$0/dev"
exec env -i HOME=/root TERM=dumb PATH=/usr/sbin:/usr/bin:/sbin:/bin chroot "$0" bash -c 'cd /src && exec "$@"' bash "$@"
"""


class Machine:
    def __init__(self, folder):
        self._folder = folder
        (ROOT / "build/log").mkdir(parents=True, exist_ok=True)
        self.log = ROOT / "build/log/fresh-machine"

    def start(self, *command):
        with open(self.log, "w") as log:
            return subprocess.Popen([*LEASH, "unshare", "--mount", "--pid", "--fork", "--kill-child", "bash", "-c", INSIDE,
                                     self._folder, *command], stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def run(self, *command):
        """(exit code, what was printed) of a command in the folder of the sources."""
        code = self.start(*command).wait()
        return code, self.log.read_text()

    def process(self, name):
        """The number, out here, of the process of that name in there."""
        for each in pathlib.Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if os.readlink(each / "root") == str(self._folder) and (each / "comm").read_text() == f"{name}\n":
                    return int(each.name)
        raise LookupError(name)


@pytest.fixture(scope="module")
def machine():
    with debian_folder() as folder:
        (folder / "src").mkdir()
        present = [ROOT / name for name in SOURCES if (ROOT / name).exists()]
        subprocess.run(["cp", "--archive", *present, folder / "src"], check=True)
        yield Machine(folder)


def ask(port, path):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    with contextlib.closing(connection):
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()


def answers(port, path):
    try:
        return ask(port, path)[0] == 200
    except OSError:
        return False


def test_nothing_is_installed(machine):
    for tool in ("g++", "cmake", "ninja", "git", "curl", "sudo", "python3"):
        assert machine.run("bash", "-c", f"command -v {tool}") == (1, "")


def test_dev_run_installs_builds_and_serves_the_demo(machine):
    process = machine.start("./dev", "run")
    try:
        wait_until(lambda: process.poll() is not None or answers(9900, "/readyz"), "the demo serves", seconds=1800)
        assert process.poll() is None, machine.log.read_text()[-4000:]
        statuses = [ask(8080, "/")[0] for _ in range(60)]
        assert statuses[:20] == [200] * 20 and 429 in statuses
        assert ask(8081, "/") == (200, "Hello from the demo application.\n")
        requests = json.loads(ask(9900, "/stats")[1])["limits"][0]
        assert (requests["allowed"], requests["limited"]) == (statuses.count(200), statuses.count(429))
        wait_until(lambda: machine.log.read_text().count("  curl ") == 2, "the two lines to try first")
        assert all(f"http://127.0.0.1:{port}" in machine.log.read_text() for port in (8080, 8081, 9900))
        os.kill(machine.process("sluice"), signal.SIGTERM)
        assert process.wait(15) == 0
    finally:
        process.kill()
        process.wait()


def test_dev_run_again_installs_and_builds_nothing(machine):
    code, printed = machine.run("bash", "-c", "time ./dev install build")
    assert code == 0 and "installing" not in printed
    minutes, seconds = printed.split("real")[1].split()[0].rstrip("s").split("m")
    assert float(minutes) * 60 + float(seconds) < 1
    code, printed = machine.run("./dev", "build")
    assert code == 0 and "Building" not in printed and "Linking" not in printed


def test_dev_test_passes(machine):
    code, printed = machine.run("./dev", "test")
    assert code == 0, printed[-6000:]
    assert "100% tests passed" in printed
    last = printed.splitlines()[-1]
    assert " passed" in last and "failed" not in last and "error" not in last, last
