"""The binary under test: started with a configuration of the test's own, watched, and always ended."""

import contextlib
import http.client
import json
import os
import pathlib
import signal
import socket
import subprocess
import time

from support.client import RawClient, crowd
from support.ports import free_port
from support.wait import DEADLINE, PATIENCE, wait_until

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARY = os.environ.get("SLUICE_BINARY", str(ROOT / "build/release/sluice"))

# Put before a command: the child dies when we do, however we do.
LEASH = ["setpriv", "--pdeathsig", "KILL", "--"]


def run(*arguments, seconds=DEADLINE, environment=None, stdin=None):
    """Runs one command of the binary to its end: .returncode, .stdout and .stderr as text."""
    return subprocess.run([BINARY, *map(str, arguments)], capture_output=True, text=True, timeout=seconds,
                          env={**os.environ, **(environment or {})}, input=stdin)


# How much more memory a sanitizer makes the binary use: shadow bytes, redzones, freed blocks held back.
SANITIZER_MEMORY = float(os.environ.get("SLUICE_TEST_SANITIZER_MEMORY", "1"))


class Unavailable(AssertionError):
    pass


class Sluice:
    """One `sluice run`. `config` is the configuration as a dict; listener and admin get free ports where it names
    none. A context manager and the start_sluice fixture both end it."""

    def __init__(self, config, directory, environment=None, limit_files=None, ready=True, cgroup=None):
        directory = pathlib.Path(directory)
        self.file = directory / "sluice.json"
        self.config = dict(config)
        self.config.setdefault("listen", f"127.0.0.1:{free_port()}")
        if "admin" not in self.config:
            self.config["admin"] = {"address": f"127.0.0.1:{free_port()}"}
        self._write(self.config)
        self._log = directory / "stderr"
        self._stdout = directory / "stdout"
        command = LEASH + (["prlimit", f"--nofile={limit_files}", "--"] if limit_files else [])
        if cgroup:  # a folder of the kernel's: the process joins that group before it is ours
            command = command + ["sh", "-c", f'echo $$ > {cgroup}/cgroup.procs && exec "$@"', "sh"]
        with open(self._log, "wb") as log, open(self._stdout, "wb") as stdout:
            self.process = subprocess.Popen([*command, BINARY, "run", "-c", str(self.file)], stdin=subprocess.DEVNULL,
                                            stdout=stdout, stderr=log, env={**os.environ, **(environment or {})})
        self.admin = _split(self.config["admin"]["address"])
        try:
            self._wait_started(ready)
        except BaseException:
            self.kill()
            raise
        self.resting = self._resting()

    # Where it is, and what it says.

    @property
    def address(self):
        """The first listener, as a socket address."""
        listen = self.config["listen"]
        listen = listen[0] if isinstance(listen, list) else listen
        return _split(listen["address"] if isinstance(listen, dict) else listen)

    @property
    def url(self):
        host, port = self.address
        return f"http://{host}:{port}"

    @property
    def pid(self):
        return self.process.pid

    @property
    def stderr(self):
        return self._log.read_text(errors="replace")

    @property
    def output(self):
        """Standard output and standard error together, for tests that read the log."""
        return self._stdout.read_text(errors="replace") + self.stderr

    def client(self, **options):
        return RawClient(self.address, **options)

    def crowd(self, request, connections, **options):
        return crowd(self.address, request, connections, **options)

    # The admin listener.

    def ask_admin(self, method, path, body=None, headers=None):
        """(status, headers, body as text) of one admin call on a connection of its own."""
        connection = http.client.HTTPConnection(*self.admin, timeout=DEADLINE)
        with contextlib.closing(connection):
            connection.request(method, path, body, headers or {})
            response = connection.getresponse()
            return response.status, response.headers, response.read().decode()

    def admin_json(self, path):
        status, headers, body = self.ask_admin("GET", path)
        assert status == 200, f"GET {path}: {status} {body}"
        assert headers.get_content_type() == "application/json"
        return json.loads(body)

    def stats(self):
        return self.admin_json("/stats")

    def settled(self):
        """stats() with every answer accounted for that a client has seen: a request is counted behind its answer."""
        return wait_until(lambda: (stats := self.stats())["requests"]["in_flight"] == 0 and stats, "all is accounted for")

    def metrics(self):
        status, _, body = self.ask_admin("GET", "/metrics")
        assert status == 200
        return body

    # The process.

    def memory(self):
        """(resident now, resident at its peak) in bytes; of a build with a sanitizer, the share that is taken for ours."""
        values = {}
        for line in pathlib.Path(f"/proc/{self.pid}/status").read_text().splitlines():
            name, _, rest = line.partition(":")
            if name in ("VmRSS", "VmHWM"):
                values[name] = int(int(rest.split()[0]) * 1024 / SANITIZER_MEMORY)
        return values["VmRSS"], values["VmHWM"]

    def cpu_seconds(self):
        """What it has computed so far, in user and system mode."""
        fields = pathlib.Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def alive(self):
        return self.process.poll() is None

    def send_signal(self, number):
        self.process.send_signal(number)

    # Reload.

    def _write(self, config):
        # As an editor does: a new file in the place of the old, never half of one.
        text = config if isinstance(config, str) else json.dumps(config, indent=2)
        fresh = self.file.with_suffix(".new")
        fresh.write_text(text)
        fresh.rename(self.file)

    def write(self, config):
        """Replaces the configuration file; says nothing to the process. Addresses of before are kept where the new
        configuration names none. A string is written as it is."""
        if not isinstance(config, str):
            config = {"listen": self.config["listen"], "admin": self.config["admin"], **config}
            self.config = config
        self._write(config)

    def reload(self, config):
        """Writes the file, asks for a reload and expects it to be taken."""
        self.write(config)
        status, _, body = self.ask_admin("POST", "/reload")
        assert status == 200, f"POST /reload: {status} {body}"

    # The end.

    def wait_exit(self, seconds=DEADLINE):
        try:
            return self.process.wait(seconds * PATIENCE)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"sluice has not exited within {seconds} s") from None

    def stop(self, number=signal.SIGTERM, seconds=DEADLINE):
        """Drains it, and asserts that it exits with 0 in time."""
        if self.alive():
            self.send_signal(number)
        code = self.wait_exit(seconds)
        assert code == 0, f"sluice exited with {code}\n{self.stderr[-4000:]}"
        assert "Sanitizer" not in self.stderr, self.stderr[-8000:]

    def kill(self):
        if self.alive():
            self.process.kill()
        self.process.wait()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.kill()

    # Nothing is left over.

    def wait_resting(self):
        """Waits until no request is in flight, no client is connected, and no task or descriptor is there that was
        not there after the start (idle connections to upstreams may be)."""
        wait_until(lambda: self._is_resting(), _LastSeen(self))

    def _resting(self):
        """(tasks, descriptors) of a proxy with nothing to do."""
        stats = self.stats() if self.config.get("admin") and not self.config["admin"].get("token") else None
        return (stats["runtime"]["tasks"]["live"] if stats else None), self.descriptors()

    def _is_resting(self):
        stats = self.stats()
        servers = [server for upstream in stats["upstreams"] for server in upstream["servers"]]
        idle = sum(server["connections_idle"] for server in servers)
        tasks, descriptors = self.resting
        self.last_seen = {"connections": stats["connections"]["open"], "in_flight": stats["requests"]["in_flight"],
                          "tasks": stats["runtime"]["tasks"]["live"], "tasks_at_start": tasks, "idle": idle,
                          "descriptors": self.descriptors(), "descriptors_at_start": descriptors}
        # Of upstreams: no request at a server, no place taken in the line, no connection open that is not idle.
        self.last_seen["upstreams"] = (sum(server["in_flight"] for server in servers) +
                                       sum(upstream["connections_used"] + upstream["waiting"] for upstream in stats["upstreams"]) +
                                       sum(server["connections_open"] for server in servers) - idle)
        seen = self.last_seen
        return (seen["connections"] == 0 and seen["in_flight"] == 0 and seen["upstreams"] == 0 and seen["tasks"] <= tasks and
                seen["descriptors"] - idle <= descriptors)

    def _wait_started(self, ready):
        end = time.monotonic() + DEADLINE
        while True:
            if not self.alive():
                raise Unavailable(f"sluice exited with {self.process.returncode} at the start:\n{self.stderr[-4000:]}")
            with contextlib.suppress(OSError, http.client.HTTPException):
                status, _, _ = self.ask_admin("GET", "/readyz" if ready else "/healthz")
                if status == 200:
                    return
            if time.monotonic() > end:
                raise Unavailable(f"sluice never became ready:\n{self.stderr[-4000:]}")
            time.sleep(0.005)


class _LastSeen:
    """What wait_resting() saw last, for its failure's message."""

    def __init__(self, sluice):
        self._sluice = sluice

    def __str__(self):
        return f"the proxy is at rest; seen {getattr(self._sluice, 'last_seen', None)}"


def _split(address):
    if address.startswith("unix:"):
        return address[len("unix:"):]
    host, _, port = address.rpartition(":")
    host = host.strip("[]")
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host), int(port)


def connected(address, seconds=DEADLINE):
    """Waits until something listens on (host, port)."""

    def attempt():
        try:
            socket.create_connection(address, 1).close()
            return True
        except OSError:
            return False

    wait_until(attempt, f"a listener on {address}", seconds)
