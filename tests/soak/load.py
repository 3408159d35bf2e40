"""The load of a soak: each scenario is one connection from beginning to end, well-behaved or not."""

import asyncio
import collections
import random

from client import HOSTS, OWN, Client, Wrong
from upstream import body_of

ENDS = (ConnectionError, asyncio.IncompleteReadError)


async def fast(client):
    for _ in range(random.randrange(1, 40)):
        if not await client.ask(b"0", path=random.choice(["/ok", "/ok", "/ok", "/slow"])):
            return


async def pipelined(client):
    count = random.randrange(2, 30)
    for _ in range(count):
        client.send()
    for _ in range(count):
        status, fields, body = await client.read()
        if status not in {200, *OWN} or (status == 200 and body != b"0"):
            raise Wrong(f"pipelined: {status} {body[:50]}")
        if "connection" in fields:
            return


async def pipelined_and_gone(client):
    for _ in range(200):
        client.send(path="/big/3000")
    await asyncio.sleep(random.random() / 10)
    client.abort()


async def downloads(client):
    for _ in range(3):
        size = random.choice([0, 1, 2047, 70_000, 1_000_000])
        if not await client.ask(body_of(size), path=f"/big/{size}"):
            return


async def head_and_hints(client):
    await client.ask(method="HEAD") and await client.ask(b"ok", path="/interim")


def chunks(body):
    return b"".join(b"%x\r\n%s\r\n" % (len(p), p) for p in (body[at:at + 5000] for at in range(0, len(body), 5000))) + b"0\r\n\r\n"


async def uploads(client):
    for _ in range(3):
        body = body_of(random.choice([0, 10, 60_000, 500_000]))
        if random.random() < 0.5:
            goes_on = await client.ask(b"%d" % len(body), "POST", "/up", f"Content-Length: {len(body)}\r\n", body)
        else:
            goes_on = await client.ask(b"%d" % len(body), "PUT", "/up", "Transfer-Encoding: chunked\r\n", chunks(body))
        if not goes_on:
            return


async def upload_gone(client):
    client.send("POST", "/up", "Content-Length: 1000000\r\n", body_of(random.randrange(200_000)))
    await asyncio.sleep(random.random() / 5)
    client.abort()


async def slow_upload(client):
    """A kilobyte a moment, and sometimes none for longer than timeouts.body."""
    client.send("POST", "/up", "Content-Length: 20000\r\n")
    for _ in range(20):
        client.writer.write(bytes(1000))
        await asyncio.sleep(random.choice([0.01, 0.1, 0.1, 3 if random.random() < 0.1 else 0.1]))
    status, _, _ = await client.read()
    if status not in {200, 408, *OWN}:
        raise Wrong(f"slow upload: {status}")


async def early_answer(client):
    client.send("POST", "/early", "Content-Length: 300000\r\n", body_of(100_000))
    await client.read()


async def slow_reader(client):
    client.send(path="/big/2000000")
    for _ in range(random.randrange(60)):
        await client.reader.read(20_000)
        await asyncio.sleep(0.05)
    if random.random() < 0.5:
        client.abort()


async def never_reads(client):
    client.writer.transport.pause_reading()
    client.send(path="/big/9000000")
    await asyncio.sleep(4)


async def slow_head(client):
    for byte in b"GET /ok HTTP/1.1\r\nHost: a.example\r\nX-Slow: 12345678\r\n\r\n"[:random.randrange(10, 60)]:
        client.writer.write(bytes([byte]))
        await asyncio.sleep(0.05)


async def silent(client):
    await asyncio.sleep(random.random() * 6)


MALFORMED = [
    b"GET / HTTP/1.1\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    b"GET / HTTP/1.1\nHost: a\n\n",
    b"GET / HTTP/1.1\r\nHost: a\r\n folded\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"x" * 300,
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"GET /" + b"a" * 40_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X: y\r\n" * 200 + b"\r\n",
]


async def malformed(client):
    client.writer.write(random.choice(MALFORMED))
    status, fields, _ = await client.read()
    if not 400 <= status <= 505 or "connection" not in fields:
        raise Wrong(f"malformed: {status}")


async def faults(client):
    path = random.choice(["/reset", "/close", "/cut-head", "/cut-body", "/cut-chunk", "/garbage", "/two-lengths", "/extra",
                          "/until-close", "/unasked", "/hang", "/stall"])
    client.send(path=path)
    await client.read()


ASKS = "Connection: Upgrade\r\nUpgrade: raw\r\n"


async def tunnel(client):
    client.send(path="/socket", fields=ASKS, body=b"hello")
    status, fields, _ = await client.read()
    if status != 101:
        if status not in OWN:
            raise Wrong(f"upgrade: {status}")
        return
    if await client.reader.readexactly(5) != b"hello":
        raise Wrong("the tunnel lost its first bytes")
    for _ in range(random.randrange(30)):
        data = body_of(random.choice([1, 100, 5000, 100_000]))
        client.writer.write(data)
        if await client.reader.readexactly(len(data)) != data:
            raise Wrong("the tunnel changed bytes")
        await asyncio.sleep(random.random() / 20)
    ending = random.randrange(4)
    if ending == 0:
        client.abort()
    elif ending == 1 and client.writer.can_write_eof():
        client.writer.write_eof()
        await client.reader.read(-1)
    elif ending == 2:
        await asyncio.sleep(random.random() * 5)  # beyond timeouts.tunnel, sometimes


async def refused_upgrade(client):
    client.send(path="/no-socket", fields=ASKS)
    client.send()
    status, fields, _ = await client.read()
    if status not in {426, *OWN}:
        raise Wrong(f"refused upgrade: {status}")
    if "connection" not in fields:
        await client.read()


async def hanging_up_at_once(client):
    client.send(path=random.choice(["/ok", "/slow", "/hang", "/big/1000000"]))
    if random.random() < 0.5:
        client.abort()


async def crowd(client):
    """More connections than max.connections lets in, with the others."""
    others = [Client([client.entrance]).__aenter__() for _ in range(120)]
    opened = await asyncio.gather(*others, return_exceptions=True)
    await asyncio.sleep(random.random())
    for other in opened:
        if isinstance(other, Client):
            other.abort()


async def insisting(client):
    """Beyond a limit that bans: refused, then shut out, and later let in again."""
    seen = []
    for _ in range(8):
        client.send(path="/banned")
        seen.append((await client.read())[0])
    if not set(seen) <= {200, 403, *OWN}:
        raise Wrong(f"insisting: {seen}")


async def half_a_handshake(client):
    """What a connection begins with, cut anywhere, at whatever entrance."""
    reader, writer = await asyncio.open_connection(*client.entrance.address)
    writer.write(HELLO[:random.randrange(len(HELLO))])
    await asyncio.sleep(random.random() * 3)
    writer.transport.abort()


HELLO = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(256)) * 2


SCENARIOS = {fast: 12, pipelined: 4, pipelined_and_gone: 1, downloads: 4, head_and_hints: 2, uploads: 4, upload_gone: 2, slow_upload: 2, early_answer: 1,
             slow_reader: 2, never_reads: 1, slow_head: 2, silent: 3, malformed: 4, faults: 6, tunnel: 6, refused_upgrade: 1,
             hanging_up_at_once: 4, crowd: 1, insisting: 2, half_a_handshake: 2}
# Whose connection may end under them by what they ask for.
BROKEN = {faults, early_answer, slow_upload, malformed, tunnel, slow_reader, pipelined_and_gone, crowd, insisting}


class Load:
    """`width` clients at a time, until stop()."""

    def __init__(self, entrances, width):
        self.answers = collections.Counter({(each.name, host): 0 for each in entrances for host in HOSTS})
        self.counts = {scenario.__name__: 0 for scenario in SCENARIOS}
        self.wrong = []
        self.ended_early = 0
        self._entrances = entrances
        self._over = False
        self._tasks = [asyncio.create_task(self._run()) for _ in range(width)]

    async def _run(self):
        while not self._over:
            scenario = random.choices(list(SCENARIOS), SCENARIOS.values())[0]
            self.counts[scenario.__name__] += 1
            try:
                async with Client(self._entrances) as client:
                    await asyncio.wait_for(scenario(client), 60)
                    self.answers[client.entrance.name, client.host] += client.answers
            except ENDS:
                self.ended_early += scenario not in BROKEN
            except OSError:
                await asyncio.sleep(0.1)  # out of ports or refused for a moment
            except (Wrong, asyncio.TimeoutError, asyncio.LimitOverrunError, ValueError) as error:
                self.wrong.append(f"{scenario.__name__}: {error!r}")

    async def stop(self):
        self._over = True
        await asyncio.gather(*self._tasks)
