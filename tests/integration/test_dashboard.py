"""The dashboard, in a real browser, beside the real binary."""

import shutil

import pytest

from support.browser import Browser
from support.client import get
from support.pair import Pair
from support.ports import free_port
from support.upstream import response, serve
from support.wait import wait_until

pytestmark = pytest.mark.skipif(not (shutil.which("chromedriver") and shutil.which("chromium")),
                                reason="needs Debian's chromium and chromium-driver")

LIVE = "return document.getElementById('state').textContent === 'ready'"
LIMITS = [{"name": "per-ip", "rate": "1/h", "burst": 5}, {"name": "trial", "rate": "1/h", "burst": 2, "mode": "shadow"}]


@pytest.fixture(scope="module")
def shared_browser():
    browser = Browser()
    yield browser
    browser.stop()


@pytest.fixture
def browser(shared_browser):
    """A window that forgets; a page may say nothing to the console."""
    shared_browser.screen(1400, 900)
    shared_browser.complaints()
    yield shared_browser
    complaints = [text for text in shared_browser.complaints() if "401 (Unauthorized)" not in text and "ERR_CONNECTION_REFUSED" not in text]
    shared_browser.open("about:blank")
    assert not complaints


@pytest.fixture
def pair(start_sluice, scripted):
    """pair(**configuration) -> Pair, as everywhere, but one that is not finished: the browser keeps its connections."""
    def start(**config):
        upstream = scripted(serve(response(body=b"ok")))
        return Pair(start_sluice({"upstream": upstream.address, **config}), upstream)
    return start


def url(sluice):
    host, port = sluice.admin
    return f"http://{host}:{port}/"


def cells(browser, table):
    """The rows of a table's body, as lists of what a reader sees."""
    return browser.run("return [...document.querySelectorAll(arguments[0] + ' tbody tr')].map(row => [...row.cells].map(cell => cell.innerText.trim()))", table)


def test_the_page_shows_what_happens_as_it_happens(pair, browser):
    proxy = pair(limits=LIMITS)
    browser.open(url(proxy.sluice))
    browser.wait_for(LIVE, "live")
    for source, count in (("127.0.0.2", 3), ("127.0.0.3", 9)):
        client = proxy.client(source=source)
        for _ in range(count):
            client.get()
    wait_until(lambda: browser.text("#requests + span") == "12 since the start", "all requests on the page")
    assert "4 in all" in browser.text("#limited + span")
    limits = {row[0].split("\n")[0]: row for row in cells(browser, "#limits")}
    assert limits["per-ip"][1] == "1/h, burst 5 · token bucket" and limits["per-ip"][5:] == ["8", "4", "2"]
    assert limits["trial"][0].split() == ["trial", "shadow"]
    wait_until(lambda: [row[:1] + row[2:4] for row in cells(browser, "#clients") if row[1:2] == ["per-ip"]] ==
               [["127.0.0.3", "5", "4"], ["127.0.0.2", "3", "0"]], "the clients, most refused first")
    server, = cells(browser, "#upstreams")
    assert server[:2] == [proxy.upstream.address, "default"]
    browser.wait_for("return [...document.querySelectorAll('#flow .line')].some(line => line.getAttribute('d'))", "a line in the chart")


def test_what_a_reload_took_away_lends_its_figures_to_nobody(pair, browser):
    """Two events as the page gets them, before and after a reload that leaves out the first limit and the first upstream."""
    proxy = pair(limits=LIMITS)
    browser.open(url(proxy.sluice))
    browser.wait_for(LIVE, "live")
    assert browser.run("""
        const before = structuredClone(last);
        before.limits[1].allowed = 5000;
        before.upstreams.push({ ...structuredClone(before.upstreams[0]), name: 'second' });
        before.upstreams[1].servers[0].requests = 5000;
        const after = structuredClone(before);
        after.uptime_seconds += 1;
        after.limits.shift();
        after.upstreams.shift();
        show(before);
        show(after);
        const cell = (table, at) => document.querySelector(table + ' tbody tr').cells[at].innerText;
        return [cell('#limits', 3), cell('#upstreams', 2)];""") == ["0", "0"]


def test_that_the_last_reload_failed_is_shown_until_one_succeeds(pair, browser):
    proxy = pair(limits=LIMITS)
    started = proxy.sluice.config
    browser.open(url(proxy.sluice))
    browser.wait_for(LIVE, "live")
    assert browser.text("#not-reloaded") == ""
    proxy.sluice.write("{")
    wait_until(lambda: "The last reload failed" in browser.text("#not-reloaded"), "the failure on the page")
    proxy.sluice.reload(started)
    wait_until(lambda: browser.text("#not-reloaded") == "", "its end on the page")


def test_a_limit_that_delays_shows_how_many(pair, browser):
    """The column comes with the first."""
    proxy = pair(limits=[{"name": "slow", "rate": "4/s", "burst": 1, "action": "delay"}, LIMITS[0]])
    columns = "return [...document.querySelectorAll('#limits th')].map(head => head.textContent)"
    browser.open(url(proxy.sluice))
    browser.wait_for(LIVE, "live")
    assert browser.run(columns)[5:] == ["allowed", "refused", "clients"]
    client = proxy.client()
    client.send(get() * 4)
    assert [client.read().status for _ in range(4)] == [200] * 4
    wait_until(lambda: [row[5:] for row in cells(browser, "#limits")] == [["4", "0", "3", "1"], ["4", "0", "0", "1"]], "three delayed")
    assert browser.run(columns)[5:] == ["allowed", "refused", "delayed", "clients"]


def test_who_is_shut_out_is_shown_and_let_in_with_a_button(pair, browser):
    proxy = pair(limits=[{"name": "per-ip", "rate": "1/h", "burst": 2, "ban": {"after": 2, "within": "1m", "for": "2h"}}])
    client = proxy.client(source="127.0.0.2")
    wait_until(lambda: client.get().status == 403, "banned")
    assert proxy.sluice.ask_admin("PUT", "/bans/192.0.2.0%2F24", '{"for": "90s"}')[0] == 200
    browser.open(url(proxy.sluice))
    wait_until(lambda: [row[:3] for row in cells(browser, "#bans")] ==
               [["192.0.2.0/24", "everything", "an operator"], ["127.0.0.2", "what per-ip limits", "its refusals"]], "both, the newest first")
    rows = cells(browser, "#bans")
    assert rows[0][4].endswith(" s") and rows[1][4].startswith("119 min") and rows[0][5] == "let in"
    wait_until(lambda: any("banned" in row[0] for row in cells(browser, "#clients")), "the client is marked")
    browser.press("[aria-label='Let in 127.0.0.2']")
    wait_until(lambda: [row[0] for row in cells(browser, "#bans")] == ["192.0.2.0/24"], "one is let in")
    assert client.get().status == 429, "limited, as before"
    browser.press("[aria-label='Let in 192.0.2.0/24']")
    wait_until(lambda: cells(browser, "#bans") == [["Nobody is shut out."]], "nobody is left")
    assert [ban["key"] for ban in proxy.sluice.admin_json("/bans")["bans"]] == []


def test_the_button_works_with_the_token(start_sluice, scripted, browser):
    sluice = start_sluice({"upstream": scripted().address, "admin": {"address": f"127.0.0.1:{free_port()}", "token": "s3cret"}})
    bearer = {"Authorization": "Bearer s3cret"}
    assert sluice.ask_admin("PUT", "/bans/192.0.2.1", '{"for": "1h"}', bearer)[0] == 200
    browser.open(url(sluice))
    browser.wait_for("return document.activeElement.id === 'token'", "asked for the token")
    browser.keys(*"s3cret", "\ue007")
    browser.wait_for("return document.querySelector('#bans button')", "the ban")
    browser.press("#bans button")
    wait_until(lambda: cells(browser, "#bans") == [["Nobody is shut out."]], "let in")
    assert '"total": 0' in sluice.ask_admin("GET", "/bans", headers=bearer)[2]


def test_a_key_that_several_limits_shut_out_has_a_button_in_each_row(pair, browser):
    shut = {"rate": "1/h", "burst": 1, "ban": {"after": 1, "within": "1m", "for": "2h"}}
    proxy = pair(limits=[{"name": name, "match": {"path_prefix": f"/{name}/"}, **shut} for name in ("a", "b")])
    client = proxy.client(source="127.0.0.2")
    for path in ("/a/", "/b/"):
        wait_until(lambda: client.get(path).status == 403, "banned")
    browser.open(url(proxy.sluice))
    wait_until(lambda: sorted(row[1] for row in cells(browser, "#bans") if row[1:]) == ["what a limits", "what b limits"], "both")
    assert [row[5] for row in cells(browser, "#bans")] == ["let in"] * 2
    browser.press("[aria-label='Let in 127.0.0.2']")
    wait_until(lambda: cells(browser, "#bans") == [["Nobody is shut out."]], "let in everywhere")


def test_why_somebody_was_not_let_in_is_shown(pair, browser):
    proxy = pair()
    assert proxy.sluice.ask_admin("PUT", "/bans/192.0.2.1", '{"for": "1h"}')[0] == 200
    browser.open(url(proxy.sluice))
    browser.wait_for("return document.querySelector('#bans button')", "the ban")
    # In the place of the service: the console would tell of its 404, as of what a page has lost.
    browser.run("""
        window.fetch = (answer => async (path, how) => how.method === 'DELETE' ? answers.shift() : answer(path, how))(fetch);
        window.answers = [new Response('{"detail": "nobody of this key is banned"}', { status: 404 }), new Response('', { status: 403 }),
          new Response('{}', { status: 200 })];""")
    for told in ("192.0.2.1 was not let in: nobody of this key is banned", "192.0.2.1 was not let in: status 403", ""):
        browser.press("#bans button")
        wait_until(lambda: browser.text("#not-let-in") == told, "why")


@pytest.mark.parametrize("first", ["by itself", "at the button"])
def test_another_token_is_asked_for_when_it_changes(start_sluice, scripted, browser, first):
    config = {"upstream": scripted().address, "admin": {"address": f"127.0.0.1:{free_port()}", "token": "s3cret"}}
    sluice = start_sluice(config)
    assert sluice.ask_admin("PUT", "/bans/192.0.2.1", '{"for": "1h"}', {"Authorization": "Bearer s3cret"})[0] == 200
    browser.open(url(sluice))
    browser.wait_for("return document.activeElement.id === 'token'", "asked for the token")
    browser.keys(*"s3cret", "\ue007")
    browser.wait_for("return document.querySelector('#bans button')", "the ban")
    sluice.write({**config, "admin": {**config["admin"], "token": "0ther"}})
    wait_until(lambda: sluice.ask_admin("GET", "/stats", headers={"Authorization": "Bearer 0ther"})[0] == 200, "the new token in force")
    if first == "at the button":
        browser.run("document.querySelector('#bans button')?.click()")
    browser.wait_for("return document.activeElement.id === 'token'", "asked for the new one")
    assert browser.text("#page") == "" and browser.text("#refused") == "This token was not accepted."
    browser.keys(*"0ther", "\ue007")
    browser.wait_for(LIVE, "live")
    browser.wait_for("return document.querySelector('#bans button')", "the ban, still")


def test_any_call_that_is_refused_asks_for_the_token(pair, browser):
    """The stream of before goes on here, as it does until the service has ended it."""
    proxy = pair()
    browser.open(url(proxy.sluice))
    browser.wait_for(LIVE, "live")
    browser.run("window.fetch = async () => new Response('', { status: 401 })")
    browser.wait_for("return document.activeElement.id === 'token'", "asked for it")
    assert browser.text("#page") == ""


def test_nothing_but_the_page_and_its_calls_is_loaded(pair, browser):
    proxy = pair()
    browser.open(url(proxy.sluice))
    browser.wait_for(LIVE, "live")
    loaded = browser.wait_for("return performance.getEntriesByType('resource').map(entry => entry.name)", "a call that has ended")
    assert all(name.startswith((url(proxy.sluice), "data:")) for name in loaded)


def test_it_notices_a_restart_and_goes_on(start_sluice, scripted, browser):
    config = {"upstream": scripted().address, "admin": {"address": f"127.0.0.1:{free_port()}"}}
    first = start_sluice(config)
    browser.open(url(first))
    browser.wait_for(LIVE, "live")
    first.kill()
    browser.wait_for("return document.getElementById('state').textContent === 'connection lost'", "lost")
    second = start_sluice(config)
    browser.wait_for(LIVE, "live again")
    assert url(first) == url(second)


def test_the_token_is_asked_for_once(start_sluice, scripted, browser):
    sluice = start_sluice({"upstream": scripted().address, "admin": {"address": f"127.0.0.1:{free_port()}", "token": "s3cret"}})
    browser.open(url(sluice))
    browser.wait_for("return document.activeElement.id === 'token'", "asked for the token")
    browser.keys(*"wrong", "\ue007")
    browser.wait_for("return document.getElementById('refused').textContent !== ''", "refused")
    assert browser.text("#page") == ""
    browser.keys(*"s3cret", "\ue007")
    browser.wait_for(LIVE, "live")
    browser.reload()
    browser.wait_for(LIVE, "live again, unasked")
    assert browser.run("return [localStorage.length, document.cookie, location.href]") == [0, "", url(sluice)]
    browser.press("#leave")
    browser.wait_for("return document.activeElement.id === 'token'", "asked again")


@pytest.mark.parametrize("width", [390, 768, 1400])
def test_nothing_is_wider_than_the_window(pair, browser, width):
    proxy = pair(limits=[*LIMITS, {"name": "a-limit-with-a-name-that-is-as-long-as-anyone-would-make-it", "rate": "10/s"}])
    browser.screen(width, 800)
    proxy.client().get()
    browser.open(url(proxy.sluice))
    browser.wait_for(LIVE, "live")
    wait_until(lambda: any(len(row) > 1 for row in cells(browser, "#clients")), "the clients")
    assert browser.run("return document.documentElement.scrollWidth <= document.documentElement.clientWidth")


def test_light_and_dark_are_the_systems_until_chosen(pair, browser):
    ground = "return getComputedStyle(document.body).backgroundColor"
    proxy = pair()
    browser.open(url(proxy.sluice))
    browser.wait_for(LIVE, "live")
    light = browser.run(ground)
    browser.screen(1400, 900, dark=True)
    dark = browser.wait_for(f"const now = (() => {{ {ground} }})(); return now !== '{light}' && now", "dark")
    browser.press("#theme")
    assert browser.run(ground) == light
    browser.reload()
    assert browser.run(ground) == light
    browser.press("#theme")
    assert browser.run(ground) == dark


def test_a_chart_is_read_with_the_keyboard(pair, browser):
    proxy = pair()
    browser.open(url(proxy.sluice))
    browser.wait_for("return document.querySelector('#flow .line') && document.title !== 'Sluice'", "live")
    wait_until(lambda: browser.run("return past.samples.length >= 3"), "some seconds seen")
    browser.run("document.getElementById('flow').focus()")
    browser.keys("\ue012", "\ue012")
    assert "ago" in browser.text("#flow .tip") and "allowed" in browser.text("#flow .tip")
    browser.keys("\ue00c")
    assert browser.text("#flow .tip") == ""
