"""RawClient: a client that sends exactly the bytes it is told to, and judges strictly what comes back."""

import json
import selectors
import socket
import struct
import time
from dataclasses import dataclass

from support import wire
from support.wait import DEADLINE


def connect(address, source=None, receive_buffer=None, seconds=DEADLINE):
    """A connected socket to (host, port) or to the path of a Unix socket; `source` is the client's own address."""
    family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET6 if ":" in address[0] else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.settimeout(seconds)
    if receive_buffer:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    if source:
        sock.bind((source, 0))
    sock.connect(address)
    if family != socket.AF_UNIX:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


def get(path="/", host="a.example", fields=(), version="1.1", method="GET", body=None):
    """The bytes of a plain request. `fields` are (name, value) pairs; a body brings its Content-Length."""
    lines = [f"{method} {path} HTTP/{version}"] + ([f"Host: {host}"] if host is not None else [])
    lines += [f"{name}: {value}" for name, value in fields]
    if body is not None:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join(lines + ["", ""]).encode("latin-1") + (body or b"")


def expect_problem(answer, status):
    """Asserts that this is an error of the proxy's own: a problem body (RFC 9457) of that status."""
    assert answer.status == status, answer.raw_head
    assert answer.one("Content-Type") == "application/problem+json"
    problem = json.loads(answer.body)
    assert problem["status"] == status and problem["title"] == answer.reason, problem
    return problem


class RawClient:
    """One connection. Closes with the `with` block or at the end of the test, whichever comes first."""

    def __init__(self, address, source=None, receive_buffer=None, seconds=DEADLINE):
        self.sock = connect(address, source, receive_buffer, seconds)
        self.wire = wire.Wire(self.sock, seconds)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def send(self, data):
        self.sock.settimeout(self.wire.seconds)
        self.sock.sendall(data)
        return self

    def send_while_open(self, data):
        """Sends as much of data as the peer takes before it closes; returns whether it took all."""
        try:
            self.send(data)
            return True
        except (BrokenPipeError, ConnectionResetError):
            return False

    def read(self, method="GET"):
        """The next response, complete."""
        return wire.read_response(self.wire, method)

    def read_head(self):
        return wire.read_response_head(self.wire)

    def ask(self, data, method=None):
        self.send(data)
        return self.read(method or data.split(b" ", 1)[0].decode("latin-1"))

    def get(self, path="/", **request):
        return self.ask(get(path, **request))

    def half_close(self):
        self.sock.shutdown(socket.SHUT_WR)

    def expect_close(self):
        """The peer closes in order, and sent nothing more."""
        extra = self.wire.rest()
        assert extra == b"", f"more came before the close: {extra[:400]!r}"

    def expect_reset(self):
        """The connection is aborted. Returns what came before."""
        try:
            self.wire.rest()
        except ConnectionResetError:
            return self.wire.unread
        raise AssertionError(f"closed in order instead of a reset, after {self.wire.unread[-200:]!r}")

    def ends(self):
        """Reads until the peer is gone and returns ("closed" or "reset", the bytes not yet consumed)."""
        try:
            return "closed", self.wire.rest()
        except ConnectionResetError:
            return "reset", self.wire.unread

    def still_open(self):
        """Whether the peer has neither closed nor sent anything unasked, as far as the kernel knows now."""
        if self.wire.unread:
            return False
        self.sock.setblocking(False)
        try:
            return self.sock.recv(1, socket.MSG_PEEK) is None
        except BlockingIOError:
            return True
        except ConnectionError:
            return False

    def close(self):
        self.sock.close()

    def reset(self):
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()


@dataclass
class Answer:
    """What one request of a crowd() got, and between which two moments it was decided."""

    sent: float
    received: float
    status: int
    response: wire.Response


class _Lane:
    def __init__(self, address, source):
        self.sock = connect(address, source)
        self.wire = wire.Wire(self.sock, DEADLINE)
        self.sent = None


def crowd(address, request, connections, total=None, seconds=None, source=None):
    """Sends `request` over `connections` keep-alive connections, always one in flight on each, until `total` were
    sent or `seconds` are over. All first requests leave before any answer is read. Returns the Answers in the order
    of their arrival. Answers must be short; one thread serves all connections, so the times are honest."""
    lanes = [_Lane(address, source) for _ in range(min(connections, total or connections))]
    answers, started = [], 0
    end = time.monotonic() + (seconds if seconds is not None else DEADLINE)

    def start(lane):
        nonlocal started
        started += 1
        lane.sent = time.monotonic()
        lane.sock.sendall(request)

    with selectors.DefaultSelector() as selector:
        try:
            for lane in lanes:
                selector.register(lane.sock, selectors.EVENT_READ, lane)
                start(lane)
            while len(answers) < started:
                ready = selector.select(DEADLINE)
                assert ready, f"{started - len(answers)} requests were never answered"
                for key, _ in ready:
                    lane = key.data
                    response = wire.read_response(lane.wire)
                    answers.append(Answer(lane.sent, time.monotonic(), response.status, response))
                    if (total is None or started < total) and (total is not None or time.monotonic() < end):
                        start(lane)
        finally:
            for lane in lanes:
                lane.sock.close()
    return answers
