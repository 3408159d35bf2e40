"""Rows 41 to 48: chunked requests."""

import pytest

from support.client import get
from support.upstream import chunked

HEAD = b"POST /upload HTTP/1.1\r\nHost: a.example\r\nTransfer-Encoding: chunked\r\n\r\n"
MORE = b"5\r\nhello\r\n"  # a good chunk
END = b"0\r\n\r\n"


def refused_as_first_and_as_second_chunk(pair, chunk):
    """Refused as row R when the bad bytes come with the head; and when a good chunk is on its way already, refused
    with the upstream's exchange aborted."""
    proxy = pair()
    proxy.refuses(HEAD + chunk)
    aborts(pair(), [HEAD + MORE, chunk])


def aborts(proxy, pieces, statuses=(400,)):
    """Sends the pieces, the second one when the upstream has the first, and expects 400, the end, and an upstream
    that never sees a complete request."""
    proxy.upstream.script = lambda connection: connection.read_request() or connection.hang()
    client = proxy.client()
    client.send(pieces[0])
    proxy.upstream.wait_for_requests(1)
    for piece in pieces[1:]:
        if not client.send_while_open(piece):
            break
    client.send_while_open(get("/smuggled"))
    answer = client.read()
    assert answer.status in statuses, answer.raw_head
    assert answer.one("Connection").lower() == "close"
    client.expect_close()
    assert proxy.upstream.connections[0].wait_gone(), "the upstream's exchange goes on"
    requests = proxy.upstream.requests
    assert len(requests) == 1 and not requests[0].complete
    assert b"smuggled" not in proxy.upstream.received


@pytest.mark.parametrize("size", [b"0x5", b"+5", b"5_", b"-0", b"", b" 5", b"-5", b"5h", b"\t5", b"\xb5"])
def test_row_041_chunk_sizes_not_of_hex_digits(pair, size):
    refused_as_first_and_as_second_chunk(pair, size + b"\r\nhello\r\n" + END)


@pytest.mark.parametrize("size", [b"0" * 16 + b"5", b"F" * 17, b"1" + b"0" * 16, b"1" + b"0" * 15 + b"5" + b"0", b"0" * 1000 + b"5"],
                         ids=["17-digits", "17-F", "2^64", "2^68", "1001-digits"])
def test_row_042_chunk_sizes_too_long(pair, size):
    refused_as_first_and_as_second_chunk(pair, size + b"\r\nhello\r\n" + END)


@pytest.mark.parametrize("chunk", [b"5\nhello\r\n", b"5\rhello\r\n", b"5\r\rhello\r\n", b"0\n\n", b"0\n\r\n"],
                         ids=["lf", "cr", "cr-cr", "last-lf", "last-line-lf"])
def test_row_043_chunk_lines_that_do_not_end_in_crlf(pair, chunk):
    refused_as_first_and_as_second_chunk(pair, chunk + END)


@pytest.mark.parametrize("extension", [b";a\nb", b";a=\x00", b";a=\x01", b';a="\n"', b';a="\x00"', b';a="x\ny"', b";a=\x7f",
                                       b';a="\rb"'], ids=lambda value: value.hex())
def test_row_044_control_bytes_in_a_chunk_extension(pair, extension):
    refused_as_first_and_as_second_chunk(pair, b"5" + extension + b"\r\nhello\r\n" + END)


@pytest.mark.parametrize("extension", [b";a", b";a=b", b';a="quoted; text"', b";a=b;c=d", b" ;a=b", b";a = b"])
def test_row_044_an_extension_is_never_forwarded(pair, extension):
    proxy = pair()
    client = proxy.client()
    assert client.ask(HEAD + b"5" + extension + b"\r\nhello\r\n0;last=1\r\n\r\n").status == 200
    assert proxy.upstream.request().body == b"hello"
    assert proxy.upstream.request().extensions == []
    assert client.get().status == 200


@pytest.mark.parametrize("chunk", [b"5\r\nhelloX\r\n", b"5\r\nhello!\r\n", b"5\r\nhello\n", b"5\r\nhello\r", b"5\r\nhello0\r\n\r\n"])
def test_row_045_chunk_data_without_its_crlf(pair, chunk):
    aborts(pair(), [HEAD + MORE, chunk + b"00" + END])


def test_row_046_small_extensions_are_fine(pair):
    proxy = pair()
    body = b"".join(b"1;%s\r\nx\r\n" % (b"e" * 100) for _ in range(30)) + END
    assert proxy.client().ask(HEAD + body).status == 200
    assert proxy.upstream.request().body == b"x" * 30


@pytest.mark.parametrize("length,count", [(100, 100), (3000, 3), (5000, 1)])
def test_row_046_extensions_are_bounded_in_their_sum(pair, length, count):
    aborts(pair(), [HEAD + MORE] + [b"1;%s\r\nx\r\n" % (b"e" * length)] * count + [END])


@pytest.mark.parametrize("start,piece", [(b"5;", b"e" * 4096), (b"0\r\n", b"X-Trailer: 1\r\n" * 256),
                                         (b"0\r\nX: ", b"e" * 4096), (b"0\r\n", b"X" * 4096)],
                         ids=["extension", "trailers", "trailer-value", "trailer-name"])
def test_row_047_endless_extensions_and_trailers_are_cut_off(pair, start, piece):
    proxy = pair()
    client = proxy.client()
    client.send(HEAD + MORE + start)
    pieces = 4096  # 16 MiB, far beyond what the sockets' buffers hold
    taken = next((n for n in range(pieces) if not client.send_while_open(piece)), pieces)
    assert taken < pieces, "the proxy read it all"
    proxy.finish()
    proxy.upstream.settle()
    assert not any(request.complete for request in proxy.upstream.requests)


@pytest.mark.parametrize("start,piece", [(b"5;", b"e" * 1024), (b"0\r\n", b"X-Trailer: 1\r\n" * 64)], ids=["extension", "trailers"])
def test_row_047_the_bound_is_max_head(pair, start, piece):
    aborts(pair(max={"head": "4KiB"}), [HEAD + MORE, start] + [piece] * 5, statuses=(400, 431))


FORBIDDEN = ["Transfer-Encoding", "Content-Length", "Host", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "Forwarded",
             "Connection", "Trailer", "TE", "Upgrade", "Keep-Alive", "Expect", "Authorization", "Via", "X-Request-Id", "Content-Type",
             "Proxy-Authorization", "Proxy-Connection", "Content-Encoding", "Cookie", "Max-Forwards", "Cache-Control", "Range",
             "content_type", "Set_Cookie", "Transfer_Encoding", "X_Forwarded_For"]


def test_row_048_trailers_that_could_change_the_message_are_dropped(pair):
    proxy = pair()
    client = proxy.client()
    trailers = [("X-Checksum", "abc")] + [(name, "5") for name in FORBIDDEN] + [("X-Other", "1")]
    assert client.ask(HEAD + chunked(b"hello", trailers=trailers)).status == 200
    request = proxy.upstream.request()
    assert request.trailers == [("X-Checksum", "abc"), ("X-Other", "1")]
    assert request.body == b"hello"
    assert client.get("/next").status == 200


@pytest.mark.parametrize("line", [b"Name : v", b"no colon", b": v", b" folded", b"X: a\x00b", b"X: a\nY: b"])
def test_row_048_malformed_trailers_are_refused(pair, line):
    aborts(pair(), [HEAD + MORE, b"0\r\n" + line + b"\r\n\r\n"])
