"""TLS towards clients: who gets which certificate, who is let in, and what becomes of what is no TLS. openssl, curl and
sslscan judge."""

import concurrent.futures
import hashlib
import shutil
import ssl
import subprocess
import threading
import time

import pytest

from support.client import RawClient, expect_problem, get
from support.ports import free_port
from support.sluice import run
from support.tls import Authority, SecureClient, openssl
from support.wait import DEADLINE, PATIENCE, wait_until
from support.wire import Ended


@pytest.fixture(scope="module")
def issued(authority):
    return authority.issue("a.example")


@pytest.fixture
def secure(pair, issued):
    """secure(entries, **config) -> Pair, whose listener answers TLS: with one certificate for a.example, or with these
    entries of `listen`, all at one address."""

    def start(entries=None, script=None, **config):
        address = f"127.0.0.1:{free_port()}"
        entries = entries or [{"tls": issued.files}]
        return pair(script, listen=[{"address": address, **entry} for entry in entries], **config)

    return start


def s_client(pair, *arguments, stdin="Q\n"):
    host, port = pair.sluice.address
    done = openssl("s_client", "-connect", f"{host}:{port}", *arguments, stdin=stdin, check=False)
    return done.stdout + done.stderr


def serial_of(pair, name):
    text = s_client(pair, *(["-servername", name] if name else ["-noservername"]))
    return openssl("x509", "-noout", "-serial", stdin=text).stdout.strip().partition("=")[2]


# Handshakes.

def test_curl_gets_its_answer(secure, authority):
    port = secure().sluice.address[1]
    done = subprocess.run(["curl", "-sS", "--cacert", authority.root, "--resolve", f"a.example:{port}:127.0.0.1", "-w", " %{http_version}",
                           f"https://a.example:{port}/"], capture_output=True, text=True, timeout=DEADLINE)
    assert (done.stdout, done.stderr) == ("ok 1.1", "")


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_requests_are_served_under_both_versions(secure, authority, version):
    pair = secure()
    with SecureClient(pair.sluice.address, authority.client_context(version=version)) as client:
        for _ in range(3):
            assert client.get().body == b"ok"
        assert client.sock.selected_alpn_protocol() == "http/1.1"
    assert [request.one("X-Forwarded-Proto") for request in pair.upstream.requests] == ["https"] * 3


@pytest.mark.parametrize("version", ["-tls1", "-tls1_1"])
def test_older_versions_are_refused(secure, version):
    text = s_client(secure(), version, "-cipher", "ALL:@SECLEVEL=0")
    assert "alert protocol version" in text and "Cipher is (NONE)" in text


@pytest.mark.parametrize("offer", ["ECDHE+AES128+SHA256:!AESGCM", "AES256-GCM-SHA384", "aNULL:@SECLEVEL=0"])
def test_ciphers_without_forward_secrecy_or_authenticated_encryption_are_refused(secure, offer):
    assert "Cipher is (NONE)" in s_client(secure(), "-tls1_2", "-cipher", offer)


def test_the_whole_chain_is_sent(secure, authority):
    """The client knows the root only."""
    text = s_client(secure(), "-CAfile", authority.root, "-verify_return_error", "-showcerts")
    assert "Verify return code: 0 (ok)" in text and text.count("BEGIN CERTIFICATE") == 2


@pytest.mark.parametrize("offered, chosen", [(("h2", "http/1.1"), "http/1.1"), ((), None)])
def test_http_1_1_is_chosen_of_what_is_offered(secure, authority, offered, chosen):
    pair = secure()
    with SecureClient(pair.sluice.address, authority.client_context(protocols=offered)) as client:
        assert client.sock.selected_alpn_protocol() == chosen
        assert client.get().status == 200


def test_a_client_that_offers_only_other_protocols_is_told_so(secure):
    assert "alert no application protocol" in s_client(secure(), "-alpn", "h2")


@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
def test_sessions_are_resumed_also_behind_a_reload(secure, tmp_path, version):
    pair, kept = secure(), tmp_path / "session"
    session = ("-crlf", "-ign_eof", version)
    closing = "GET / HTTP/1.1\nHost: a.example\nConnection: close\n\n"
    assert "New, TLS" in s_client(pair, *session, "-sess_out", kept, stdin=closing)
    assert "Reused, TLS" in s_client(pair, *session, "-sess_in", kept, "-sess_out", kept, stdin=closing)
    pair.sluice.reload(pair.sluice.config)
    assert "Reused, TLS" in s_client(pair, *session, "-sess_in", kept, stdin=closing)


def test_renegotiation_is_refused(secure):
    assert "no renegotiation" in s_client(secure(), "-tls1_2", stdin="R\nGET / HTTP/1.1\n")


def test_key_updates_are_answered_between_requests(secure, tmp_path):
    pair, output = secure(), tmp_path / "output"
    host, port = pair.sluice.address
    command = ["openssl", "s_client", "-connect", f"{host}:{port}", "-tls1_3", "-crlf"]
    with open(output, "wb") as file, subprocess.Popen(command, stdin=subprocess.PIPE, stdout=file, stderr=file) as client:
        def step(data, seen, what):
            client.stdin.write(data)
            client.stdin.flush()
            wait_until(seen, what)

        wait_until(lambda: b"Verify return code" in output.read_bytes(), "the end of the handshake")
        for turn in range(1, 4):
            # K: a new key of ours, and ask for one of the peer's.
            step(b"K\n", lambda: output.read_bytes().count(b"KEYUPDATE") == turn, "the key update")
            step(b"GET / HTTP/1.1\nHost: a\n\n", lambda: output.read_bytes().count(b"HTTP/1.1 200") == turn, "an answer")
        client.stdin.close()
        client.wait(DEADLINE)


def test_sslscan_finds_nothing_to_say(secure):
    host, port = secure().sluice.address
    text = subprocess.run(["sslscan", "--no-colour", f"{host}:{port}"], capture_output=True, text=True, timeout=60).stdout
    for claim in ("SSLv2     disabled", "SSLv3     disabled", "TLSv1.0   disabled", "TLSv1.1   disabled", "TLSv1.2   enabled",
                  "TLSv1.3   enabled", "Session renegotiation not supported"):
        assert claim in text, text
    assert "Compression enabled" not in text
    accepted = [line for line in text.splitlines() if line.startswith(("Accepted", "Preferred"))]
    assert accepted and all("GCM" in line or "CHACHA20" in line or "POLY1305" in line for line in accepted), text
    assert "vulnerable" not in text.replace("not vulnerable", ""), text


# Which certificate.

def test_clients_get_the_certificate_of_the_name_they_ask_for(secure, authority, issued):
    b, wild = authority.issue("b.example"), authority.issue("*.w.example", "w.example")
    pair = secure([{"tls": issued.files}, {"tls": b.files, "name": "b"}, {"tls": wild.files, "name": "w"}])
    for name, expected in {"a.example": issued, "b.example": b, "B.Example": b, "w.example": wild, "x.w.example": wild,
                           "x.y.w.example": issued, "unknown.example": issued, None: issued}.items():
        assert serial_of(pair, name) == expected.serial(), name


def test_a_request_comes_in_by_the_entry_whose_certificate_it_got(secure, authority, issued):
    """Not by what its Host says."""
    b = authority.issue("b.example")
    pair = secure([{"tls": issued.files, "name": "a"}, {"tls": b.files, "name": "b"}],
                  routes=[{"match": {"listener": "b"}, "respond": {"body": "by b"}}, {"upstream": "app"}])
    with SecureClient(pair.sluice.address, authority.client_context(), name="b.example") as client:
        assert client.get(host="a.example").body == b"by b"
    with SecureClient(pair.sluice.address, authority.client_context(), name="a.example") as client:
        assert client.get(host="b.example").body == b"ok"


# Who is let in.

def refused(pair, context, name="a.example"):
    """Whether a client with this context is turned away, in the handshake or, as TLS 1.3 has it, behind it."""
    try:
        with SecureClient(pair.sluice.address, context, name=name) as client:
            client.get()
    except (ssl.SSLError, Ended, ConnectionError):
        return True
    return False


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_client_must_show_a_certificate_that_client_ca_has_signed(secure, authority, issued, tmp_path, version):
    others = Authority(tmp_path / "others", "Other")
    pair = secure([{"tls": {**issued.files, "client_ca": authority.root}}])
    assert refused(pair, authority.client_context(version=version))
    assert refused(pair, authority.client_context(others.issue("mallory"), version=version))
    assert not pair.upstream.requests
    with SecureClient(pair.sluice.address, authority.client_context(authority.issue("alice"), version=version)) as client:
        assert client.get().body == b"ok"


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_session_without_a_client_certificate_opens_no_other_entry(secure, authority, issued, version):
    guarded = authority.issue("guarded.example")
    pair = secure([{"tls": issued.files}, {"tls": {**guarded.files, "client_ca": authority.root}, "name": "guarded"}])
    context = authority.client_context(version=version)
    context.check_hostname = False
    with SecureClient(pair.sluice.address, context) as client:
        assert client.get().status == 200
        session = client.sock.session
    assert refused(pair, context, name="guarded.example")
    try:
        with SecureClient(pair.sluice.address, context, name="guarded.example", session=session) as client:
            client.get()
            raise AssertionError("let in with a session that showed no certificate")
    except (ssl.SSLError, Ended, ConnectionError):
        pass


def test_a_connection_that_showed_no_certificate_is_misdirected_to_who_asks_for_one(secure, authority, issued):
    """The name in the handshake chooses the entry, the Host of each request what is asked for."""
    guarded = authority.issue("guarded.example")
    pair = secure([{"tls": issued.files}, {"tls": {**guarded.files, "client_ca": authority.root}}])
    context = authority.client_context()
    context.check_hostname = False
    with SecureClient(pair.sluice.address, context) as client:
        for host in ("guarded.example", "GUARDED.example.:443"):
            expect_problem(client.ask(get(host=host)), 421)
        assert client.ask(get(host="a.example")).status == 200
        assert [request.one("Host") for request in pair.upstream.requests] == ["a.example"]
    shown = authority.client_context(authority.issue("alice"))
    with SecureClient(pair.sluice.address, shown, name="guarded.example") as client:
        for host in ("guarded.example", "a.example"):
            assert client.ask(get(host=host)).status == 200


# What is no TLS, or comes too slowly.

def test_handshakes_are_counted_by_how_they_ended(secure, authority, issued):
    pair = secure([{"tls": {**issued.files, "client_ca": authority.root}}])
    with SecureClient(pair.sluice.address, authority.client_context(authority.issue("alice"))) as client:
        assert client.get().status == 200 and client.get().status == 200
    assert refused(pair, authority.client_context())  # without a certificate
    expect_problem(pair.client().ask(get("/")), 400)  # without TLS
    wait_until(lambda: pair.sluice.stats()["connections"]["handshakes_failed"] == 2, "both")
    for outcome, count in (("done", 1), ("failed", 2)):
        assert f'\nsluice_tls_handshakes_total{{outcome="{outcome}"}} {count}\n' in pair.sluice.metrics()


def test_plain_http_is_told_so_in_the_clear(secure):
    pair = secure()
    client = pair.client()
    expect_problem(client.ask(get("/")), 400)
    client.expect_close()


GARBAGE = {
    "zeros": b"\x00" * 64,
    "a record too long": b"\x16\x03\x01\xff\xff" + b"A" * 4096,
    "noise": hashlib.shake_256(b"noise").digest(1 << 16),
    "one byte": b"\x16",
    "a hello too short": b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00",
}


@pytest.mark.parametrize("garbage", GARBAGE.values(), ids=GARBAGE.keys())
def test_garbage_is_closed_and_leaves_nothing(secure, garbage):
    pair = secure(timeouts={"head": "500ms"})
    client = pair.client()
    client.send_while_open(garbage)
    client.ends()
    assert not pair.upstream.requests


def test_a_slow_handshake_ends_with_timeouts_head(secure):
    pair = secure(timeouts={"head": "500ms"})
    hello = b"\x16\x03\x01\x01\x00\x01\x00\x00\xfc\x03\x03"
    client, began = pair.client(), time.monotonic()
    for at in range(len(hello)):
        if not client.send_while_open(hello[at:at + 1]):
            break
        time.sleep(0.1)
    client.ends()
    assert time.monotonic() - began < 5
    silent = pair.client()
    silent.expect_close()


def test_half_made_handshakes_hold_up_nobody(secure, authority):
    """With one worker: a hundred that wait for the rest of the hello, and one client whose every handshake is whole."""
    pair = secure(runtime={"workers": 1})
    half = [pair.client() for _ in range(100)]
    for client in half:
        client.send(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")
    wait_until(lambda: pair.sluice.stats()["connections"]["open"] == 100, "all of them")
    for _ in range(20):
        with SecureClient(pair.sluice.address, authority.client_context(), seconds=2 * PATIENCE) as client:
            assert client.get().body == b"ok"
    assert all(client.still_open() for client in half)


def test_an_idle_connection_holds_no_task(secure, authority):
    pair = secure()
    context, before = authority.client_context(), pair.sluice.stats()["runtime"]["tasks"]["live"]
    clients = [SecureClient(pair.sluice.address, context) for _ in range(20)]
    for client in clients[:10]:
        assert client.get().status == 200
    wait_until(lambda: pair.sluice.stats()["runtime"]["tasks"]["live"] <= before, "no task of twenty idle connections")
    for client in clients:
        assert client.get().status == 200
        client.close()


def test_beyond_max_connections_a_client_is_cut_off_cheaply(secure, authority):
    pair = secure(max={"connections": 1})
    with SecureClient(pair.sluice.address, authority.client_context()) as first:
        assert first.get().status == 200
        with pytest.raises((ssl.SSLError, ConnectionError)):
            SecureClient(pair.sluice.address, authority.client_context())
        assert first.get().status == 200


def test_a_thousand_handshakes_at_once(secure, authority):
    pair = secure(timeouts={"head": "60s"})  # from when it connects: the last of them waits for our own threads
    raw = [RawClient(pair.sluice.address) for _ in range(1000)]

    def serve_one(client):
        context = authority.client_context()
        client.sock.settimeout(DEADLINE)
        with context.wrap_socket(client.sock, server_hostname="a.example") as sock:
            sock.sendall(get("/"))
            return sock.recv(4096).startswith(b"HTTP/1.1 200")

    with concurrent.futures.ThreadPoolExecutor(64) as pool:
        assert all(pool.map(serve_one, raw))


# Bodies.

def test_a_body_that_is_cut_off_without_close_notify_is_no_whole_body(secure, authority):
    """Chunked, so that only the end of the stream could be taken for the body's."""
    pair = secure()
    client = SecureClient(pair.sluice.address, authority.client_context())
    client.send(get("/", method="POST", fields=[("Transfer-Encoding", "chunked")]) + b"5\r\nhello\r\n")
    wait_until(lambda: pair.upstream.requests, "the request at the upstream")
    client.cut()
    wait_until(lambda: pair.upstream.connections[0].ended.is_set(), "the end of the upload")
    assert not pair.upstream.requests[0].complete


def test_an_answer_to_http_1_0_ends_with_close_notify(secure, authority):
    pair = secure()
    with SecureClient(pair.sluice.address, authority.client_context()) as client:
        assert client.ask(get("/", version="1.0")).body == b"ok"
        client.expect_close()


# Files.

def test_a_renewed_certificate_is_taken_without_losing_a_request(secure, authority, tmp_path):
    live = tmp_path / "live"
    live.mkdir()

    def install(issued):
        """As certbot does: both links turned, one after the other."""
        for source, name in ((issued.certificate, "chain.pem"), (issued.key, "key.pem")):
            fresh = live / "fresh"
            fresh.symlink_to(source)
            fresh.rename(live / name)

    first = authority.issue("a.example")
    install(first)
    pair = secure([{"tls": {"certificate": str(live / "chain.pem"), "key": str(live / "key.pem")}}])
    over, failures, answered = threading.Event(), [], [0]

    def load():
        context = authority.client_context()
        while not over.is_set():
            try:
                with SecureClient(pair.sluice.address, context) as client:
                    for _ in range(5):
                        assert client.get().status == 200
                        answered[0] += 1
            except Exception as error:
                failures.append(repr(error))

    threads = [threading.Thread(target=load) for _ in range(8)]
    for thread in threads:
        thread.start()
    for _ in range(5):
        renewed = authority.issue("a.example")
        install(renewed)
        wait_until(lambda: serial_of(pair, "a.example") == renewed.serial(), "the renewed certificate")
    over.set()
    for thread in threads:
        thread.join()
    assert not failures and answered[0] > 100


def test_a_bad_new_certificate_changes_nothing_and_says_why(secure, authority, tmp_path):
    first, other = authority.issue("a.example"), authority.issue("a.example")
    mine = {"certificate": str(tmp_path / "c.pem"), "key": str(tmp_path / "k.pem")}
    shutil.copy(first.certificate, mine["certificate"])
    shutil.copy(first.key, mine["key"])
    pair = secure([{"tls": mine}])
    shutil.copy(other.certificate, mine["certificate"])
    wait_until(lambda: "is not the key of the first certificate" in pair.sluice.stderr, "a word about the mismatch")
    assert serial_of(pair, "a.example") == first.serial()
    shutil.copy(other.key, mine["key"])
    wait_until(lambda: serial_of(pair, "a.example") == other.serial(), "the new certificate, now that its key is there")


def test_check_says_where_a_file_is_wrong(tmp_path, authority, issued):
    def check(tls):
        lines = ['{ "upstream": "127.0.0.1:1",', '  "listen": { "address": "127.0.0.1:1", "tls": {']
        lines += [f'    "{name}": "{file}",' for name, file in tls.items()]
        lines[-1] = lines[-1].rstrip(",") + " } } }"
        (tmp_path / "c.json").write_text("\n".join(lines))
        done = run("check", "-c", tmp_path / "c.json")
        return done.returncode, done.stderr.replace(str(tmp_path), "")

    assert check(issued.files) == (0, "")
    empty = tmp_path / "empty.pem"
    empty.write_text("")
    other = authority.issue("b.example")
    locked = tmp_path / "locked.key"
    openssl("pkey", "-in", issued.key, "-aes256", "-passout", "pass:x", "-out", locked)
    code, text = check({"certificate": "/nonexistent.pem", "key": issued.key, "client_ca": empty})
    assert code == 1
    assert '/c.json:3:20: /listen/tls/certificate: "/nonexistent.pem" cannot be read: No such file or directory' in text
    assert "/c.json:5:18: /listen/tls/client_ca: " in text and "has no certificate in it" in text
    text = check({**issued.files, "key": other.key})[1]
    assert text.startswith("/c.json:4:12: /listen/tls/key: ") and "is not the key of the first certificate in" in text
    assert "is under a passphrase" in check({**issued.files, "key": locked})[1]
    assert "is not a file" in check({**issued.files, "key": tmp_path})[1]
