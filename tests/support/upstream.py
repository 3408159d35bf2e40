"""ScriptedUpstream: a server that behaves, or misbehaves, exactly as a test tells it to, and keeps every byte it got.

A script is a function of one Connection, run in a thread per accepted connection:

    def script(connection):
        request = connection.read_request()
        connection.send(b"HTTP/1.1 200 OK\\r\\nContent-Length: 5\\r\\n\\r\\nhel")
        connection.reset()

What the proxy sends must always be well-formed; anything else is kept in `violations`, and the fixture fails on it.
"""

import contextlib
import os
import socket
import struct
import threading
import time

from support import wire
from support.wait import DEADLINE, wait_until


def response(status=200, body=b"", fields=(), reason="Fine", version="1.1"):
    """The bytes of a response with Content-Length."""
    lines = [f"HTTP/{version} {status} {reason}"] + [f"{name}: {value}" for name, value in fields]
    if status >= 200 and status not in (204, 304):
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join(lines + ["", ""]).encode("latin-1") + body


def chunked(*pieces, trailers=()):
    """The bytes of a chunked body."""
    body = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces if piece)
    return body + b"0\r\n" + b"".join(f"{n}: {v}\r\n".encode() for n, v in trailers) + b"\r\n"


def serve(*answers):
    """A script that answers request after request with the given bytes in turn, the last one again and again."""

    def script(connection):
        turn = 0
        while connection.read_request():
            connection.send(answers[min(turn, len(answers) - 1)])
            turn += 1

    return script


def once(answer, after="close"):
    """A script that reads one request, answers with these bytes and then closes, resets or hangs."""

    def script(connection):
        if connection.read_request():
            connection.send(answer)
            getattr(connection, after)()

    return script


def in_turn(*scripts):
    """One script per connection, in the order of the accepts; the last one again and again."""

    def script(connection):
        scripts[min(connection.index, len(scripts) - 1)](connection)

    return script


class Connection:
    """One accepted connection, in the hands of a script."""

    def __init__(self, upstream, sock, index):
        self.upstream = upstream
        self.sock = sock
        self.index = index
        self.wire = wire.Wire(sock, DEADLINE)
        self.requests = []
        self.ended = threading.Event()  # the peer is gone, in order or not
        self.was_reset = False
        self.thread = None  # that runs the script

    @property
    def received(self):
        return bytes(self.wire.received)

    def read_head(self):
        """The next request's head, or None when the peer closed between two requests."""
        try:
            request = wire.read_request_head(self.wire)
        except (wire.Ended, ConnectionError) as error:
            self._end(error)
            return None
        self.requests.append(request)
        return request

    def read_body(self, request):
        """The body of a request whose head was read; returns whether it was complete."""
        try:
            wire.read_request_body(self.wire, request)
        except (wire.Ended, ConnectionError) as error:
            self._end(error)
        return request.complete

    def read_request(self):
        """The next request, complete, or None when the peer is gone."""
        request = self.read_head()
        if request is None or not self.read_body(request):
            return None
        return request

    def send(self, data):
        with contextlib.suppress(ConnectionError):
            self.sock.settimeout(DEADLINE)
            self.sock.sendall(data)

    def drip(self, data, seconds):
        """One byte each `seconds`, until all are gone or the peer is."""
        for at in range(len(data)):
            self.send(data[at:at + 1])
            if self.gone(seconds):
                return

    def hang(self):
        """Sends nothing more, and takes what comes, until the peer leaves or the test ends."""
        with contextlib.suppress(OSError, TimeoutError):
            try:
                while not self.upstream.stopping.is_set():
                    self.wire.fill()
            except (wire.Ended, ConnectionError) as error:
                self._end(error)

    def wait_gone(self, seconds=DEADLINE):
        """Whether the peer closed or reset within `seconds`."""
        return self.ended.wait(seconds)

    def half_close(self):
        self.sock.shutdown(socket.SHUT_WR)

    def close(self):
        # shutdown() first: another thread of the test may hold the socket in recv(). The plain socket's, for after that
        # of an SSLSocket the other thread would read what is left as if nobody had encrypted it.
        with contextlib.suppress(OSError):
            socket.socket.shutdown(self.sock, socket.SHUT_RDWR)
        # The script closes it at its end: closed under its recv(), the number could be another socket's by then.
        if self.thread is None or self.thread is threading.current_thread() or not self.thread.is_alive():
            self.sock.close()

    def reset(self):
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    def gone(self, seconds):
        """Whether the peer leaves within `seconds`; what it sends is taken."""
        try:
            self.wire.fill(time.monotonic() + seconds)
        except TimeoutError:
            return False
        except (wire.Ended, ConnectionError) as error:
            self._end(error)
            return True
        return False

    def _end(self, error):
        self.was_reset = isinstance(error, ConnectionError)
        self.ended.set()


class ScriptedUpstream:
    """Listens on a port of its own (or on a Unix socket) and runs `script` for each connection."""

    def __init__(self, script=None, unix=None, host="127.0.0.1", port=0):
        self.script = script or serve(response(body=b"ok"))
        self.connections = []
        self.violations = []
        self.stopping = threading.Event()
        self._threads = []
        self._probe = None  # the address of settle()'s own connection
        self._probe_accepted = threading.Event()
        if unix:
            self._listener = socket.socket(socket.AF_UNIX)
            self._listener.bind(unix)
        else:
            self._listener = socket.create_server((host, port), backlog=1024)
        self._listener.listen(1024)
        self._unix = unix
        self._accepting = threading.Thread(target=self._accept, daemon=True)
        self._accepting.start()

    @property
    def address(self):
        """As the configuration names it."""
        if self._unix:
            return f"unix:{self._unix}"
        host, port = self._listener.getsockname()
        return f"{host}:{port}"

    @property
    def port(self):
        return self._listener.getsockname()[1]

    @property
    def requests(self):
        """Every request of which the head came, over all connections in the order of the accepts."""
        return [request for connection in list(self.connections) for request in list(connection.requests)]

    @property
    def received(self):
        """Every byte that came, over all connections."""
        return b"".join(connection.received for connection in list(self.connections))

    def request(self):
        """The one request that came, complete."""
        wait_until(lambda: self.requests and self.requests[-1].complete, "a complete request at the upstream")
        assert len(self.requests) == 1, f"{len(self.requests)} requests came"
        return self.requests[0]

    def wait_for_requests(self, count, seconds=None):
        wait_until(lambda: len(self.requests) >= count, f"{count} requests at the upstream", seconds)
        return self.requests

    def wait_script_ended(self, index):
        """Returns when the script of that connection has ended, and its socket is closed."""
        wait_until(lambda: len(self._threads) > index and not self._threads[index].is_alive(), f"the end of script {index}")

    def settle(self):
        """Returns when every connection made so far was accepted and its script has ended. For when the proxy has
        exited: the kernel may then still hold connections, with bytes in them, that no script has seen."""
        probe = socket.socket(self._listener.family)
        probe.settimeout(DEADLINE)
        if not self._unix:
            probe.bind(("127.0.0.1", 0))
        self._probe = probe.getsockname()
        with probe:
            probe.connect(self._listener.getsockname())
            assert self._probe_accepted.wait(DEADLINE), "our own connection was never accepted"
        for thread in list(self._threads):
            thread.join(DEADLINE)
            assert not thread.is_alive(), "a script never ended"

    def stop(self):
        self.stopping.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for connection in list(self.connections):
            connection.close()
        for thread in [self._accepting] + list(self._threads):
            thread.join(DEADLINE)
        if self._unix:
            with contextlib.suppress(OSError):
                os.unlink(self._unix)

    def _accept(self):
        while not self.stopping.is_set():
            try:
                sock, peer = self._listener.accept()
            except OSError:
                return
            if self._probe is not None and peer == self._probe:
                sock.close()
                self._probe_accepted.set()
                continue
            if not self._unix:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection = Connection(self, sock, len(self.connections))
            self.connections.append(connection)
            thread = threading.Thread(target=self._run, args=(connection,), daemon=True)
            connection.thread = thread
            self._threads.append(thread)
            thread.start()

    def _run(self, connection):
        try:
            self.script(connection)
        except wire.Malformed as error:
            self.violations.append(str(error))
        except (OSError, TimeoutError):
            pass  # the socket went away under the script: the test's own doing
        finally:
            connection.close()


class Refusing:
    """An address where every connection is refused: bound, so that nobody else takes it, and never listening."""

    def __init__(self):
        self._socket = socket.socket()
        self._socket.bind(("127.0.0.1", 0))
        self.address = "127.0.0.1:%d" % self._socket.getsockname()[1]

    def stop(self):
        self._socket.close()


class Blackhole:
    """An address where connecting hangs: its queue of connections is full and nobody accepts. `path`: a Unix socket."""

    def __init__(self, path=None):
        family = socket.AF_UNIX if path else socket.AF_INET
        self._listener = socket.socket(family)
        self._listener.bind(str(path) if path else ("127.0.0.1", 0))
        self._listener.listen(0)
        self.address = f"unix:{path}" if path else "127.0.0.1:%d" % self._listener.getsockname()[1]
        self._fillers = []
        while True:
            filler = socket.socket(family)
            filler.settimeout(0.2)
            self._fillers.append(filler)
            try:
                filler.connect(self._listener.getsockname())
            except (TimeoutError, BlockingIOError):  # TCP's, a Unix socket's
                return

    def stop(self):
        for filler in self._fillers:
            filler.close()
        self._listener.close()
