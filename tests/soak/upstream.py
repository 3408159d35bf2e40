"""The upstream of a soak: answers well or badly, as the path asks. A process of its own: `upstream.py
CERTIFICATE KEY` prints two ports, one in the clear and one under TLS."""

import asyncio
import itertools
import logging
import random
import ssl
import sys

PATTERN = bytes(range(256)) * 256


def body_of(size):
    return (PATTERN * (size // len(PATTERN) + 1))[:size]


async def read_request(reader):
    """(method, path, fields, size of the body), or None at the end of the connection."""
    head = await reader.readuntil(b"\r\n\r\n")
    lines = head.decode("latin-1").split("\r\n")
    method, path, _ = lines[0].split(" ")
    fields = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:] if line)}
    if path == "/early":
        return method, path, fields, None
    if fields.get("transfer-encoding") == "chunked":
        size = 0
        while count := int((await reader.readuntil(b"\r\n")).split(b";")[0], 16):
            size += count
            await reader.readexactly(count + 2)
        await reader.readuntil(b"\r\n")
        return method, path, fields, size
    size = int(fields.get("content-length", 0))
    for at in range(0, size, 1 << 16):
        await reader.readexactly(min(1 << 16, size - at))
    return method, path, fields, size


def whole(body, fields=""):
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n%s\r\n" % (len(body), fields.encode()) + body


def chunked(body):
    pieces = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in (body[at:at + 7000] for at in range(0, len(body), 7000)))
    return b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + pieces + b"0\r\nX-Trailer: yes\r\n\r\n"


# Bytes that are all there is, and what becomes of the connection then.
FAULTS = {
    "/reset": (b"", "abort"),
    "/close": (b"", "close"),
    "/cut-head": (b"HTTP/1.1 200 OK\r\nContent-Le", "abort"),
    "/cut-body": (b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nhalf", "abort"),
    "/cut-chunk": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nff\r\nhalf", "close"),
    "/garbage": (b"SSH-2.0-OpenSSH\r\n", "close"),
    "/two-lengths": (b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab", "close"),
    "/extra": (whole(b"ok") + b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison", "keep"),
    "/until-close": (b"HTTP/1.1 200 OK\r\n\r\n" + body_of(50_000), "close"),
    "/unasked": (b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: raw\r\nConnection: upgrade\r\n\r\n", "close"),
    "/hang": (b"", "hang"),
    "/stall": (b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nhalf", "hang"),
}


async def tunnel(reader, writer, ends):
    writer.write(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: raw\r\n\r\n")
    for count in itertools.count():
        data = await reader.read(1 << 16)
        if not data or (ends and count > 3):
            return
        writer.write(data)
        await writer.drain()


async def serve(reader, writer):
    while True:
        method, path, fields, size = await read_request(reader)
        if "upgrade" in fields and path.startswith("/socket"):
            await tunnel(reader, writer, random.random() < 0.2)
            if random.random() < 0.5:
                writer.transport.abort()
            return
        if path in FAULTS:
            answer, then = FAULTS[path]
            writer.write(answer)
            await writer.drain()
            if then == "abort":
                writer.transport.abort()
            if then == "hang":
                await reader.read(1 << 16)
            if then != "keep":
                return
        elif path == "/early":
            writer.write(b"HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno")
            await writer.drain()
            return
        elif path.startswith("/big/"):
            writer.write((chunked if random.random() < 0.5 else whole)(body_of(int(path[5:]))))
        elif path == "/interim":
            writer.write(b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" + whole(b"ok"))
        elif path == "/no-socket":
            writer.write(b"HTTP/1.1 426 Upgrade Required\r\nUpgrade: other\r\nContent-Length: 2\r\n\r\nno")
        elif method == "HEAD":
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        else:
            if path == "/slow":
                await asyncio.sleep(random.random() / 2)
            writer.write(whole(str(size).encode()))
        await writer.drain()


async def handle(reader, writer):
    try:
        await serve(reader, writer)
    except (asyncio.IncompleteReadError, ConnectionError, ValueError):
        pass
    finally:
        writer.close()


async def main():
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*sys.argv[1:])
    servers = [await asyncio.start_server(handle, "127.0.0.1", 0, backlog=1024, ssl=secure) for secure in (None, context)]
    print(*(server.sockets[0].getsockname()[1] for server in servers), flush=True)
    await asyncio.gather(*(server.serve_forever() for server in servers))


if __name__ == "__main__":
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)  # of a handshake that was cut it tells as an error
    asyncio.run(main())
