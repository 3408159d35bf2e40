"""Includes go one way. The table is the one of service/README.md: whoever changes one changes the other, and says why.

Every #include "…" of ours is read; a folder that is not in the table, or includes what its row does not name, fails."""

import pathlib
import re

ROOT = pathlib.Path(__file__).resolve().parent.parent

# folder: the folders of ours that it may include, besides itself
MAY_INCLUDE = {
    "runtime": "",
    "config": "",
    "service/http": "",
    "service/limit": "runtime",
    "service/telemetry": "config runtime",
    "service/tls": "runtime",
    "service/policy": "service/limit service/http service/telemetry config runtime",
    "service/upstream": "service/http service/telemetry service/tls config runtime",
    "service/proxy": "service/policy service/limit service/http service/telemetry service/upstream "
                     "service/tls config runtime",
    "service/admin": "service/http service/telemetry config runtime",
    "service/commands": "service/tls config",
    # app and main, which wire it all together
    "service": "service/policy service/limit service/http service/telemetry service/tls service/upstream service/proxy "
               "service/admin service/commands config runtime",
}

INCLUDE = re.compile(r'^\s*#\s*include\s+"([^"]+)"', re.MULTILINE)


def folder_of(path):
    """service/http of service/http/head.h, service of service/app.h, runtime of runtime/task.h."""
    top, *rest = path.split("/")
    return f"{top}/{rest[0]}" if top == "service" and len(rest) > 1 else top


def broken(path, text):
    """What a file at `path` with this text includes and may not, as messages."""
    folder = folder_of(path)
    allowed = {folder, *MAY_INCLUDE.get(folder, "").split()}
    return [f"{path} includes {included}, and {folder} may not"
            for included in INCLUDE.findall(text) if "/" in included and folder_of(included) not in allowed]


def sources():
    for top in ("runtime", "config", "service"):
        for path in sorted((ROOT / top).rglob("*")):
            if path.suffix in (".h", ".cpp"):
                yield str(path.relative_to(ROOT)), path.read_text()


def test_includes_point_downward():
    found = [message for path, text in sources() for message in broken(path, text)]
    assert not found, "\n".join(found)


def test_every_folder_is_in_the_table():
    folders = {folder_of(path) for path, _ in sources()}
    assert folders <= set(MAY_INCLUDE), f"without a row: {sorted(folders - set(MAY_INCLUDE))}"


def test_no_code_includes_a_test():
    found = [path for path, text in sources() if any(name.startswith("tests/") for name in INCLUDE.findall(text))]
    assert not found


def test_the_table_has_no_circle():
    done = set()
    while len(done) < len(MAY_INCLUDE):
        free = {folder for folder, below in MAY_INCLUDE.items() if folder not in done and set(below.split()) <= done}
        assert free, f"in a circle: {sorted(set(MAY_INCLUDE) - done)}"
        done |= free


def test_a_step_upward_is_seen():
    assert broken("runtime/task.cpp", '#include "runtime/stack.h"\n#include <vector>\n') == []
    assert broken("runtime/task.cpp", '#  include "config/model.h"') == ["runtime/task.cpp includes config/model.h, and runtime may not"]
    assert broken("service/http/head.h", '#include "service/limit/gcra.h"') != []
    assert broken("service/limit/gcra.h", '#include "service/app.h"') != []
    assert broken("service/main.cpp", '#include "service/proxy/listener.h"\n#include "config/load.h"') == []
    assert broken("service/new/thing.h", '#include "service/http/head.h"') != []
