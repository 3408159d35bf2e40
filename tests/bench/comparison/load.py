"""Loads, each on the CPU that no proxy has: wrk asks as fast as it is answered, h2load at a set rate, openssl with a new
session for each request, and idle connections ask once and then say nothing."""

import contextlib
import dataclasses
import json
import re
import socket
import subprocess

# A line of our own at the end of wrk's output, with what its summary rounds.
DONE = """
done = function(summary, latency)
  local errors = summary.errors
  print(string.format('{"requests": %d, "refused": %d, "broken": %d, "seconds": %.6f}', summary.requests, errors.status,
    errors.connect + errors.read + errors.write + errors.timeout, summary.duration / 1e6))
end
"""
CLOSE = """wrk.headers["Connection"] = "close"\n"""
UPLOAD = """wrk.method, wrk.body = "POST", string.rep("u", 65536)\n"""
RANDOM_CLIENT = """
math.randomseed(os.time())
local number = math.random
request = function()
  local address = string.format("%d.%d.%d.%d", number(1, 223), number(0, 255), number(0, 255), number(1, 254))
  return wrk.format("GET", "/", {["X-Forwarded-For"] = address})
end
"""


@dataclasses.dataclass(frozen=True)
class Answers:
    requests: int
    refused: int  # answered with a status of 400 or more
    broken: int   # not answered
    seconds: float


def closed_loop(port, path, connections, seconds, script, folder, secure):
    """One request at a time on each connection, for so many seconds. Where wrk connects again under TLS, it resumes."""
    lua = folder / "wrk.lua"
    lua.write_text(script + DONE)
    printed = subprocess.run(["taskset", "--cpu-list", "1", "wrk", "--threads", "1", "--connections", str(connections),
                              "--duration", f"{seconds}s", "--timeout", "10s", "--script", lua,
                              f"http{'s' if secure else ''}://127.0.0.1:{port}{path}"], check=True, capture_output=True, text=True).stdout
    return Answers(**json.loads(printed.splitlines()[-1]))


def handshakes(port, path, connections, seconds, script, folder, secure):
    """So many clients, each of which connects with a new session of TLS 1.3, asks once, reads to the end and begins anew."""
    client = ["openssl", "s_time", "-new", "-tls1_3", "-connect", f"127.0.0.1:{port}", "-www", path, "-time", str(seconds)]
    clients = [subprocess.Popen(["taskset", "--cpu-list", "1", *client], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
               for _ in range(connections)]
    printed = [each.communicate()[0] for each in clients]
    requests = sum(int(re.search(r"(\d+) connections in \d+ real seconds", text)[1]) for text in printed)
    return Answers(requests, 0, sum(each.returncode != 0 for each in clients), seconds)


def latencies(port, connections, per_second, seconds, folder):
    """Microseconds of every 200 at a rate that each connection keeps to, sorted."""
    log = folder / "h2load.log"
    log.unlink(missing_ok=True)
    subprocess.run(["taskset", "--cpu-list", "1", "h2load", "--h1", "--clients", str(connections), "--rps",
                    str(per_second), "--duration", str(seconds), f"--log-file={log}", f"http://127.0.0.1:{port}/"],
                   check=True, capture_output=True)
    rows = (line.split("\t") for line in log.read_text().splitlines())
    return sorted(int(taken) for _, status, taken in rows if status == "200")


@contextlib.contextmanager
def idle_connections(port, count):
    """Connections kept open, each after one answered request; from several addresses, for there are more of them than
    one address has ports to spare."""
    with contextlib.ExitStack() as stack:
        for number in range(count):
            connection = stack.enter_context(
                socket.create_connection(("127.0.0.1", port), 10, source_address=(f"127.0.2.{1 + number // 2000}", 0)))
            connection.sendall(b"GET / HTTP/1.1\r\nHost: bench\r\n\r\n")
            answer = connection.recv(65536)
            if not answer.startswith(b"HTTP/1.1 200"):
                raise RuntimeError(f"an idle connection was answered {answer[:60]!r}")
        yield
