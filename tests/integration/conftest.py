"""What is awaited, an authority for certificates, and the last line of a conformance run."""

import pytest

from support.tls import Authority

# Tests of what is not built yet: the beginning of a test's name, and what it waits for. Strict: a test that passes
# before its line is taken out fails the run, so the list cannot grow stale.
AWAITED = {}


def pytest_collection_modifyitems(items):
    for item in items:
        for name, reason in AWAITED.items():
            if item.name.startswith(name):
                item.add_marker(pytest.mark.xfail(strict=True, reason=f"not built yet: {reason}"))


@pytest.fixture(scope="session")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("authority"))


def pytest_unconfigure(config):
    """The count, as the last line on the terminal."""
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None or hasattr(config, "workerinput"):
        return
    count = {kind: len(reporter.stats.get(kind, [])) for kind in ("passed", "failed", "error", "xfailed")}
    awaited = f", {count['xfailed']} awaited" if count["xfailed"] else ""
    reporter.write_line(f"{count['passed']} passed, {count['failed'] + count['error']} failed{awaited}")
