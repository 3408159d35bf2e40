"""How deep the stacks of a process's tasks have been, by its page table: what a call touched stays in memory until the
runtime gives it back, up to a second later."""

import os
import pathlib
import struct

PAGE = 4096
PRESENT, GUARD = 1 << 63, 1 << 58  # Documentation/admin-guide/mm/pagemap.rst; the second since Linux 6.15


def least_left(pid, stack):
    """Of all stacks of this many bytes, how many of them were never touched of the deepest, its guard page not counted;
    None where the kernel does not show the guards."""
    pages = _pages(pid)
    guards = sorted(page for page, seen in pages.items() if seen == GUARD)
    each, left = stack // PAGE, []
    for before, guard, behind in zip([0, *guards], guards, [*guards[1:], 0]):
        if each not in (guard - before, behind - guard):
            continue
        touched = [page for page in range(guard + 1, guard + each) if pages.get(page) == PRESENT]
        left.append(((min(touched) if touched else guard + each) - guard - 1) * PAGE)
    return min(left, default=None)


def _pages(pid):
    """{number of a page: PRESENT or GUARD}, of memory that belongs to no file."""
    found = {}
    with open(f"/proc/{pid}/pagemap", "rb", buffering=0) as table:
        for line in pathlib.Path(f"/proc/{pid}/maps").read_text().splitlines():
            area, access, _, _, inode, *name = line.split()
            first, end = (int(edge, 16) // PAGE for edge in area.split("-"))
            if inode != "0" or name:
                continue
            if access.startswith("---") and end - first == 1:  # a guard by mprotect
                found[first] = GUARD
            elif access.startswith("rw"):
                entries = os.pread(table.fileno(), (end - first) * 8, first * 8)
                for number, (entry,) in enumerate(struct.iter_unpack("Q", entries), first):
                    if entry & (GUARD | PRESENT):
                        found[number] = GUARD if entry & GUARD else PRESENT
    return found
