"""Ports for servers that cannot tell which one they got: free now, and outside the kernel's ephemeral range, so
that no outgoing connection takes one between the choice and the bind. Each pytest process walks a range of its own."""

import itertools
import os
import random
import socket

_FIRST, _SPAN = 10240, 2000
_worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:])
_offsets = itertools.count(random.randrange(_SPAN))


def free_port():
    """A TCP port on which nobody listens, never handed out twice in a row by this process."""
    for offset in itertools.islice(_offsets, _SPAN):
        port = _FIRST + _worker % 10 * _SPAN + offset % _SPAN
        with socket.socket() as probe:
            try:
                probe.bind(("0.0.0.0", port))
            except OSError:
                continue
        return port
    raise RuntimeError("no free port")
