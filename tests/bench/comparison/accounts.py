"""What the kernel has written down about a process and its children: CPU time and memory; and starting them on CPUs
of our choice."""

import contextlib
import os
import pathlib
import socket
import subprocess
import time

TICK = 1 / os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")


class Process:
    """A program bound to `cpus` ("0", "0,1"), ended with the block it was started in."""

    def __init__(self, command, cpus, log):
        self._log = log
        self._process = subprocess.Popen(["setpriv", "--pdeathsig", "TERM", "taskset", "--cpu-list", cpus, *map(str, command)],
                                         stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=log)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(15)
        self._process.kill()
        self._process.wait()

    def wait_listening(self, port, seconds=20):
        end = time.monotonic() + seconds
        while self._process.poll() is None and time.monotonic() < end:
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", port), 1).close()
                return
            time.sleep(0.01)
        raise RuntimeError(f"nothing listens on port {port}: {pathlib.Path(self._log.name).read_text()[-1000:]}")

    def _family(self):
        pids = [self._process.pid]
        for pid in pids:
            with contextlib.suppress(OSError):
                for children in pathlib.Path(f"/proc/{pid}/task").glob("*/children"):
                    pids.extend(map(int, children.read_text().split()))
        return pids

    def cpu_seconds(self):
        """(user, system) spent so far, by all threads that are or were."""
        user = system = 0
        for pid in self._family():
            fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            user, system = user + int(fields[11]), system + int(fields[12])
        return user * TICK, system * TICK

    def resident_bytes(self):
        return sum(int(pathlib.Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE for pid in self._family())
