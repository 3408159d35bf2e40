"""A proxy whose heap is watched, and short of memory when the test wants it so."""

import contextlib
import pathlib
import struct
import subprocess

from support.wait import DEADLINE

_SOURCE = pathlib.Path(__file__).resolve().parents[1] / "integration/clients/heap.c"


class Heap:
    """`environment` is for the process. Not for one that a sanitizer was built into: that has a heap of its own."""

    def __init__(self, directory):
        library, self._file = directory / "heap.so", directory / "heap"
        subprocess.run(["cc", "-shared", "-fPIC", "-O2", "-o", library, _SOURCE], check=True, timeout=DEADLINE)
        self._file.write_bytes(bytes(24))
        self.environment = {"LD_PRELOAD": str(library), "HEAP": str(self._file)}

    def calls(self):
        """How often memory was taken so far."""
        return self._numbers()[0]

    def refused(self):
        """How often there was none."""
        return self._numbers()[2]

    @contextlib.contextmanager
    def short(self, size=1):
        """No memory for so many bytes or more."""
        self._refuse_from(size)
        try:
            yield
        finally:
            self._refuse_from(0)

    def _numbers(self):
        return struct.unpack("=3Q", self._file.read_bytes())

    def _refuse_from(self, size):
        with open(self._file, "r+b") as file:
            file.seek(8)
            file.write(struct.pack("=Q", size))
