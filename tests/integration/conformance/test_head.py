"""Rows 21 to 40: request lines, targets, Host and fields."""

import pytest

from support.client import get

CONTROLS = [bytes([code]) for code in [*range(0x01, 0x09), *range(0x0b, 0x0d), *range(0x0e, 0x20), 0x7f]]


def hexed(value):
    return value.hex() if isinstance(value, bytes) else None


def with_lines(*lines, start=b"GET / HTTP/1.1", host=b"Host: a.example"):
    """A GET with these raw lines after Host."""
    return b"\r\n".join([start, *([host] if host else []), *lines, b"", b""])


def start(line):
    return with_lines(start=line)


@pytest.mark.parametrize("line", [b": x", b":", b":x: y", b" : x"])
def test_row_021_empty_field_name(pair, line):
    pair().refuses(with_lines(line))


@pytest.mark.parametrize("line", [b"Name : v", b"Name\t: v", b"Content-Length : 5", b"Transfer-Encoding : chunked"])
def test_row_022_white_space_before_the_colon(pair, line):
    pair().refuses(with_lines(line))


@pytest.mark.parametrize("first", [b" Host: a.example", b"\tHost: a.example", b" X: y", b" "])
def test_row_023_white_space_before_the_first_field(pair, first):
    pair().refuses(with_lines(b"Host: a.example", host=first))


@pytest.mark.parametrize("lines", [(b"X: a", b" b"), (b"X: a", b"\tb"), (b"X:", b" a"), (b"X: a", b" "),
                                   (b"Transfer-Encoding:", b" chunked"), (b"X: a", b" Content-Length: 5")])
def test_row_024_folded_lines(pair, lines):
    pair().refuses(with_lines(*lines))


@pytest.mark.parametrize("request_bytes", [
    b"GET / HTTP/1.1\nHost: a.example\n\n",
    b"GET / HTTP/1.1\nHost: a.example\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a.example\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a.example\r\n\n",
    b"GET / HTTP/1.1\r\nHost: a.example\nX: y\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a.example\r\nX: y\n\r\n",
], ids=["all", "request-line", "last-field", "empty-line", "first-field", "second-field"])
def test_row_025_bare_line_feeds(pair, request_bytes):
    pair().refuses(request_bytes)


@pytest.mark.parametrize("byte", [b"\x00", b"\r", *CONTROLS], ids=hexed)
def test_row_026_control_bytes_in_a_value(pair, byte):
    pair().refuses(with_lines(b"X: a" + byte + b"b"))


@pytest.mark.parametrize("byte", [b"\x00", b"\r", b"\x0b", b"\x0c", b"\x7f"], ids=hexed)
@pytest.mark.parametrize("value", [b"%sb", b"a%s", b"%s"], ids=["first", "last", "alone"])
def test_row_026_control_bytes_at_the_ends_of_a_value(pair, byte, value):
    """Where a parser that trims too much would lose them."""
    pair().refuses(with_lines(b"X: " + value.replace(b"%s", byte)))


def test_row_027_high_bytes_in_a_value_are_forwarded_unchanged(pair):
    proxy = pair()
    value = bytes(range(0x80, 0x100)) + b"\t " + "é".encode()
    assert proxy.client().ask(with_lines(b"X-High: " + value)).status == 200
    assert proxy.upstream.request().one("X-High").encode("latin-1") == value


@pytest.mark.parametrize("line", [b"Transfer_Encoding: chunked", b"Content_Length: 5", b"transfer_encoding: chunked",
                                  b"CONTENT_LENGTH: 5", b"Transfer-Encoding\t: chunked", b"Content-Length\t: 5",
                                  b"Transfer-Encoding\x0b: chunked", b"Content-Length\x00: 5", b"Transfer Encoding: chunked",
                                  b"\xefTransfer-Encoding: chunked", b"Transfer-Encoding\xa0: chunked"])
def test_row_028_names_that_others_take_for_framing(pair, line):
    pair().refuses(with_lines(line))


@pytest.mark.parametrize("line", [b"Name", b"Name v", b"GET /smuggled HTTP/1.1", b"\x00"])
def test_row_029_a_line_without_colon(pair, line):
    pair().refuses(with_lines(line))


@pytest.mark.parametrize("count", [1, 2, 4])
def test_row_030_empty_lines_before_the_request_are_skipped(pair, count):
    proxy = pair()
    client = proxy.client()
    assert client.ask(b"\r\n" * count + get("/one"), "GET").status == 200
    assert client.ask(b"\r\n" * count + get("/two"), "GET").status == 200
    assert [request.target for request in proxy.upstream.requests] == ["/one", "/two"]


@pytest.mark.parametrize("count", [5, 100])
def test_row_030_more_than_four_empty_lines_are_refused(pair, count):
    pair().refuses(b"\r\n" * count + get("/one"))


@pytest.mark.parametrize("second", [b"Host: a.example", b"Host: b.example", b"host: a.example", b"Host:"])
def test_row_031_two_host_lines(pair, second):
    pair().refuses(with_lines(second))


def test_row_032_no_host(pair):
    pair().refuses(with_lines(host=None))


def test_row_032_http_1_0_needs_no_host(pair):
    proxy = pair()
    assert proxy.client().ask(b"GET /old HTTP/1.0\r\n\r\n").status == 200
    assert proxy.upstream.request().target == "/old"


@pytest.mark.parametrize("host", [b"a/b", b"u@a", b"a,b", b"a b", b"a:b", b"a:65536", b"a:-1", b"a:80:80", b"a:8 0", b"a?b",
                                  b"a#b", b"a\\b", b"[::1", b"::1", b"[::1]x", b"a\xff", b"a\"b", b"a<b"])
def test_row_033_bad_host(pair, host):
    pair().refuses(with_lines(host=b"Host: " + host))


@pytest.mark.parametrize("host", [b"a.example", b"a.example:80", b"127.0.0.1:8080", b"[::1]", b"[2001:db8::1]:8080", b"x_y"])
def test_row_033_a_good_host_is_preserved(pair, host):
    proxy = pair()
    assert proxy.client().ask(with_lines(host=b"Host: " + host)).status == 200
    assert proxy.upstream.request().one("X-Forwarded-Host") == host.decode()


@pytest.mark.parametrize("target", [b"http://b.example/x?y=1", b"HTTP://b.example/x?y=1"])
def test_row_034_the_absolute_target_wins_over_host(pair, target):
    proxy = pair()
    assert proxy.client().ask(start(b"GET " + target + b" HTTP/1.1")).status == 200
    request = proxy.upstream.request()
    assert request.target == "/x?y=1"
    assert request.one("X-Forwarded-Host") == "b.example"
    assert "a.example" not in request.raw_head.decode()


@pytest.mark.parametrize("target", [b"http://u@b.example/", b"http:///x", b"http://", b"http://b.example:99999/", b"ftp://b.example/"])
def test_row_034_a_bad_authority_is_refused(pair, target):
    pair().refuses(start(b"GET " + target + b" HTTP/1.1"))


@pytest.mark.parametrize("line", [b"GET * HTTP/1.1", b"GET foo HTTP/1.1", b"POST * HTTP/1.1", b"GET ../x HTTP/1.1", b"GET  HTTP/1.1"])
def test_row_035_targets_of_no_known_form(pair, line):
    pair().refuses(start(line))


def test_row_035_options_star(pair):
    proxy = pair()
    assert proxy.client().ask(start(b"OPTIONS * HTTP/1.1")).status == 200
    assert (proxy.upstream.request().method, proxy.upstream.request().target) == ("OPTIONS", "*")


@pytest.mark.parametrize("target", [b"/a#b", b"/#", b"#", b"/a?b#c", b"http://a.example/#x"])
def test_row_036_fragment_in_the_target(pair, target):
    pair().refuses(start(b"GET " + target + b" HTTP/1.1"))


@pytest.mark.parametrize("byte", [b"\x00", b" ", b"\t", b"\r", b"\n", *CONTROLS, b"\x80", b"\xc3\xa9", b"\xff"], ids=hexed)
def test_row_037_control_and_high_bytes_in_the_target(pair, byte):
    pair().refuses(start(b"GET /a" + byte + b"b HTTP/1.1"))


@pytest.mark.parametrize("target", [b"a.example:443", b"/", b"http://a.example/"])
def test_row_038_connect_is_never_a_tunnel(pair, target):
    proxy = pair()
    client = proxy.client()
    client.send(start(b"CONNECT " + target + b" HTTP/1.1") + b"tunnelled bytes")
    assert client.read().status == 501
    proxy.finish()
    proxy.upstream.settle()
    assert proxy.upstream.received == b""


@pytest.mark.parametrize("version", [b"HTTP/1.01", b"http/1.1", b"Http/1.1", b"HTTP/1.", b"HTTP/1", b"HTTP/.1", b"HTTP/1.1x",
                                     b"HTTP/11", b"HTTP 1.1", b"HTTPS/1.1", b""])
def test_row_039_malformed_versions(pair, version):
    pair().refuses(start(b"GET / " + version))


@pytest.mark.parametrize("version", [b"HTTP/1.2", b"HTTP/1.9"])
def test_row_039_a_later_minor_version_is_1_1(pair, version):
    proxy = pair()
    client = proxy.client()
    answer = client.ask(start(b"GET /x " + version))
    assert answer.status == 200 and answer.version == "1.1"
    assert proxy.upstream.request().version == "1.1"
    assert client.get("/next").status == 200


@pytest.mark.parametrize("request_bytes", [
    start(b"GET / HTTP/2.0"), start(b"GET / HTTP/3.0"), start(b"GET / HTTP/0.9"),
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"], ids=["2.0", "3.0", "0.9", "preface"])
def test_row_040_another_major_version(pair, request_bytes):
    pair().refuses(request_bytes, status=505)
