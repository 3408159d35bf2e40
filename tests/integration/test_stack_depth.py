"""The smallest stack that the configuration allows is enough where the calls are deepest: OpenSSL below a request's
buffers."""

import ssl

import pytest

from support.client import expect_problem, get
from support.ports import free_port
from support.sluice import SANITIZER_MEMORY
from support.stacks import least_left
from support.tls import Authority, SecureClient, under_tls
from support.upstream import chunked, response

KIB = 1 << 10
STACK = 256 * KIB
LEFT = 16 * KIB  # for another release of OpenSSL, another CPU's code in it, and a signal's frame

BODY = b"b" * (64 * KIB)
CHUNKED = [("Transfer-Encoding", "chunked"), ("Trailer", "X-Sum")]
LARGE_FIELDS = [(f"X-Large-{number}", "v" * 1000) for number in range(13)]


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("authority"), rsa_bits=4096)


@pytest.fixture(scope="module")
def issued(authority):
    return authority.issue("a.example", "127.0.0.1")


def answers(connection):
    while connection.read_request():
        text = "\r\n".join(f"{name}: {value}" for name, value in [*CHUNKED, *LARGE_FIELDS]).encode()
        connection.send(b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 Fine\r\n" + text + b"\r\n\r\n" +
                        chunked(BODY, trailers=[("X-Sum", "1")]))


def exchanges(client):
    """Bodies both ways, of either framing, and the longest heads."""
    requests = [get("/", method="POST", body=BODY),
                get("/", method="POST", fields=CHUNKED) + chunked(BODY[:1], BODY, trailers=[("X-Sum", "1")]),
                get("/" + "p" * 8000, fields=[(f"X-{number}", "v" * 1000) for number in range(50)])]
    for request in requests:
        answer = client.ask(request)
        assert answer.status == 200 and answer.body == BODY


def refused(client):
    assert client.ask(get("/limited", method="POST", body=BODY)).status == 200
    for _ in range(3):
        answer = client.ask(get("/limited", fields=[("Accept", "application/json")]))
        assert answer.status == 429 and answer.has("RateLimit") and answer.has("X-RateLimit-Limit")


def distrusted(client):
    expect_problem(client.get("/distrusted"), 502)


@pytest.mark.skipif(SANITIZER_MEMORY != 1, reason="a sanitizer's frames are larger, and so are its stacks")
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("calls", [exchanges, refused, distrusted])
def test_the_smallest_stack_holds_tls_below_a_requests_buffers(pair, scripted, authority, issued, calls, version):
    """Certificates of RSA 4096 on all sides, each of which verifies; sessions new and resumed; at each request a
    handshake with the upstream, too."""
    served = authority.server_context(issued)
    served.minimum_version = served.maximum_version = version
    app, other = (scripted(under_tls(served, answers)) for _ in range(2))
    tls = {"ca": authority.root}
    proxy = pair(runtime={"stack": "256KiB"}, max={"head": "64KiB"}, log={"access": "all", "level": "debug"},
                 response={"headers": "both"},
                 listen=[{"address": f"127.0.0.1:{free_port()}", "tls": {**issued.files, "client_ca": authority.root}}],
                 limits=[{"name": f"a-limit-of-a-long-name-{number}", "match": {"path": "/limited"}, "rate": "1/h"}
                         for number in range(5)],
                 upstreams={"app": {"servers": [app.address], "max_idle": 0, "tls": tls},
                            "other": {"servers": [other.address], "tls": {**tls, "server_name": "wrong.example"}}},
                 routes=[{"match": {"path": "/distrusted"}, "upstream": "other"}, {"upstream": "app"}])
    context, left, session = authority.client_context(authority.issue("alice"), version=version), [], None
    for _ in range(3):
        with SecureClient(proxy.sluice.address, context, session=session) as client:
            if calls is not refused or not left:
                calls(client)
            left.append(least_left(proxy.sluice.pid, STACK))
            session = client.sock.session
    if None in left:
        pytest.skip("this kernel does not show which pages guard a stack")
    print(f"{min(left) // KIB} KiB were left")
    assert min(left) >= LEFT
