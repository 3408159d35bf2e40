"""WebSockets through the proxy by the libraries that people use: npm's ws and Python's websockets, each against the
other and itself."""

import asyncio
import json
import os
import pathlib
import ssl
import subprocess
import threading

import pytest
import websockets

from support.ports import free_port
from support.sluice import LEASH
from support.wait import PATIENCE, wait_until

NODE = ["node", str(pathlib.Path(__file__).parent / "clients/websocket.cjs")]
ENVIRONMENT = {**os.environ, "NODE_PATH": "/usr/share/nodejs"}
SECONDS = 60 * PATIENCE
COUNT = 10_000
LARGE = 4 << 20


class NodeServer:
    """`websocket.cjs serve`, a process of its own; with a certificate, by wss."""

    def __init__(self, issued=None):
        files = [issued.certificate, issued.key] if issued else []
        self._process = subprocess.Popen([*LEASH, *NODE, "serve", *files], stdout=subprocess.PIPE, text=True, env=ENVIRONMENT)
        self.address = f"127.0.0.1:{int(self._process.stdout.readline())}"

    def stop(self):
        self._process.kill()
        self._process.wait()
        self._process.stdout.close()


class PythonServer:
    """The same in Python, in a thread of its own."""

    def __init__(self, issued=None):
        self._context = None
        if issued:
            self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._context.load_cert_chain(issued.certificate, issued.key)
        self._loop = asyncio.new_event_loop()
        self._stopping = asyncio.Event()
        started = threading.Event()
        self._thread = threading.Thread(target=lambda: self._loop.run_until_complete(self._run(started)), daemon=True)
        self._thread.start()
        assert started.wait(SECONDS)

    async def _run(self, started):
        async with websockets.serve(self._talk, "127.0.0.1", 0, max_size=None, ssl=self._context) as server:
            host, port = server.sockets[0].getsockname()
            self.address = f"{host}:{port}"
            started.set()
            await self._stopping.wait()

    @staticmethod
    async def _talk(socket):
        async for message in socket:
            word, _, rest = message.partition(" ") if isinstance(message, str) else ("", "", "")
            if word == "close":
                code, _, reason = rest.partition(" ")
                return await socket.close(int(code), reason)
            if word == "push":
                for number in range(int(rest)):
                    await socket.send(f"push {number}")
            else:
                await socket.send(message)

    def stop(self):
        self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join(SECONDS)


def node_client(url, root=None):
    trust = {"NODE_EXTRA_CA_CERTS": root} if root else {}
    done = subprocess.run([*NODE, "talk", url], capture_output=True, text=True, timeout=SECONDS, env={**ENVIRONMENT, **trust})
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


async def talk(url, trust):
    told = {}
    async with websockets.connect(url, max_size=None, compression=None, ssl=trust) as socket:
        echoed = pushed = 0

        async def send():
            await socket.send(f"push {COUNT}")
            for number in range(COUNT):
                await socket.send(f"message {number}")

        sender = asyncio.create_task(send())
        while echoed < COUNT or pushed < COUNT:
            message = await socket.recv()
            if message == f"message {echoed}":
                echoed += 1
            else:
                assert message == f"push {pushed}"
                pushed += 1
        await sender
        told.update(echoed=echoed, pushed=pushed)
        await (await socket.ping("are you there"))
        told["pong"] = "are you there"
        large = b"large" * (LARGE // 5 + 1)
        await socket.send(large[:LARGE])
        told["large"] = LARGE if await socket.recv() == large[:LARGE] else 0
        await socket.send("close 4321 enough")
        await socket.wait_closed()
        told.update(code=socket.close_code, reason=socket.close_reason)
    async with websockets.connect(url, compression="deflate", ssl=trust) as socket:
        await socket.send("squeezed " * 1000)
        told["squeezed"] = len(await socket.recv())
        await socket.close(1000, "bye")
        told["own_code"] = socket.close_code
    return told


def python_client(url, root=None):
    trust = ssl.create_default_context(cafile=root) if root else None
    return asyncio.run(asyncio.wait_for(talk(url, trust), SECONDS))


ALL_OF_IT = {"echoed": COUNT, "pushed": COUNT, "pong": "are you there", "large": LARGE, "code": 4321, "reason": "enough",
             "squeezed": 9000, "own_code": 1000}


@pytest.mark.parametrize("server", [NodeServer, PythonServer])
@pytest.mark.parametrize("client", [node_client, python_client])
def test_ten_thousand_messages_both_ways_pings_close_codes_and_large_messages(start_sluice, closing, client, server):
    upstream = closing(server())
    sluice = start_sluice({"upstream": upstream.address, "log": {"access": "off"}})
    assert client(sluice.url.replace("http", "ws", 1) + "/socket?a=b") == ALL_OF_IT
    sluice.wait_resting()
    assert sluice.stats()["requests"]["by_status"] == {"101": 2}
    sluice.stop()


@pytest.mark.parametrize("client, server", [(node_client, PythonServer), (python_client, NodeServer)])
def test_the_same_by_wss_on_both_sides(start_sluice, closing, authority, client, server):
    issued = authority.issue("127.0.0.1")
    upstream = closing(server(issued))
    sluice = start_sluice({"listen": {"address": f"127.0.0.1:{free_port()}", "tls": issued.files},
                           "upstreams": {"app": {"servers": [upstream.address], "tls": {"ca": authority.root}}},
                           "routes": [{"upstream": "app"}], "log": {"access": "off"}})
    host, port = sluice.address
    assert client(f"wss://{host}:{port}/socket?a=b", authority.root) == ALL_OF_IT
    sluice.wait_resting()
    assert sluice.stats()["requests"]["by_status"] == {"101": 2}
    sluice.stop()


def test_a_client_that_is_limited_is_told_so(start_sluice, closing):
    upstream = closing(PythonServer())
    sluice = start_sluice({"upstream": upstream.address, "limits": [{"rate": "1/h", "burst": 1}]})

    async def twice():
        url = sluice.url.replace("http", "ws", 1)
        async with websockets.connect(url) as first:
            with pytest.raises(websockets.InvalidStatusCode) as refusal:
                await websockets.connect(url)
            assert refusal.value.status_code == 429 and "Retry-After" in refusal.value.headers
            await first.send("hello")
            return await first.recv()

    assert asyncio.run(asyncio.wait_for(twice(), SECONDS)) == "hello"


def test_an_upstream_that_dies_is_seen_at_once(start_sluice, closing):
    upstream = NodeServer()
    sluice = start_sluice({"upstream": upstream.address})

    async def conversation():
        async with websockets.connect(sluice.url.replace("http", "ws", 1)) as socket:
            await socket.send("hello")
            assert await socket.recv() == "hello"
            upstream.stop()
            with pytest.raises(websockets.ConnectionClosedError):
                await socket.recv()

    asyncio.run(asyncio.wait_for(conversation(), SECONDS))
    wait_until(lambda: sluice.stats()["connections"]["tunnels"] == 0, "the end of the tunnel")
