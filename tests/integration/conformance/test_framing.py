"""Rows 1 to 20: where a request's body ends. Whatever is not beyond doubt is refused, and nothing goes upstream."""

import pytest

from support.client import get

CHUNKED = b"5\r\nhello\r\n0\r\n\r\n"


def post(*lines, body=b"", version=b"1.1"):
    """A POST with these raw field lines."""
    head = b"POST /upload HTTP/" + version + b"\r\nHost: a.example\r\n"
    return head + b"".join(line + b"\r\n" for line in lines) + b"\r\n" + body


def test_row_001_length_then_chunked(pair):
    pair().refuses(post(b"Content-Length: 5", b"Transfer-Encoding: chunked", body=CHUNKED))


@pytest.mark.parametrize("coding", [b"chunked", b"gzip", b"identity", b"gzip, chunked"])
def test_row_002_coding_then_length(pair, coding):
    pair().refuses(post(b"Transfer-Encoding: " + coding, b"Content-Length: 5", body=b"hello"))


@pytest.mark.parametrize("value", [b"chunked, gzip", b"chunked,gzip", b"Chunked , deflate"])
def test_row_003_chunked_is_not_last(pair, value):
    pair().refuses(post(b"Transfer-Encoding: " + value, body=CHUNKED))


@pytest.mark.parametrize("value", [b"chunked, chunked", b"chunked,chunked", b"chunked, CHUNKED"])
def test_row_004_chunked_twice(pair, value):
    pair().refuses(post(b"Transfer-Encoding: " + value, body=CHUNKED))


@pytest.mark.parametrize("value", [b"gzip, chunked", b"gzip,chunked", b"deflate, chunked"])
def test_row_005_a_coding_before_chunked(pair, value):
    pair().refuses(post(b"Transfer-Encoding: " + value, body=CHUNKED), status=501)


@pytest.mark.parametrize("value", [b"xchunked", b"identity", b"gzip"])
def test_row_006_unknown_coding(pair, value):
    pair().refuses(post(b"Transfer-Encoding: " + value, body=CHUNKED), status=501)


@pytest.mark.parametrize("line", [b"Transfer-Encoding:", b"Transfer-Encoding: ", b"Transfer-Encoding: \t "])
def test_row_007_empty_coding(pair, line):
    pair().refuses(post(line, body=CHUNKED))


@pytest.mark.parametrize("value", [b",chunked", b" , chunked"])
def test_row_008_empty_list_element(pair, value):
    pair().refuses(post(b"Transfer-Encoding: " + value, body=CHUNKED))


@pytest.mark.parametrize("first,second", [(b"chunked", b"chunked"), (b"chunked", b"identity"), (b"gzip", b"chunked"),
                                          (b"chunked", b"")])
def test_row_009_two_lines(pair, first, second):
    pair().refuses(post(b"Transfer-Encoding: " + first, b"X-Between: 1", b"Transfer-Encoding: " + second, body=CHUNKED))


@pytest.mark.parametrize("value", [b"\x0bchunked", b"\x0cchunked", b"chunked\x0b", b" \x0bchunked"])
def test_row_010_vertical_tab_before_chunked(pair, value):
    pair().refuses(post(b"Transfer-Encoding:" + value, body=CHUNKED))


@pytest.mark.parametrize("value", [b"chunked\xff", b"\xa0chunked", b"chunked\xa0", b"\xc2\xa0chunked"])
def test_row_011_high_bytes_beside_chunked(pair, value):
    pair().refuses(post(b"Transfer-Encoding: " + value, body=CHUNKED))


@pytest.mark.parametrize("value", [b"chunked;q=1", b"chunked x", b"chunked ;a=b", b'"chunked"'])
def test_row_012_parameters_on_chunked(pair, value):
    pair().refuses(post(b"Transfer-Encoding: " + value, body=CHUNKED))


@pytest.mark.parametrize("more", [(), (b"Connection: keep-alive",)])
def test_row_013_coding_in_http_1_0(pair, more):
    pair().refuses(post(b"Transfer-Encoding: chunked", *more, body=CHUNKED, version=b"1.0"))


@pytest.mark.parametrize("first,second", [(b"5", b"6"), (b"6", b"5"), (b"0", b"5")])
def test_row_014_lengths_at_odds(pair, first, second):
    pair().refuses(post(b"Content-Length: " + first, b"Content-Length: " + second, body=b"hello!"))


@pytest.mark.parametrize("lines", [(b"Content-Length: 5, 5",), (b"Content-Length: 5,5",),
                                   (b"Content-Length: 5", b"Content-Length: 5"),
                                   (b"Content-Length: 5", b"X: 1", b"content-length: 5")])
def test_row_015_the_same_length_twice(pair, lines):
    pair().refuses(post(*lines, body=b"hello"))


@pytest.mark.parametrize("line", [b"Content-Length:", b"Content-Length: ", b"Content-Length: 5,", b"Content-Length: ,5"])
def test_row_016_empty_length(pair, line):
    pair().refuses(post(line, body=b"hello"))


@pytest.mark.parametrize("value", [b"+5", b"-5", b"0x5", b"5_0", b"1e0", b"5 5", b"5;", b"5.0", b"\xb25", b"five"])
def test_row_017_length_not_of_digits(pair, value):
    pair().refuses(post(b"Content-Length: " + value, body=b"hello"))


@pytest.mark.parametrize("value", [2**64, 2**64 + 5, 10**19 * 2, 10**40], ids=["2^64", "2^64+5", "2e19", "1e40"])
def test_row_018_length_beyond_64_bits(pair, value):
    pair().refuses(post(b"Content-Length: %d" % value, body=b"hello"))


@pytest.mark.parametrize("value", [b"005", b"0" * 40 + b"5"])
def test_row_019_leading_zeros_are_decimal(pair, value):
    proxy = pair()
    client = proxy.client()
    assert client.ask(post(b"Content-Length: " + value, body=b"hello")).status == 200
    assert proxy.upstream.request().one("Content-Length") == "5"
    assert proxy.upstream.request().body == b"hello"
    assert client.get("/next").status == 200
    assert proxy.upstream.requests[1].target == "/next"


@pytest.mark.parametrize("length", [255, 256, 257, 270, 511, 512, 1000, 4000, 70000])
@pytest.mark.parametrize("prefix", [b"Content-Length0", b"Transfer-Encoding0"])
def test_row_020_a_long_field_name_is_intact_or_refused(pair, prefix, length):
    proxy = pair()
    name = prefix + b"a" * (length - len(prefix))
    client = proxy.client()
    client.send_while_open(post(name + b": 60", b"Content-Length: 5", body=b"hello") + get("/smuggled"))
    answer = client.read()
    if answer.status == 431:
        assert length > 255
        proxy.finish()
        assert proxy.upstream.received == b""
        return
    assert answer.status == 200
    assert client.read().status == 200
    first, second = proxy.upstream.requests
    assert first.one(name.decode()) == "60" and first.body == b"hello"
    assert second.target == "/smuggled"
