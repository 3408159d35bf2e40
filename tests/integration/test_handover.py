"""One after the other on the same port, under a load that never stops: no request is lost. Nothing is retried."""

import signal
import socket

import pytest

from support.client import RawClient
from support.load import SteadyLoad
from support.ports import free_port
from support.sluice import Unavailable
from support.wait import wait_until


def shared_port():
    """A listener whose port others may listen on beside it."""
    return {"address": f"127.0.0.1:{free_port()}", "reuse_port": True}


def beside(sluice):
    """The configuration of another one on the same ports, but for the admin listener's."""
    return {key: value for key, value in sluice.config.items() if key != "admin"}


def hand_over(serving, start_sluice):
    """To the successor that is returned: it starts beside the one before it, which drains once it serves."""
    successor = start_sluice(beside(serving))
    serving.stop()
    return successor


def test_a_hundred_reloads_under_a_steady_load_lose_nothing(pair):
    """Of whatever there is to reload, a part in each turn: with limits, routes, pools and listeners that come and go."""
    proxy = pair()
    app = proxy.upstream.address
    host, port = proxy.sluice.address
    here, there = f"{host}:{port}", f"{host}:{free_port()}"
    parts = [
        {"limits": [{"name": "wide", "rate": "1000000/s"}], "clients": {"max": 1000}},
        {"limits": [{"name": "slots", "algorithm": "concurrency", "max": 1000, "key": ["ip", "path"]}], "response": {"headers": "both"}},
        {"upstreams": {"app": {"servers": [app], "balance": "least_requests", "max_connections": 100}},
         "routes": [{"upstream": "app"}]},
        {"upstreams": {"app": {"servers": [app], "idle_timeout": "1s", "health": {"path": "/", "interval": "100ms"}},
                       "spare": {"servers": [app]}},
         "routes": [{"match": {"path": "/never"}, "respond": {"status": 404}}, {"match": {"path_prefix": "/"}, "upstream": "spare"}]},
        {"timeouts": {"head": "3s", "keep_alive": "30s"}, "max": {"head": 9000, "connections": 500}},
        {"listen": [here, there]},
        {"client": {"trusted_proxies": ["127.0.0.0/8"]}, "deny": ["192.0.2.0/24"]},
    ]
    load = SteadyLoad(proxy.sluice.address, 64)
    load.wait_for(200)
    for turn in range(100):
        part = parts[turn % len(parts)]
        proxy.sluice.reload({"listen": here, "log": {"access": "off"}, **({} if "upstreams" in part else {"upstream": app}), **part})
        load.wait_for(20)
    load.end()
    assert load.connected == 64, "a reload cost a connection"


def test_twenty_successors_on_the_same_port_lose_nothing(pair, start_sluice):
    """Also new connections are made all the time: the kernel may have given them to the one that goes."""
    serving = pair(listen=[shared_port()]).sluice
    load = SteadyLoad(serving.address, 64, fresh=8)
    load.wait_for(200)
    for _ in range(20):
        serving = hand_over(serving, start_sluice)
        load.wait_for(100)
    load.end()
    serving.stop()


def test_decisions_go_on_at_the_same_address(pair, start_sluice):
    """The port of `check` is shared as those that say so: checks are answered all the time, as requests are."""
    check = f"127.0.0.1:{free_port()}"
    serving = pair(listen=[shared_port()], check=check).sluice
    host, port = check.split(":")
    checks, requests = SteadyLoad((host, int(port)), 16, fresh=8), SteadyLoad(serving.address, 16, fresh=8)
    for _ in range(10):
        checks.wait_for(100)
        serving = hand_over(serving, start_sluice)
    checks.wait_for(100)
    checks.end()
    requests.end()
    serving.stop()


def test_a_reload_shares_the_port_of_decisions_too(pair, start_sluice):
    """From when it brings the first listener that is shared."""
    check = f"127.0.0.1:{free_port()}"
    shared = shared_port()
    proxy = pair(check=check)
    config = {"upstream": proxy.upstream.address, "check": check, "log": {"access": "off"}}
    successor = {**config, "listen": [shared]}
    with pytest.raises(Unavailable, match="check: cannot listen on .* in use"):
        start_sluice(successor)
    proxy.sluice.reload({**config, "listen": [proxy.sluice.config["listen"], shared]})
    start_sluice(successor).stop()
    host, port = check.split(":")
    with RawClient((host, int(port))) as client:
        assert client.get().status == 200
    proxy.sluice.reload({**config, "listen": proxy.sluice.config["listen"][0]})  # as many tasks as at the start


def test_who_is_stopped_while_an_older_one_serves_gives_the_port_back(pair, start_sluice):
    """A successor that is taken back."""
    proxy = pair(listen=[shared_port()])
    load = SteadyLoad(proxy.sluice.address, 16, fresh=8)
    for _ in range(3):
        successor = start_sluice(beside(proxy.sluice))
        load.wait_for(200)
        successor.stop()
        load.wait_for(200)
    load.end()


def test_without_reuse_port_a_second_process_is_refused(pair, start_sluice):
    proxy = pair()
    with pytest.raises(Unavailable, match="exited with 1(.|\n)*cannot listen on .* in use"):
        start_sluice(beside(proxy.sluice))


def test_readyz_says_that_it_leaves_before_the_listeners_close(pair, start_sluice):
    """While it hands its port over it still accepts, and says 503 already."""
    proxy = pair(listen=[shared_port()])
    idle = proxy.client()
    assert idle.get().status == 200
    start_sluice(beside(proxy.sluice))
    proxy.sluice.send_signal(signal.SIGTERM)
    wait_until(lambda: proxy.sluice.ask_admin("GET", "/readyz")[0] == 503, "not ready")
    # An idle connection gets its last answer, and is told so.
    answer = idle.get()
    assert answer.status == 200 and answer.one("Connection").lower() == "close"
    assert proxy.sluice.wait_exit() == 0


def test_a_reload_moves_between_all_addresses_and_one_of_them(pair):
    port = free_port()
    proxy = pair(listen=f"0.0.0.0:{port}")
    config = {"upstream": proxy.upstream.address, "log": {"access": "off"}}
    load, newcomers = SteadyLoad(("127.0.0.1", port), 16), SteadyLoad(("127.0.0.1", port), 0, fresh=8)
    load.wait_for(100)
    for address in [f"127.0.0.1:{port}", f"0.0.0.0:{port}"] * 10 + [f"127.0.0.1:{port}"]:
        proxy.sluice.reload({**config, "listen": address})
        with RawClient(("127.0.0.1", port)) as client:
            assert client.get().status == 200
        load.wait_for(100)
    newcomers.end()
    load.end()
    assert load.connected == 16

    def taken():
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.2", port))
            except OSError:
                return True
        return False

    wait_until(lambda: not taken(), "the end of the listener for all addresses")
