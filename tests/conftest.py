"""Fixtures for every test over real sockets."""

import itertools

import pytest

from support.nginx import Nginx
from support.pair import Pair
from support.sluice import Sluice
from support.upstream import ScriptedUpstream, response, serve

_SLUICES = pytest.StashKey()
_FAILED = pytest.StashKey()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """Shows what the proxies of a failed test had to say."""
    outcome = yield
    report = outcome.get_result()
    if report.failed:
        item.stash[_FAILED] = True
        for number, sluice in enumerate(item.stash.get(_SLUICES, [])):
            report.sections.append((f"stderr of sluice {number}, pid {sluice.pid}", sluice.stderr[-8000:]))


@pytest.fixture
def start_sluice(tmp_path, request):
    """start_sluice(config, **options) -> Sluice; each is ended with the test."""
    started = request.node.stash.setdefault(_SLUICES, [])
    numbers = itertools.count()

    def start(config, **options):
        directory = tmp_path / f"sluice-{next(numbers)}"
        directory.mkdir()
        sluice = Sluice(config, directory, **options)
        started.append(sluice)
        return sluice

    yield start
    for sluice in started:
        sluice.kill()


@pytest.fixture
def scripted():
    """scripted(script) -> ScriptedUpstream; whatever came to it must have been well-formed HTTP."""
    started = []

    def start(script=None, **options):
        upstream = ScriptedUpstream(script, **options)
        started.append(upstream)
        return upstream

    yield start
    for upstream in started:
        upstream.stop()
    for upstream in started:
        assert not upstream.violations, f"the proxy sent malformed messages: {upstream.violations}"


@pytest.fixture
def closing():
    """closing(thing) -> thing; calls its stop() when the test ends."""
    things = []
    yield lambda thing: things.append(thing) or thing
    for thing in reversed(things):
        thing.stop()


@pytest.fixture(scope="session")
def nginx(tmp_path_factory):
    server = Nginx(tmp_path_factory.mktemp("nginx"))
    yield server
    server.stop()


@pytest.fixture
def pair(start_sluice, scripted, request):
    """pair(script, **configuration) -> Pair: a proxy in front of a scripted upstream. By default the smallest
    configuration; `app` (options of the upstream) and `before` (addresses of other servers, taking their turn first)
    write it out as the upstream "app", with one route unless the test brings `routes` of its own.
    A test that passed has its Pair finished: no task, descriptor or connection may be left over."""
    made = []

    def start(script=None, app=None, before=(), sluice_options=None, **config):
        upstream = scripted(script or serve(response(body=b"ok")))
        if app is None and not before and "routes" not in config:
            config = {"upstream": upstream.address, **config}
        else:
            servers = {"servers": [*before, upstream.address], **(app or {})}
            config = {"upstreams": {"app": servers}, "routes": [{"upstream": "app"}], **config}
        config.setdefault("log", {"access": "off"})
        made.append(Pair(start_sluice(config, **(sluice_options or {})), upstream))
        return made[-1]

    yield start
    for each in made:
        if each.sluice.alive() and not request.node.stash.get(_FAILED, False):
            each.finish()
