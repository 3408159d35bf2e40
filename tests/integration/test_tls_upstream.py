"""TLS towards upstreams: whom we trust, and what becomes of a connection that is cut."""


import pytest

from support.client import expect_problem, get
from support.sluice import run
from support.tls import Authority, openssl, under_tls
from support.upstream import response, serve
from support.wait import wait_until

OK = serve(response(body=b"ok"))


@pytest.fixture
def secured(pair, authority):
    """secured(script, names, tls) -> Pair whose upstream speaks TLS with a certificate for these names."""

    def start(script=OK, names=("127.0.0.1",), tls=None, app=None, context=None):
        context = context or authority.server_context(authority.issue(*names))
        made = pair(under_tls(context, script), app={"tls": {"ca": authority.root} if tls is None else tls, **(app or {})})
        made.context = context
        return made

    return start


def test_requests_go_to_the_server_under_tls_and_its_connection_is_kept(secured):
    proxy = secured()
    client = proxy.client()
    for _ in range(3):
        assert client.get().body == b"ok"
    assert len(proxy.upstream.connections) == 1
    assert proxy.upstream.connections[0].sock.version() == "TLSv1.3"


def test_interim_answers_come_while_the_body_goes(secured):
    """A task reads what another is still writing: one TLS session, two directions."""
    size = 8 << 20

    def script(connection):
        request = connection.read_head()
        for _ in range(50):
            connection.send(b"HTTP/1.1 103 Early Hints\r\n\r\n")
            connection.wire.fill()
        assert connection.read_body(request)
        connection.send(response(body=b"d" * size))

    proxy = secured(script)
    answer = proxy.client().ask(get("/", method="POST", body=b"u" * size))
    assert answer.body == b"d" * size and len(answer.interim) == 50
    assert proxy.upstream.request().body == b"u" * size


@pytest.mark.parametrize("names, tls, good", [
    (["127.0.0.1"], {}, True),
    (["other.example"], {}, False),
    (["other.example"], {"server_name": "other.example"}, True),
    (["other.example"], {"server_name": "wrong.example"}, False),
    (["*.w.example"], {"server_name": "a.w.example"}, True),
])
def test_the_certificate_must_be_for_the_server(secured, authority, names, tls, good):
    proxy = secured(names=names, tls={"ca": authority.root, **tls})
    answer = proxy.client().get()
    if good:
        assert answer.status == 200
    else:
        expect_problem(answer, 502)
        wait_until(lambda: "certificate verify failed" in proxy.sluice.stderr, "the reason in the log")
        assert not proxy.upstream.requests


def test_the_systems_authorities_are_trusted_by_default_and_no_others(secured):
    proxy = secured(tls={})
    expect_problem(proxy.client().get(), 502)
    wait_until(lambda: '"reason":"certificate verify failed' in proxy.sluice.stderr, "the reason in the log")


def test_a_certificate_that_has_expired_is_none(secured, authority):
    proxy = secured(context=authority.server_context(authority.issue("127.0.0.1", days=-1)))
    expect_problem(proxy.client().get(), 502)
    wait_until(lambda: "certificate has expired" in proxy.sluice.stderr, "the reason in the log")


def test_without_verify_any_certificate_will_do(secured):
    assert secured(names=["nobody.example"], tls={"verify": False}).client().get().body == b"ok"


def test_a_server_that_speaks_no_tls_is_a_502(pair, authority):
    proxy = pair(lambda connection: connection.send(b"HTTP/1.1 400 Bad Request\r\n\r\n"), app={"tls": {"ca": authority.root}})
    expect_problem(proxy.client().get(), 502)
    wait_until(lambda: "a TLS handshake with a server failed" in proxy.sluice.stderr, "the reason in the log")


def test_a_server_that_never_answers_the_hello_is_a_504(pair, authority):
    proxy = pair(lambda connection: connection.hang(), app={"tls": {"ca": authority.root}, "connect_timeout": "300ms"})
    expect_problem(proxy.client().get(), 504)


def test_a_session_with_the_server_is_resumed(secured):
    proxy = secured(app={"max_idle": 0})
    client = proxy.client()
    for _ in range(4):
        assert client.get().status == 200
    assert proxy.context.session_stats()["hits"] >= 3 or \
        [connection.sock.session_reused for connection in proxy.upstream.connections] == [False, True, True, True]


@pytest.mark.parametrize("notify", [True, False])
def test_only_close_notify_ends_a_body_that_ends_with_the_connection(secured, notify):
    """Whoever sits between could end it anywhere."""

    def script(connection):
        connection.read_request()
        connection.send(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhello")
        if notify:
            connection.sock = connection.sock.unwrap()

    proxy = secured(script)
    client = proxy.client()
    client.send(get(version="1.0"))
    if notify:
        assert client.read().body == b"hello"
    else:
        client.expect_reset()


def test_health_checks_verify_the_server_as_requests_do(scripted, pair, authority):
    """Without a request, a server with another's certificate goes out of use, and one with its own stays."""
    right, wrong = (scripted(under_tls(authority.server_context(authority.issue(name)), OK))
                    for name in ("127.0.0.1", "other.example"))
    proxy = pair(upstreams={"app": {"servers": [right.address, wrong.address], "tls": {"ca": authority.root},
                                    "health": {"path": "/up", "interval": "100ms", "timeout": "2s"}}},
                 routes=[{"upstream": "app"}])

    def healthy():
        servers = {server["address"]: server for server in proxy.sluice.stats()["upstreams"][0]["servers"]}
        return servers[right.address]["healthy"], servers[wrong.address]["healthy"], servers[right.address]["checks"] > 3

    wait_until(lambda: healthy() == (True, False, True), "one of the two is healthy")
    assert not wrong.requests and right.requests[0].target == "/up"
    for _ in range(4):
        assert proxy.client().get().status == 200


def test_the_shorthand_speaks_https(pair, scripted, start_sluice, authority):
    """With the system's authorities, which a test may name by the environment (OpenSSL's SSL_CERT_FILE)."""
    upstream = scripted(under_tls(authority.server_context(authority.issue("127.0.0.1")), OK))
    proxy = start_sluice({"upstream": f"https://{upstream.address}"}, environment={"SSL_CERT_FILE": authority.root})
    with proxy.client() as client:
        assert client.get().body == b"ok"
    proxy.stop()


def test_a_renewed_ca_file_is_taken(secured, authority, tmp_path):
    other, file = Authority(tmp_path / "other", "Other"), tmp_path / "ca.pem"
    file.write_text(open(other.root).read())
    proxy = secured(tls={"ca": str(file)})
    expect_problem(proxy.client().get(), 502)
    file.write_text(open(authority.root).read())
    wait_until(lambda: proxy.client().get().status == 200, "the renewed authority in force")


@pytest.mark.parametrize("where", ["file", "folder"])
def test_a_reload_takes_what_became_of_the_systems_authorities(pair, authority, tmp_path, where):
    """One that is added, and one that is withdrawn. They lie together in a file, or each in one that is found by a hash."""
    other, folder, file = Authority(tmp_path / "other", "Other"), tmp_path / "folder", tmp_path / "all.pem"
    folder.mkdir()

    def trust(*roots):
        if where == "file":
            return file.write_text("".join(open(root).read() for root in roots))
        for link in folder.iterdir():
            link.unlink()
        for root in roots:
            (folder / f"{openssl('x509', '-in', root, '-noout', '-hash').stdout.strip()}.0").symlink_to(root)

    def answers():
        assert proxy.sluice.ask_admin("POST", "/reload")[0] == 200
        with proxy.client() as client:
            return [client.get().status for _ in range(2)]

    trust(other.root)
    proxy = pair(under_tls(authority.server_context(authority.issue("127.0.0.1")), OK), app={"tls": {}},
                 sluice_options={"environment": {"SSL_CERT_FILE": str(file), "SSL_CERT_DIR": str(folder)}})
    assert answers() == [502, 502]
    trust(other.root, authority.root)
    assert answers() == [200, 200]
    assert answers() == [200, 200]
    assert len(proxy.upstream.requests) == 4 and len(proxy.upstream.connections) == 3, "a reload that changes nothing keeps connections"
    trust(other.root)
    assert answers() == [502, 502]


def test_check_says_what_is_wrong_with_tls_to_an_upstream(tmp_path):
    def check(text):
        (tmp_path / "c.json").write_text(text)
        return run("check", "-c", tmp_path / "c.json").stderr

    route = '"routes": [ { "upstream": "a" } ] }'
    assert "/upstreams/a/tls/ca: " in check('{ "upstreams": { "a": { "servers": [ "h:1" ], "tls": { "ca": "/none" } } }, ' + route)
    assert '"server_name" is missing' in check('{ "upstreams": { "a": { "servers": [ "unix:/s" ], "tls": {} } }, ' + route)
