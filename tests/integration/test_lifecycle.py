"""Start, reload, drain, stop: under load, with no request lost."""

import fcntl
import json
import os
import pathlib
import re
import select
import shutil
import signal
import socket
import subprocess
import threading
import time

import pytest

from support.client import RawClient, crowd, get
from support.ports import free_port
from support.sluice import BINARY, LEASH, SANITIZER_MEMORY, Sluice, connected
from support.upstream import response
from support.wait import PATIENCE, wait_until
from support.wire import Ended

OK = response(body=b"ok")


class Load:
    """Keep-alive clients that ask one request after the other until told to end. Whatever is not a 200 is kept, but
    for a connection that ends between two requests when `may_close`: that is the proxy's right while it drains."""

    def __init__(self, address, connections, may_close=False):
        self.answered = 0
        self.failures = []
        self._address, self._may_close = address, may_close
        self._over = threading.Event()
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._run, daemon=True) for _ in range(connections)]
        for thread in self._threads:
            thread.start()

    def _run(self):
        try:
            client = RawClient(self._address)
            while not self._over.is_set():
                try:
                    answer = client.get()
                except (Ended, ConnectionError) as error:
                    if self._may_close and not client.wire.unread:
                        return
                    raise error
                with self._lock:
                    self.answered += 1
                if answer.status != 200:
                    self.failures.append(answer.raw_head)
                    return
                if answer.has("Connection"):
                    if self._may_close:
                        return
                    client = RawClient(self._address)
        except Exception as error:
            self.failures.append(repr(error))

    def wait_for(self, more):
        """Returns when `more` further requests were answered."""
        target = self.answered + more
        wait_until(lambda: self.answered >= target or self.failures, f"{more} more answers")

    def end(self):
        self._over.set()
        for thread in self._threads:
            thread.join()
        assert not self.failures, f"{len(self.failures)} requests failed: {self.failures[:3]}"
        return self.answered


def holding(go_on):
    """Answers /slow when the event is set, and all else at once."""

    def script(connection):
        while request := connection.read_request():
            if request.target == "/slow":
                go_on.wait()
            connection.send(OK)

    return script


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_drain_finishes_what_is_in_flight(pair, number):
    go_on = threading.Event()
    proxy = pair(holding(go_on))
    slow = [proxy.client() for _ in range(5)]
    for client in slow:
        client.send(get("/slow"))
    proxy.upstream.wait_for_requests(5)
    proxy.sluice.send_signal(number)
    wait_until(lambda: proxy.sluice.ask_admin("GET", "/readyz")[0] == 503, "draining")
    assert proxy.sluice.ask_admin("GET", "/healthz")[0] == 200
    assert proxy.sluice.alive()
    go_on.set()
    for client in slow:
        answer = client.read()
        assert answer.status == 200 and answer.one("Connection").lower() == "close"
        client.expect_close()
    assert proxy.sluice.wait_exit() == 0


def test_the_log_tells_where_it_really_listens(scripted, tmp_path):
    """Where the kernel was to choose a port."""
    file, log = tmp_path / "sluice.json", tmp_path / "stderr"
    listen = ["127.0.0.1:0", "[::1]:0", "0.0.0.0:0", f"unix:{tmp_path}/socket"]
    file.write_text(json.dumps({"listen": listen, "upstream": scripted().address, "check": "127.0.0.1:0", "admin": {"address": "127.0.0.1:0"}}))
    with log.open("wb") as stderr:
        process = subprocess.Popen([*LEASH, BINARY, "run", "-c", file], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=stderr)
    try:
        wait_until(lambda: '"message":"serving"' in log.read_text() and log.read_text().endswith("\n"), "it serves")
        line, = (line for line in map(json.loads, log.read_text().splitlines()) if line["message"] == "serving")
        addresses = [*line["listen"].split(", "), line["check"], line["admin"]]
        assert addresses.pop(3) == listen[3]
        assert [address.rpartition(":")[0] for address in addresses] == ["127.0.0.1", "[::1]", "0.0.0.0", "127.0.0.1", "127.0.0.1"]
        sockets = subprocess.run(["ss", "-Hltnp"], capture_output=True, text=True).stdout
        bound = {line.split()[3] for line in sockets.splitlines() if f"pid={process.pid}," in line}
        assert bound == set(addresses)
    finally:
        process.kill()
        process.wait()


def test_a_reload_in_a_drain_is_no_error(pair):
    """The file may well change, by a rollout, while the old process ends."""
    go_on = threading.Event()
    proxy = pair(holding(go_on))
    client = proxy.client()
    client.send(get("/slow"))
    proxy.upstream.wait_for_requests(1)
    proxy.sluice.send_signal(signal.SIGTERM)
    wait_until(lambda: proxy.sluice.ask_admin("GET", "/readyz")[0] == 503, "draining")
    proxy.sluice.send_signal(signal.SIGHUP)
    wait_until(lambda: "not reloaded" in proxy.sluice.output, "it is told")
    assert '"level":"error"' not in proxy.sluice.output
    assert proxy.sluice.ask_admin("POST", "/reload")[0] == 422, "who asks for an answer gets one"
    assert proxy.sluice.stats()["config"]["reloads"] == 0, "nor counted as one that failed"
    go_on.set()
    assert client.read().status == 200
    assert proxy.sluice.wait_exit() == 0


def test_a_drain_waits_for_a_body_on_its_way(pair):
    go_on = threading.Event()

    def script(connection):
        connection.read_request()
        connection.send(b"HTTP/1.1 200 Fine\r\nContent-Length: 10\r\n\r\nhello")
        go_on.wait()
        connection.send(b"world")
        connection.hang()

    proxy = pair(script)
    client = proxy.client()
    client.send(get())
    client.read_head()
    proxy.sluice.send_signal(signal.SIGTERM)
    wait_until(lambda: proxy.sluice.ask_admin("GET", "/readyz")[0] == 503, "draining")
    go_on.set()
    assert client.wire.rest() == b"helloworld"
    assert proxy.sluice.wait_exit() == 0


def test_a_drain_ends_in_time(pair):
    proxy = pair(holding(threading.Event()), timeouts={"drain": "500ms"})
    client = proxy.client()
    client.send(get("/slow"))
    proxy.upstream.wait_for_requests(1)
    start = time.monotonic()
    proxy.sluice.send_signal(signal.SIGTERM)
    assert proxy.sluice.wait_exit() == 0
    assert 0.4 < time.monotonic() - start < 3 * PATIENCE


def test_a_second_signal_exits_at_once(pair):
    proxy = pair(holding(threading.Event()), timeouts={"drain": "60s"})
    client = proxy.client()
    client.send(get("/slow"))
    proxy.upstream.wait_for_requests(1)
    proxy.sluice.send_signal(signal.SIGTERM)
    wait_until(lambda: proxy.sluice.ask_admin("GET", "/readyz")[0] == 503, "draining")
    assert proxy.sluice.alive()
    start = time.monotonic()
    proxy.sluice.send_signal(signal.SIGTERM)
    proxy.sluice.wait_exit()
    assert time.monotonic() - start < 1 * PATIENCE


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT])
def test_whoever_asks_again_at_the_very_end_changes_nothing(pair, number):
    """The drain is over, and the process takes itself apart: it ends with 0, not by the signal."""
    proxy = pair()
    assert proxy.client().get().status == 200
    proxy.sluice.send_signal(signal.SIGTERM)
    while proxy.sluice.alive():
        if '"message":"stopped"' in proxy.sluice.output:
            proxy.sluice.send_signal(number)
    assert proxy.sluice.wait_exit() == 0


@pytest.mark.skipif(SANITIZER_MEMORY != 1, reason="a sanitizer's own memory would be the first to fail")
def test_a_file_that_takes_more_memory_than_there_is_changes_nothing_and_the_next_is_taken(pair):
    proxy = pair()
    pages = int(pathlib.Path(f"/proc/{proxy.sluice.pid}/statm").read_text().split()[0])
    subprocess.run(["prlimit", "--pid", str(proxy.sluice.pid), f"--as={pages * 4096 + (100 << 20)}:"], check=True)
    proxy.sluice.write('{"limits": [' + "{}," * 1_300_000 + "{}]}")
    wait_until(lambda: "out of memory" in proxy.sluice.output, "it is told")
    assert proxy.client().get().status == 200
    proxy.sluice.write({"routes": [{"respond": {"status": 418}}]})
    wait_until(lambda: proxy.client().get().status == 418, "the watch goes on")


def test_too_few_descriptors_for_what_is_configured_are_told(pair):
    proxy = pair(sluice_options={"limit_files": 500})
    def warnings():
        return [line for line in map(json.loads, proxy.sluice.stderr.splitlines()) if line["level"] == "warn"]

    warning, = wait_until(warnings, "it is told")
    assert (warning["descriptors"], warning["needed"]) == (500, 64 + 20000 + 1024)
    few = {**proxy.sluice.config, "max": {"connections": 100}, "upstreams": {"default": {"servers": [proxy.upstream.address], "max_connections": 50}}}
    del few["upstream"]
    proxy.sluice.reload({**few, "routes": [{"upstream": "default"}]})
    assert len(warnings()) == 1, "now they suffice"


def test_idle_connections_do_not_hold_a_drain_up(pair):
    proxy = pair()
    clients = [proxy.client() for _ in range(400)]
    assert [client.get().status for client in clients] == [200] * 400
    start = time.monotonic()
    proxy.sluice.stop()
    assert time.monotonic() - start < 2 * PATIENCE
    for client in clients:
        client.expect_close()


def test_a_drain_under_load_loses_no_request(pair):
    proxy = pair()
    load = Load(proxy.sluice.address, 32, may_close=True)
    load.wait_for(500)
    proxy.sluice.stop()
    assert load.end() >= 500
    assert len(proxy.upstream.requests) == load.answered


def test_a_stopped_proxys_port_can_be_taken_at_once(pair, start_sluice):
    proxy = pair()
    client = proxy.client()
    assert client.get().status == 200
    proxy.sluice.stop()
    again = start_sluice(proxy.sluice.config)
    with again.client() as client:
        assert client.get().status == 200
    again.stop()


def reload_by_signal(sluice, config):
    """Writes the file, sends SIGHUP and waits until /config shows that it is in force."""
    mark = sluice.config.get("max", {}).get("headers", 100) % 1000 + 1
    sluice.write({**config, "max": {"headers": mark}})
    sluice.send_signal(signal.SIGHUP)
    wait_until(lambda: sluice.admin_json("/config")["max"]["headers"] == mark, "the new configuration in force")


@pytest.mark.parametrize("way", ["SIGHUP", "POST"])
def test_reloads_under_load_lose_no_request(pair, way):
    proxy = pair()
    config = {key: proxy.sluice.config[key] for key in ("upstream", "log")}
    load = Load(proxy.sluice.address, 32)
    load.wait_for(100)
    for n in range(10):
        changed = {**config, "limits": [{"name": f"limit-{n % 3}", "rate": "1000000/s"}]}
        if way == "POST":
            proxy.sluice.reload(changed)
        else:
            reload_by_signal(proxy.sluice, changed)
        load.wait_for(50)
    assert load.end() >= 600
    assert proxy.sluice.stats()["connections"]["accepted"] == 32, "a reload cost a connection"


def test_a_reload_takes_effect_on_open_connections(pair):
    proxy = pair()
    client = proxy.client()
    assert client.get().status == 200
    proxy.sluice.reload({"routes": [{"respond": {"status": 418}}]})
    assert client.get().status == 418
    proxy.sluice.reload({"upstream": proxy.upstream.address, "limits": [{"rate": "1/h"}]})
    assert [client.get().status for _ in range(3)] == [200, 429, 429]


def test_a_reload_opens_and_closes_listeners(pair):
    proxy = pair()
    first, port = proxy.sluice.config["listen"], free_port()
    client = proxy.client()
    assert client.get().status == 200
    config = {"upstream": proxy.upstream.address}
    proxy.sluice.reload({**config, "listen": [first, f"127.0.0.1:{port}"]})
    with RawClient(("127.0.0.1", port)) as second:
        assert second.get().status == 200
        proxy.sluice.reload({**config, "listen": first})
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port)).close()
        # It keeps every connection, those of the closed listener too.
        assert second.get().status == 200
    assert client.get().status == 200


def test_a_reload_keeps_the_counters_of_a_limit_that_stays(pair):
    limit = {"name": "stays", "rate": "1/h", "burst": 3}
    proxy = pair(limits=[limit])
    client = proxy.client()
    assert [client.get().status for _ in range(2)] == [200] * 2
    proxy.sluice.reload({"upstream": proxy.upstream.address, "limits": [{"name": "new", "rate": "100/h"}, limit]})
    assert [client.get().status for _ in range(2)] == [200, 429]
    proxy.sluice.reload({"upstream": proxy.upstream.address, "limits": [{**limit, "name": "other"}]})
    assert client.get().status == 200


def test_a_reload_keeps_the_counters_of_a_route_that_stays(pair):
    """Wherever it stands among the others then."""
    limits = [{"name": "per-route", "key": ["ip", "route"], "rate": "1/h"}]
    route = {path: {"match": {"path": path}, "respond": {}} for path in ("/a", "/b", "/c")}
    proxy = pair(routes=[route["/a"], route["/b"]], limits=limits)
    client = proxy.client()
    assert [client.get(path).status for path in ("/a", "/a", "/b")] == [200, 429, 200]
    proxy.sluice.reload({**proxy.sluice.config, "routes": [route["/c"], route["/b"], route["/a"]]})
    assert [client.get(path).status for path in ("/a", "/b", "/c", "/c")] == [429, 429, 200, 429]


def test_limits_that_are_new_with_each_of_many_reloads_are_all_taken(pair):
    stays = {"name": "stays", "rate": "1/h", "burst": 2, "match": {"path": "/stays"}}
    proxy = pair(limits=[stays])
    client, idle = proxy.client(), proxy.client(source="127.0.0.5")
    assert client.get("/stays").status == idle.get("/stays").status == 200
    for turn in range(20):
        new = [{"name": f"new-{turn}-{n}", "rate": "1/h", "burst": 1, "match": {"path": "/"}} for n in range(20)]
        proxy.sluice.reload({"upstream": proxy.upstream.address, "limits": [*new, stays]})
        assert [client.get().status for _ in range(2)] == [200, 429], f"what was counted before, at the {turn}th"
    assert [client.get("/stays").status for _ in range(2)] == [200, 429]
    assert idle.get("/stays").status == 200


INVALID = {
    "syntax": "{ \"listen\": ", "empty": "", "unknown key": json.dumps({"upstream": "127.0.0.1:1", "upstraem": 1}),
    "wrong type": json.dumps({"upstream": 7}), "rate": json.dumps({"upstream": "127.0.0.1:1", "limits": [{"rate": "10"}]}),
}


@pytest.mark.parametrize("name", INVALID)
def test_an_invalid_file_changes_nothing_and_says_why(pair, name):
    proxy = pair(limits=[{"name": "few", "rate": "1/h", "burst": 2}])
    client = proxy.client()
    before = proxy.sluice.admin_json("/config")
    assert client.get().status == 200
    proxy.sluice.write(INVALID[name])
    status, _, body = proxy.sluice.ask_admin("POST", "/reload")
    assert status == 422 and str(proxy.sluice.file) in body, body
    logged = len(proxy.sluice.output)
    proxy.sluice.send_signal(signal.SIGHUP)
    wait_until(lambda: "sluice.json:" in proxy.sluice.output[logged:], "the reason in the log")
    assert proxy.sluice.admin_json("/config") == before
    assert [client.get().status for _ in range(2)] == [200, 429]


def test_a_missing_file_changes_nothing(pair):
    proxy = pair()
    proxy.sluice.file.unlink()
    status, _, body = proxy.sluice.ask_admin("POST", "/reload")
    assert status == 422 and "sluice.json" in body
    assert proxy.client().get().status == 200


def test_a_change_of_the_file_reloads(pair):
    proxy = pair()
    proxy.sluice.write({"routes": [{"respond": {"status": 418}}]})
    client = proxy.client()
    wait_until(lambda: client.get().status == 418, "the change in force")


def turn_the_link(live, fresh):
    link = fresh.with_name("link")
    link.symlink_to(fresh.name)
    link.rename(live)


def exchange(live, fresh):
    live.rename(fresh.with_name("former-" + fresh.name))
    fresh.rename(live)


def make_again(live, fresh):
    shutil.rmtree(live)
    shutil.copytree(fresh, live)


@pytest.mark.parametrize("inside", [".", "in/it"])
@pytest.mark.parametrize("way", [turn_the_link, exchange, make_again])
def test_another_folder_in_the_place_of_the_files_reloads(tmp_path, way, inside):
    def folder(name):
        made = tmp_path / name / inside
        made.mkdir(parents=True)
        for output in ("stdout", "stderr"):
            (made / output).touch()
        return made

    def answering(status):
        return {"routes": [{"respond": {"status": status}}]}

    live = tmp_path / "live"
    folder("first")
    live.symlink_to("first") if way is turn_the_link else (tmp_path / "first").rename(live)
    with Sluice(answering(200), live / inside) as sluice, sluice.client() as client:
        for status in (418, 451):  # the second: what came in its place is watched, too
            (folder(str(status)) / "sluice.json").write_text(json.dumps({**sluice.config, **answering(status)}))
            way(live, tmp_path / str(status))
            wait_until(lambda: client.get().status == status, f"{status}, from another folder")
        sluice.write(answering(410))
        wait_until(lambda: client.get().status == 410, "a change of the file itself")


@pytest.mark.parametrize("key,value", [("admin", {"address": "127.0.0.1:1"}), ("runtime", {"workers": 1, "stack": "128KiB"})])
def test_what_a_reload_cannot_change_is_said(pair, key, value):
    proxy = pair()
    whole = {**{k: proxy.sluice.config[k] for k in ("upstream", "listen", "admin")}, key: value}
    proxy.sluice.write(json.dumps(whole))
    status, _, body = proxy.sluice.ask_admin("POST", "/reload")
    assert status in (200, 422)
    wait_until(lambda: key in body + proxy.sluice.output, "the setting named")
    assert proxy.client().get().status == 200 and proxy.sluice.ask_admin("GET", "/readyz")[0] == 200


def test_sigquit_writes_every_task_and_goes_on(pair):
    go_on = threading.Event()
    proxy = pair(holding(go_on))
    waiting = [proxy.client() for _ in range(7)]
    for client in waiting:
        client.send(get("/slow"))
    proxy.upstream.wait_for_requests(7)
    live = proxy.sluice.stats()["runtime"]["tasks"]["live"]
    proxy.sluice.send_signal(signal.SIGQUIT)
    wait_until(lambda: re.search(r"\.(cpp|h):\d+", proxy.sluice.stderr), "where tasks were started, on stderr")
    assert proxy.sluice.alive() and live >= 7

    def those_in_exchanges():
        before = len(proxy.sluice.stderr)
        proxy.sluice.send_signal(signal.SIGQUIT)
        text = wait_until(lambda: re.search(r"^(.*?)\n\n(?:id .*\n)+\n", proxy.sluice.stderr[before:], re.S), "all the tasks")[1]
        groups = re.findall(r"^(\d+) tasks? parked in read.*\n((?:    .*\n)+)", text, re.M)
        return sum(int(count) for count, frames in groups
                   if re.search(r"^    sluice::proxy::Exchange::.*\+0x\w+ \(sluice\+0x\w+\)$", frames, re.M))

    # Those whose requests were there when they were accepted are not started where the others are. The last to
    # ask the upstream may not have parked when the first signal comes.
    wait_until(lambda: those_in_exchanges() == 7, "the seven in their exchanges, on stderr")
    go_on.set()
    assert [client.read().status for client in waiting] == [200] * 7


def test_who_stops_reading_stderr_holds_up_neither_requests_nor_the_end(tmp_path):
    """SIGQUIT has more to say than the pipe takes. Twice, for a second dump must not wait for the first."""
    port, file = free_port(), tmp_path / "sluice.json"
    route = {"respond": {"status": 200, "body": "ok"}}
    file.write_text(json.dumps({"listen": f"127.0.0.1:{port}", "routes": [route], "admin": None, "runtime": {"workers": 1}}))
    ours, its = os.pipe()
    fcntl.fcntl(its, fcntl.F_SETPIPE_SZ, 4096)
    process = subprocess.Popen([*LEASH, BINARY, "run", "-c", file], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=its)
    try:
        connected(("127.0.0.1", port))
        for _ in range(2):
            process.send_signal(signal.SIGQUIT)
            wait_until(lambda: not select.select([], [its], [], 0)[1], "a pipe that is full")
            with RawClient(("127.0.0.1", port)) as client:
                assert client.get().status == 200
        for _ in range(30):  # each has a line to log
            process.send_signal(signal.SIGHUP)
            time.sleep(0.01)  # or they are one
        process.send_signal(signal.SIGTERM)
        assert process.wait(10 * PATIENCE) == 0
    finally:
        process.kill()
        process.wait()
        os.close(its)
        os.close(ours)


def test_what_an_operator_looks_at_does_not_hold_the_end_up(pair):
    proxy = pair()
    with socket.create_connection(proxy.sluice.admin) as watching:
        watching.sendall(b"GET /debug/trace?seconds=60 HTTP/1.1\r\nHost: a\r\n\r\n")
        wait_until(lambda: proxy.sluice.ask_admin("GET", "/debug/trace?seconds=1")[0] == 409, "it is under way")
        start = time.monotonic()
        proxy.sluice.stop()
        assert time.monotonic() - start < 10 * PATIENCE


def test_nothing_is_left_over_after_many_connections(pair):
    """Also what the Pair asserts at its end: tasks, descriptors and connections are as they were."""
    proxy = pair()
    for _ in range(5):
        clients = [proxy.client() for _ in range(100)]
        for client in clients:
            client.send(get())
        for n, client in enumerate(clients):
            if n % 3 == 0:
                client.reset()
            elif n % 3 == 1:
                client.close()
            else:
                assert client.read().status == 200
                client.close()
    proxy.sluice.wait_resting()
    before = proxy.sluice.memory()[0]
    for _ in range(10):
        clients = [proxy.client() for _ in range(100)]
        for client in clients:
            assert client.get().status == 200
            client.close()
    proxy.sluice.wait_resting()
    assert proxy.sluice.memory()[0] - before < 4 << 20


def test_ten_thousand_requests_over_64_connections(pair):
    """Also for the sanitizers: with two workers, each connection moves between them."""
    proxy = pair(runtime={"workers": 2}, limits=[{"name": "half", "rate": "1/h", "burst": 5000}])
    answers = crowd(proxy.sluice.address, get(), connections=64, total=10_000)
    statuses = [answer.status for answer in answers]
    assert statuses.count(200) == statuses.count(429) == 5000
    requests = proxy.sluice.settled()["requests"]
    assert (requests["total"], requests["allowed"], requests["limited"]) == (10_000, 5000, 5000)
    assert len(proxy.upstream.requests) == 5000


def test_idle_connections_hold_no_task(pair):
    proxy = pair()
    client = proxy.client()
    assert client.get().status == 200
    before = proxy.sluice.stats()["runtime"]["tasks"]["live"]
    idle = [proxy.client() for _ in range(200)]
    for each in idle:
        assert each.get().status == 200
    wait_until(lambda: proxy.sluice.stats()["runtime"]["tasks"]["live"] <= before, "200 idle connections without a task")
    assert proxy.sluice.stats()["connections"]["open"] == 201
    assert [each.get().status for each in idle] == [200] * 200


def test_connections_that_never_sent_a_byte_hold_no_task(pair):
    proxy = pair()
    before = proxy.sluice.stats()["runtime"]["tasks"]["live"]
    silent = [proxy.client() for _ in range(200)]
    wait_until(lambda: proxy.sluice.stats()["connections"]["open"] == 200, "200 connections")
    wait_until(lambda: proxy.sluice.stats()["runtime"]["tasks"]["live"] <= before, "no task for them")
    assert [client.get().status for client in silent] == [200] * 200


def test_an_idle_proxy_sleeps(pair):
    """No polling: over a second without requests, hardly any context switch."""
    proxy = pair(runtime={"workers": 2})
    assert proxy.client().get().status == 200

    def switches():
        tasks = pathlib.Path(f"/proc/{proxy.sluice.pid}/task").glob("*/status")
        return sum(int(re.search(r"^voluntary_ctxt_switches:\s*(\d+)", task.read_text(), re.M)[1]) for task in tasks)

    before = switches()
    end = time.monotonic() + 1
    wait_until(lambda: time.monotonic() > end, "one second to pass")
    assert switches() - before < 50
