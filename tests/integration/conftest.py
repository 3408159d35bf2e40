"""An authority for certificates, and the last line of a conformance run."""

import pytest

from support.tls import Authority


@pytest.fixture(scope="session")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("authority"))


def pytest_unconfigure(config):
    """The count, as the last line on the terminal."""
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None or hasattr(config, "workerinput"):
        return
    count = {kind: len(reporter.stats.get(kind, [])) for kind in ("passed", "failed", "error")}
    reporter.write_line(f"{count['passed']} passed, {count['failed'] + count['error']} failed")
