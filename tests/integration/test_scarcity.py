"""When memory is short for a moment: whoever is hit by it is told or left, and all goes on behind it as before."""

import contextlib
import http.client
import pathlib
import signal

import pytest

from support.client import RawClient, connect, get
from support.heap import Heap
from support.ports import free_port
from support.sluice import SANITIZER_MEMORY
from support.upstream import response
from support.wait import wait_until
from support.wire import Ended

pytestmark = pytest.mark.skipif(SANITIZER_MEMORY > 1, reason="a sanitizer has a heap of its own")

LINE_OF_LOG = 8 << 10  # what is taken for one


@pytest.fixture
def heap(tmp_path):
    return Heap(tmp_path)


def test_a_listener_without_descriptors_and_memory_goes_on_when_they_are_back(pair, heap):
    proxy = pair(sluice_options={"environment": heap.environment, "limit_files": 64})
    with heap.short(LINE_OF_LOG):
        held = [connect(proxy.sluice.address) for _ in range(64)]
        wait_until(lambda: heap.refused() > 0, "that the scarcity of descriptors is to be told")
    for sock in held:
        sock.close()
    assert proxy.client().get().status == 200


def test_a_call_that_memory_is_short_for_leaves_nothing_behind(pair, heap):
    """Neither does the end take longer: a connection that is counted for ever would be waited for."""
    check = f"127.0.0.1:{free_port()}"
    proxy = pair(sluice_options={"environment": heap.environment}, check=check, timeouts={"drain": "1m"})
    address = ("127.0.0.1", int(check.split(":")[1]))
    with RawClient(address) as asker:
        assert asker.get().status == 200
        before = heap.refused()
        with heap.short():
            asker.send(get())
            with pytest.raises(Ended):
                asker.read()
        assert heap.refused() > before
    with RawClient(address) as asker:
        assert asker.get().status == 200
    proxy.sluice.stop()
    assert '"stopped"' in proxy.sluice.stderr


def test_a_connection_that_memory_is_short_for_before_its_first_request_is_left(pair, heap, authority):
    secured = {"address": f"127.0.0.1:{free_port()}", "proxy_protocol": True, "tls": authority.issue("a.example").files}
    proxy = pair(sluice_options={"environment": heap.environment}, listen=[secured])
    before = heap.refused()
    client = proxy.client()
    wait_until(lambda: proxy.sluice.stats()["connections"]["open"] == 1, "that it is accepted")
    with heap.short():
        client.send(b"PROXY TCP6 2001:db8:1:2:3:4:5:6 2001:db8:1:2:3:4:5:7 8 9\r\nno hello of TLS\r\n")
        client.ends()
    assert heap.refused() > before
    proxy.sluice.wait_resting()
    assert proxy.sluice.stats()["runtime"]["uncaught_exceptions"] == 0


def test_a_check_that_memory_is_short_for_is_counted_as_ended(pair, heap):
    """Or it would be in flight for ever."""
    check = f"127.0.0.1:{free_port()}"
    long = 60_000
    proxy = pair(sluice_options={"environment": heap.environment}, check=check, limits=[{"rate": "1/h"}],
                 response={"body": {"content_type": "text/plain", "body": "x" * long}})
    with RawClient(("127.0.0.1", int(check.split(":")[1]))) as asker:
        assert asker.get().status == 200
        with heap.short(long):
            assert asker.get().status == 500
        assert asker.get().status == 429
    counted = proxy.sluice.settled()["requests"]
    assert counted["by_status"] == {"200": 1, "429": 1, "500": 1}


@pytest.mark.parametrize("method, path, body", [
    ("GET", "/stats", ""), ("GET", "/stats/clients", ""), ("GET", "/metrics", ""), ("GET", "/config", ""), ("GET", "/explain", ""),
    ("GET", "/bans", ""), ("GET", "/debug/tasks", ""), ("GET", "/nothing", ""), ("POST", "/reload", ""),
    ("PUT", "/bans/192.0.2.1", '{"for": "10m"}'), ("DELETE", "/bans/192.0.2.9", ""),
])
def test_an_admin_call_that_memory_is_short_for_is_refused_or_left_and_the_next_is_answered(pair, heap, method, path, body):
    """Wherever on its way it is short: of so many bytes or more."""
    proxy = pair(sluice_options={"environment": heap.environment}, limits=[{"name": "per-ip", "rate": "1000000/s"}])
    expected = proxy.sluice.ask_admin(method, path, body)[0]
    for size in (1, 33, 65, 129, 257, 513, 1025, 2049, 4097):
        before = heap.refused()
        with heap.short(size), contextlib.suppress(OSError, http.client.HTTPException):
            proxy.sluice.ask_admin(method, path, body)
        assert size > 512 or heap.refused() > before, size
        assert proxy.sluice.ask_admin(method, path, body)[0] == expected, size


def test_changes_of_the_file_are_noticed_as_before(pair, heap):
    proxy = pair(sluice_options={"environment": heap.environment})
    before = heap.refused()
    with heap.short():
        proxy.sluice.write({**proxy.sluice.config, "limits": [{"name": "first", "rate": "1/s"}]})
        wait_until(lambda: heap.refused() > before, "that the change is looked at")
    proxy.sluice.write({**proxy.sluice.config, "limits": [{"name": "second", "rate": "1/s"}]})
    wait_until(lambda: "second" in proxy.sluice.ask_admin("GET", "/config")[2], "that the next is in force")


def test_a_reload_that_there_is_no_memory_even_to_complain_of_counts_as_failed(pair, heap):
    sluice = pair(sluice_options={"environment": heap.environment}).sluice

    def failed():
        before = heap.refused()
        with heap.short():
            sluice.send_signal(signal.SIGHUP)
            wait_until(lambda: heap.refused() >= before + 2, "that it is tried, and the complaint")
        return sluice.stats()["config"]["reloads_failed"] > 0

    wait_until(failed, "that it is told to have failed")
    assert sluice.stats()["config"]["last_reload_ok"] is False


def test_a_reload_that_memory_is_short_for_leaves_no_file_open(pair, heap, authority, tmp_path):
    issued = authority.issue("a.example")
    certificate = tmp_path / "long.pem"
    certificate.write_text("x" * 200_000 + "\n" + pathlib.Path(issued.certificate).read_text())
    secured = {"address": f"127.0.0.1:{free_port()}", "tls": {"certificate": str(certificate), "key": issued.key}}
    sluice = pair(sluice_options={"environment": heap.environment}, listen=[secured]).sluice
    with heap.short(100_000):
        assert sluice.ask_admin("POST", "/reload")[0] == 422
    sluice.wait_resting()


def test_checks_of_health_go_on(start_sluice, scripted, heap):
    healthy = [True]

    def script(connection):
        while connection.read_request():
            connection.send(response(status=200 if healthy[0] else 500))

    upstream = scripted(script)
    config = {"upstreams": {"app": {"servers": [upstream.address], "health": {"path": "/", "interval": "100ms", "healthy_after": 1, "unhealthy_after": 1}}},
              "routes": [{"upstream": "app"}]}
    sluice = start_sluice(config, environment=heap.environment)

    def is_healthy():
        return sluice.stats()["upstreams"][0]["servers"][0]["healthy"]

    before = heap.refused()
    with heap.short():
        wait_until(lambda: heap.refused() > before, "that a check has no memory")
    for state in (False, True):
        healthy[0] = state
        wait_until(lambda: is_healthy() == state, f"healthy: {state}")


def test_a_drain_that_memory_is_short_for_ends(pair, heap):
    """The admin listener is the last to close."""
    sluice = pair(sluice_options={"environment": heap.environment}).sluice

    def admin_is_closed():
        try:
            connect(sluice.admin).close()
        except ConnectionError:
            return True

    with heap.short():
        sluice.send_signal(signal.SIGTERM)
        wait_until(admin_is_closed, "that the drain has ended")
    sluice.stop()
