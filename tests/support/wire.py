"""HTTP/1.1 messages read strictly from a socket: what RFC 9112 does not allow raises Malformed.

Both ends of the tests use it, so whatever the proxy emits, to a client or to an upstream, is judged byte by byte.
"""

import re
import time
from dataclasses import dataclass, field

_TOKEN = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE = re.compile(rb"(?:[\x21-\x7e\x80-\xff](?:[\t \x21-\x7e\x80-\xff]*[\x21-\x7e\x80-\xff])?)?")
_REQUEST_LINE = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+) ([\x21-\x7e]+) HTTP/1\.([01])")
_STATUS_LINE = re.compile(rb"HTTP/1\.([01]) ([1-9][0-9][0-9]) ([\t \x21-\x7e\x80-\xff]*)")
_CHUNK_LINE = re.compile(rb"([0-9A-Fa-f]{1,16})((?:;.*)?)")


class Malformed(AssertionError):
    """The peer sent what the grammar does not allow."""


class Ended(Exception):
    """The peer closed before the message was complete."""


@dataclass
class Message:
    """What requests and responses share. Field names keep their case; lookups ignore it."""

    version: str = "1.1"
    fields: list = field(default_factory=list)
    body: bytes = b""
    trailers: list = field(default_factory=list)
    framing: str = "none"  # none | length | chunked | close
    extensions: list = field(default_factory=list)  # raw chunk extensions, in order
    raw_head: bytes = b""

    def all(self, name):
        return [value for key, value in self.fields if key.lower() == name.lower()]

    def has(self, name):
        return bool(self.all(name))

    def one(self, name):
        """The value of a field that must be there exactly once."""
        values = self.all(name)
        assert len(values) == 1, f"{name} is there {len(values)} times in {self.raw_head!r}"
        return values[0]


@dataclass
class Request(Message):
    method: str = ""
    target: str = ""
    complete: bool = False


@dataclass
class Response(Message):
    status: int = 0
    reason: str = ""
    interim: list = field(default_factory=list)  # the 1xx responses before this one


class Wire:
    """A buffered reader over a socket. Every call ends within `seconds`, or raises TimeoutError."""

    def __init__(self, sock, seconds):
        self.sock = sock
        self.seconds = seconds
        self.received = bytearray()  # every byte that ever arrived
        self._at = 0  # how much of `received` has been consumed

    @property
    def unread(self):
        return bytes(self.received[self._at:])

    def fill(self, deadline=None):
        """Waits for more bytes. Raises Ended at the peer's FIN, ConnectionResetError at its RST."""
        left = (time.monotonic() + self.seconds if deadline is None else deadline) - time.monotonic()
        if left <= 0:
            raise TimeoutError(f"nothing more came; so far: {bytes(self.received[-400:])!r}")
        self.sock.settimeout(left)
        data = self.sock.recv(1 << 18)
        if not data:
            raise Ended()
        self.received += data

    def line(self):
        """One line without its CRLF. A bare LF or CR in it is malformed."""
        deadline = time.monotonic() + self.seconds
        while (end := self.received.find(b"\n", self._at)) < 0:
            self.fill(deadline)
        line = bytes(self.received[self._at:end + 1])
        self._at = end + 1
        if not line.endswith(b"\r\n") or b"\r" in line[:-2]:
            raise Malformed(f"a line ends with a bare LF or holds a CR: {line!r}")
        return line[:-2]

    def exactly(self, count):
        deadline = time.monotonic() + self.seconds
        while len(self.received) - self._at < count:
            self.fill(deadline)
        data = bytes(self.received[self._at:self._at + count])
        self._at += count
        return data

    def rest(self):
        """All bytes up to the peer's FIN."""
        deadline = time.monotonic() + self.seconds
        try:
            while True:
                self.fill(deadline)
        except Ended:
            data = self.unread
            self._at = len(self.received)
            return data

    def fields(self):
        """Field lines up to the empty line."""
        result = []
        while line := self.line():
            name, colon, value = line.partition(b":")
            value = value.strip(b" \t")
            if not colon or not _TOKEN.fullmatch(name) or not _VALUE.fullmatch(value):
                raise Malformed(f"bad field line: {line!r}")
            result.append((name.decode("latin-1"), value.decode("latin-1")))
        return result

    def chunked_into(self, message):
        while True:
            line = self.line()
            match = _CHUNK_LINE.fullmatch(line)
            if not match:
                raise Malformed(f"bad chunk size line: {line!r}")
            if match[2]:
                message.extensions.append(match[2])
            size = int(match[1], 16)
            if size == 0:
                message.trailers = self.fields()
                return
            message.body += self.exactly(size)
            if self.exactly(2) != b"\r\n":
                raise Malformed("chunk data is not followed by CRLF")


def framing_of(message):
    """("chunked", None), ("length", N) or ("none", None); raises Malformed when the fields are at odds."""
    lengths, codings = message.all("Content-Length"), message.all("Transfer-Encoding")
    if codings:
        if lengths or [coding.lower() for coding in codings] != ["chunked"]:
            raise Malformed(f"framing at odds: {message.raw_head!r}")
        return "chunked", None
    if lengths:
        if len(lengths) != 1 or not re.fullmatch(r"0|[1-9][0-9]*", lengths[0]):
            raise Malformed(f"bad Content-Length: {message.raw_head!r}")
        return "length", int(lengths[0])
    return "none", None


def read_request_head(wire):
    start = len(wire.received) - len(wire.unread)
    line = wire.line()
    match = _REQUEST_LINE.fullmatch(line)
    if not match:
        raise Malformed(f"bad request line: {line!r}")
    request = Request(method=match[1].decode(), target=match[2].decode(), version="1." + match[3].decode())
    request.fields = wire.fields()
    request.raw_head = bytes(wire.received[start:len(wire.received) - len(wire.unread)])
    if request.version == "1.1" and len(request.all("Host")) != 1:
        raise Malformed(f"not exactly one Host: {request.raw_head!r}")
    return request


def read_request_body(wire, request):
    kind, length = framing_of(request)
    request.framing = kind
    if kind == "chunked":
        wire.chunked_into(request)
    elif kind == "length":
        request.body = wire.exactly(length)
    request.complete = True


def read_response_head(wire):
    start = len(wire.received) - len(wire.unread)
    line = wire.line()
    match = _STATUS_LINE.fullmatch(line)
    if not match:
        raise Malformed(f"bad status line: {line!r}")
    response = Response(version="1." + match[1].decode(), status=int(match[2]), reason=match[3].decode("latin-1"))
    response.fields = wire.fields()
    response.raw_head = bytes(wire.received[start:len(wire.received) - len(wire.unread)])
    return response


def read_response(wire, method="GET"):
    """One final response with the interim ones before it (RFC 9112 §6.3 for where the body ends)."""
    interim = []
    while (response := read_response_head(wire)).status < 200 and response.status != 101:
        if response.has("Content-Length") or response.has("Transfer-Encoding"):
            raise Malformed(f"framing fields on an interim response: {response.raw_head!r}")
        interim.append(response)
    response.interim = interim
    kind, length = framing_of(response)
    if response.status in (101, 204) and kind != "none":
        raise Malformed(f"framing fields on a {response.status}: {response.raw_head!r}")
    if method == "HEAD" or response.status in (101, 204, 304):
        return response
    response.framing = kind if kind != "none" else "close"
    if kind == "chunked":
        wire.chunked_into(response)
    elif kind == "length":
        response.body = wire.exactly(length)
    else:
        response.body = wire.rest()
    return response
