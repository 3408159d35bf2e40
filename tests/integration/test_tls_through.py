"""TLS on both sides of the proxy: whole bodies, in little memory."""

import hashlib
import os

import pytest

from support.client import get
from support.ports import free_port
from support.sluice import SANITIZER_MEMORY
from support.tls import SecureClient, under_tls
from support.upstream import response
from support.wait import wait_until, wait_until_steady

MIB = 1 << 20
PIECE = 1 << 18


@pytest.fixture
def through(pair, authority):
    """through(script, clear_upstream=False) -> Pair, with TLS towards the client, and towards the server unless that is
    to be in the clear."""

    def start(script, clear_upstream=False, **config):
        listen = [{"address": f"127.0.0.1:{free_port()}", "tls": authority.issue("a.example").files}]
        if clear_upstream:
            return pair(script, listen=listen, app={}, **config)
        context = authority.server_context(authority.issue("127.0.0.1"))
        return pair(under_tls(context, script), listen=listen, app={"tls": {"ca": authority.root}}, **config)

    return start


def take(wire, count):
    """The digest of the next `count` bytes, which end what is read from there; keeps none of them."""
    digest, count = hashlib.sha256(wire.unread), count - len(wire.unread)
    wire.sock.settimeout(wire.seconds)
    while count > 0:
        piece = wire.sock.recv(min(count, PIECE))
        assert piece, f"the end, {count} bytes early"
        digest.update(piece)
        count -= len(piece)
    return digest.hexdigest()


def expect_little_kept(sluice, before):
    """Not of a sanitizer, which keeps what was freed for a while: the buffers of OpenSSL's records."""
    assert SANITIZER_MEMORY != 1 or sluice.memory()[1] - before < MIB


@pytest.mark.parametrize("clear_upstream", [True, False], ids=["then clear", "on both sides"])
def test_a_hundred_mebibytes_both_ways(through, authority, clear_upstream):
    body = os.urandom(MIB) * 100
    digest, seen = hashlib.sha256(body).hexdigest(), []

    def script(connection):
        request = connection.read_head()
        seen.append(take(connection.wire, int(request.one("Content-Length"))))
        connection.send(response(body=body))
        connection.hang()

    proxy = through(script, clear_upstream)
    with SecureClient(proxy.sluice.address, authority.client_context(), seconds=120) as client:
        client.send(get("/", method="PUT", fields=[("Content-Length", str(len(body)))]))
        before, _ = proxy.sluice.memory()
        client.send(body)
        head = client.read_head()
        assert take(client.wire, int(head.one("Content-Length"))) == digest
    assert seen == [digest]
    expect_little_kept(proxy.sluice, before)


def test_what_the_server_does_not_take_stays_with_the_client(through, authority):
    """The server reads nothing: the client's upload stands still, and little of it lies in the proxy."""
    proxy = through(lambda connection: connection.read_head() and connection.upstream.stopping.wait())
    with SecureClient(proxy.sluice.address, authority.client_context()) as client:
        client.send(get("/", method="PUT", fields=[("Content-Length", str(100 * MIB))]))
        wait_until(lambda: proxy.upstream.requests, "the request at the server")
        before, _ = proxy.sluice.memory()
        sent, piece = 0, bytes(PIECE)
        client.sock.settimeout(0.5)
        with pytest.raises(TimeoutError):
            while sent < 100 * MIB:
                sent += client.sock.send(piece)
        wait_until_steady(lambda: proxy.sluice.stats()["requests"]["bytes_in"])
        assert sent < 50 * MIB  # the kernel's buffers
        expect_little_kept(proxy.sluice, before)
