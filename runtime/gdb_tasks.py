"""gdb commands for programs of the runtime, running or as a core file:

    (gdb) source runtime/gdb_tasks.py
    (gdb) sluice-tasks           every task: id, state, what it waits for, where it was spawned
    (gdb) sluice-frames ID       the frames of a task that is parked (x86-64)

They need no types, only symbols (runtime/gdb_tables.h).
"""

import gdb

FIELDS = ("version", "task_bytes", "colours", "colour_step", "id", "state", "reason", "what", "file", "line", "frame_pointer", "resume")
STATES = ("free", "runnable", "running", "parked")


def address(symbol):
    return int(gdb.parse_and_eval("(unsigned long)&" + symbol))


def number(at, size=8):
    return int.from_bytes(gdb.selected_inferior().read_memory(at, size).tobytes(), "little")


def text(at):
    data = b""
    while at and not data.endswith(b"\0") and len(data) < 4096:
        data += gdb.selected_inferior().read_memory(at + len(data), 1).tobytes()
    return data[:-1].decode(errors="replace")


class Task:
    def __init__(self, at, layout):
        self.at = at
        self.id = number(at + layout["id"])
        self.state = STATES[number(at + layout["state"], 1)]
        self.reason = text(number(address("sluice_gdb_reasons") + 8 * number(at + layout["reason"], 1)))
        self.what = number(at + layout["what"])
        self.spawned = "%s:%d" % (text(number(at + layout["file"])), number(at + layout["line"], 4))
        self.frame_pointer = number(at + layout["frame_pointer"])
        self.resume = number(at + layout["resume"])

    def __str__(self):
        waits = " in %s on 0x%x" % (self.reason, self.what) if self.state == "parked" else ""
        return "%d %s%s, spawned at %s" % (self.id, self.state, waits, self.spawned)

    def frames(self):
        """The addresses that it will go on with, innermost first."""
        at, frame = self.resume, self.frame_pointer
        while at:
            yield at
            if not self.at - (8 << 20) < frame < self.at:  # not on its stack, which ends with the Task
                return
            at, frame = number(frame + 8), number(frame)


def tasks():
    table = address("sluice_gdb_layout")
    layout = {name: number(table + 4 * i, 4) for i, name in enumerate(FIELDS)}
    if layout["version"] != 1:
        raise gdb.GdbError("this program's tables are of another version than this script")
    slab = number(address("sluice_gdb_slabs"))
    while slab:
        base, slot, carved = (number(slab + 8 * i) for i in range(3))
        for index in range(number(carved)):
            colour = index % layout["colours"] * layout["colour_step"]
            task = Task(base + (index + 1) * slot - colour - layout["task_bytes"], layout)
            if task.id and task.state != "free":
                yield task
        slab = number(slab + 24)


class ListTasks(gdb.Command):
    """Every task: id, state, what it waits for, where it was spawned."""

    def __init__(self):
        super().__init__("sluice-tasks", gdb.COMMAND_STATUS)

    def invoke(self, argument, from_tty):
        for task in sorted(tasks(), key=lambda task: task.id):
            print(task)


class ShowFrames(gdb.Command):
    """The frames of a task that is parked: sluice-frames ID."""

    def __init__(self):
        super().__init__("sluice-frames", gdb.COMMAND_STACK)

    def invoke(self, argument, from_tty):
        wanted = int(argument)
        for task in tasks():
            if task.id == wanted:
                break
        else:
            raise gdb.GdbError("there is no task %d" % wanted)
        if task.state not in ("parked", "runnable"):
            raise gdb.GdbError("task %d is %s: see the threads" % (wanted, task.state))
        for depth, at in enumerate(task.frames()):
            # A return address is after its call, which may be the last of its function.
            print("#%d 0x%x %s" % (depth, at, gdb.execute("info line *0x%x" % (at - (depth > 0)), to_string=True).strip()))


ListTasks()
ShowFrames()
