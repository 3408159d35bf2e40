"""SteadyLoad: clients that never stop asking, in a thread of their own, and keep what went wrong."""

import selectors
import threading
import time

from support import wire
from support.client import connect, get
from support.wait import DEADLINE, wait_until


class _Lane:
    def __init__(self, address, request):
        self.sock = connect(address)
        self.wire = wire.Wire(self.sock, DEADLINE)
        self.sock.sendall(request)


class SteadyLoad:
    """`kept` keep-alive connections, and `fresh` ones with a request each, all with one request in flight until end().
    A connection is replaced when its answer says Connection: close, and only then: whatever else happens to it, also
    its orderly end before an answer, is a failure. Nothing is tried again."""

    def __init__(self, address, kept, fresh=0):
        self.answered = self.connected = 0
        self.failures = []
        self._address, self._kept, self._fresh = address, kept, fresh
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def wait_for(self, more):
        target = self.answered + more
        wait_until(lambda: self.answered >= target or self.failures, f"{more} more answers")

    def end(self):
        self._over.set()
        self._thread.join()
        assert not self.failures, f"{len(self.failures)} requests failed, {self.answered} did not: {self.failures[:5]}"
        return self.answered

    def _run(self):
        keep, close = get(), get(fields=[("Connection", "close")])
        with selectors.DefaultSelector() as selector:

            def open_lane(request):
                try:
                    lane = _Lane(self._address, request)
                except OSError as error:
                    self.failures.append(f"connecting: {error!r}")
                    return
                self.connected += 1
                lane.request = request
                selector.register(lane.sock, selectors.EVENT_READ, lane)

            for _ in range(self._kept):
                open_lane(keep)
            for _ in range(self._fresh):
                open_lane(close)
            last = time.monotonic()
            while selector.get_map() and len(self.failures) < 100:
                ready = selector.select(0.1)
                if not ready and time.monotonic() - last > DEADLINE:
                    self.failures.append(f"no answer on {len(selector.get_map())} connections")
                    break
                for key, _ in ready:
                    last = time.monotonic()
                    self._take(key.data, selector, open_lane)
            for key in list(selector.get_map().values()):
                key.data.sock.close()

    def _take(self, lane, selector, open_lane):
        def drop():
            selector.unregister(lane.sock)
            lane.sock.close()

        try:
            answer = wire.read_response(lane.wire)
        except (wire.Ended, OSError, wire.Malformed) as error:
            self.failures.append(repr(error))
            drop()
            return open_lane(lane.request)
        self.answered += 1
        if answer.status != 200:
            self.failures.append(answer.raw_head)
        if self._over.is_set():
            return drop()
        if answer.has("Connection"):
            drop()
            return open_lane(lane.request)
        lane.sock.sendall(lane.request)
