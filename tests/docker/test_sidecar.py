"""docker/compose.yaml for real: an application, and Sluice as its sidecar. In order, to the stop."""

import http.client
import json
import time

from support.docker import docker
from support.wait import wait_until

BURST, PER_SECOND = 20, 10


def ask(stack):
    """(status, headers, body) of one request through the published port."""
    connection = http.client.HTTPConnection("127.0.0.1", stack.port, timeout=10)
    try:
        connection.request("GET", "/")
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()
    finally:
        connection.close()


def stats(stack):
    """/stats, asked for where the admin listener is: on the loopback of the two containers."""
    program = "import urllib.request; print(urllib.request.urlopen('http://127.0.0.1:9900/stats').read().decode())"
    return json.loads(docker("exec", stack.container("app"), "python3", "-c", program))


def test_requests_reach_the_application(stack):
    def attempt():
        try:
            return ask(stack)[0] == 200
        except (OSError, http.client.HTTPException):
            return False  # the port is published before anything listens behind it

    wait_until(attempt, "an answer through the sidecar", seconds=30)
    _, _, body = ask(stack)
    assert body == b"Hello from the application.\n"


def test_a_client_gets_its_burst_and_is_then_refused(stack):
    before, start = stats(stack)["requests"], time.monotonic()
    answers = [ask(stack) for _ in range(60)]
    seconds = time.monotonic() - start
    admitted = [answer for answer in answers if answer[0] == 200]
    refused = [answer for answer in answers if answer[0] == 429]
    assert len(admitted) + len(refused) == 60
    assert refused and len(admitted) <= BURST + seconds * PER_SECOND + 1
    assert int(refused[0][1]["Retry-After"]) >= 1
    assert json.loads(refused[0][2])["violated-policies"] == ["per-ip"]
    after = stats(stack)["requests"]
    assert after["allowed"] - before["allowed"] == len(admitted)
    assert after["limited"] - before["limited"] == len(refused)


def test_the_application_is_closed_to_the_outside(stack):
    app = stack.container("app")
    published = {line.split(" ")[0] for line in docker("port", app).splitlines()}
    assert published == {"8080/tcp"}
    table = docker("exec", app, "cat", "/proc/net/tcp", "/proc/net/tcp6").splitlines()
    listening = {row.split()[1] for row in table if row.split()[3] == "0A"}
    assert [local for local in listening if local.endswith(f":{3000:04X}")] == [f"0100007F:{3000:04X}"]
    assert f"0100007F:{9900:04X}" in listening


def test_the_stats_command_works_in_the_container(stack):
    assert "per-ip" in docker("exec", stack.container("sluice"), "sluice", "stats")


def test_it_is_found_healthy(stack):
    container = stack.container("sluice")
    wait_until(lambda: docker("inspect", "--format", "{{.State.Health.Status}}", container) == "healthy", "healthy",
               seconds=60)


def test_it_stops_within_the_drain_time_and_exits_with_zero(stack):
    container, start = stack.container("sluice"), time.monotonic()
    docker("stop", "--time", 15, container)
    assert time.monotonic() - start < 10
    assert docker("inspect", "--format", "{{.State.ExitCode}} {{.State.OOMKilled}}", container) == "0 false"
