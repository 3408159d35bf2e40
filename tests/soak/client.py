"""A well-behaved client of a soak, by any of the proxy's entrances. What it must not see is a Wrong."""

import asyncio
import dataclasses
import random
import socket
import ssl
import struct

# Answers of the proxy's own that any request may get here: limited, draining or full, the upstream's fault.
OWN = {429, 502, 503, 504}
# Which upstream a request is for: one in the clear, and one that speaks TLS.
HOSTS = ["clear.example", "secure.example"]


class Wrong(Exception):
    pass


@dataclasses.dataclass(frozen=True)
class Entrance:
    """Where the proxy listens, and how one comes in there."""

    name: str
    address: tuple
    context: ssl.SSLContext | None = None  # TLS
    introduces: bool = False               # by the PROXY protocol


def proxy_header(source):
    """Version 1 or 2, of a client that comes from `source`."""
    if random.random() < 0.5:
        return f"PROXY TCP4 {source} 127.0.0.1 40000 80\r\n".encode()
    addresses = socket.inet_aton(source) + socket.inet_aton("127.0.0.1") + struct.pack("!HH", 40000, 80)
    return b"\r\n\r\n\0\r\nQUIT\n" + struct.pack("!BBH", 0x21, 0x11, len(addresses)) + addresses


class Client:
    """One connection by one of the entrances, from an address of its own among a few hundred; its requests go to one of
    the hosts."""

    def __init__(self, entrances):
        self.entrances = entrances
        self.entrance = random.choice(entrances)
        self.host = random.choice(HOSTS)
        self.source = f"127.0.{random.randrange(4)}.{random.randrange(1, 255)}"
        self.answers = 0

    async def __aenter__(self):
        entrance = self.entrance
        self.reader, self.writer = await asyncio.open_connection(*entrance.address, local_addr=(self.source, 0), limit=1 << 18)
        if entrance.introduces:
            self.writer.write(proxy_header(self.source))
        if entrance.context:
            await self.writer.start_tls(entrance.context, server_hostname="a.example", ssl_handshake_timeout=20)
        return self

    async def __aexit__(self, *_):
        self.writer.close()

    def abort(self):
        self.writer.transport.abort()

    def send(self, method="GET", path="/ok", fields="", body=b""):
        self.writer.write(f"{method} {path} HTTP/1.1\r\nHost: {self.host}\r\n{fields}\r\n".encode() + body)

    async def read(self, method="GET"):
        """(status, fields, body) of the next final answer."""
        while True:
            head = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            status = int(head.split(" ")[1])
            if status >= 200 or status == 101:
                break
        fields = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head.split("\r\n")[1:])}
        body = b""
        if method == "HEAD" or status in (101, 204, 304):
            pass
        elif fields.get("transfer-encoding") == "chunked":
            while size := int(await self.reader.readuntil(b"\r\n"), 16):
                body += await self.reader.readexactly(size)
                await self.reader.readexactly(2)
            while await self.reader.readuntil(b"\r\n") != b"\r\n":
                pass
        elif "content-length" in fields:
            body = await self.reader.readexactly(int(fields["content-length"]))
        else:
            body = await self.reader.read(-1)
        self.answers += 1
        return status, fields, body

    async def ask(self, expected=None, method="GET", path="/ok", fields="", body=b""):
        """One request; whether the connection goes on. `expected`: the body of a 200."""
        self.send(method, path, fields, body)
        await self.writer.drain()
        status, fields, got = await self.read(method)
        if status not in {200, *OWN} or (status == 200 and expected is not None and got != expected):
            raise Wrong(f"{method} {path}: {status}, {len(got)} bytes")
        return "connection" not in fields
