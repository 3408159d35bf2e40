"""Pair: what most tests need, a proxy in front of one scripted upstream."""

from support.client import RawClient, expect_problem, get


class Pair:
    """A proxy in front of one scripted upstream, and clients of it."""

    def __init__(self, sluice, upstream):
        self.sluice = sluice
        self.upstream = upstream
        self.clients = []

    def client(self, **options):
        client = RawClient(self.sluice.address, **options)
        self.clients.append(client)
        return client

    def leave(self):
        """Every client and upstream leaves."""
        for client in self.clients:
            client.close()
        for connection in list(self.upstream.connections):
            connection.close()

    def finish(self):
        """Every client and upstream leaves; nothing of them may remain in the proxy, and it stops in order."""
        self.leave()
        self.sluice.wait_resting()
        self.sluice.stop()

    def refuses(self, data, status=400):
        """Sends data on a fresh connection, with one whole valid request behind it, and expects one answer of this
        status, Connection: close and the end, and that not one byte reaches the upstream. Returns the answer."""
        client = self.client()
        client.send_while_open(data + get("/smuggled"))
        answer = client.read()
        expect_problem(answer, status)
        assert answer.one("Connection").lower() == "close"
        client.expect_close()
        self.finish()
        self.upstream.settle()
        assert self.upstream.received == b"", "bytes reached the upstream"
        return answer
