"""Real clients through the real binary to a real nginx: bodies of 0 B, 1 B, 64 KiB and 100 MiB both ways, equal by
checksum; and the memory that it takes."""

import concurrent.futures
import hashlib
import http.client
import json
import pathlib
import re
import subprocess
import threading
import urllib.request

import pytest

from support.nginx import SIZES, digest_of
from support.wait import PATIENCE

CLIENTS = pathlib.Path(__file__).parent / "clients"
SECONDS = 60 * PATIENCE
MIB = 1 << 20
MEMORY_BOUND = 64 * MIB


class Watch:
    """Samples the resident memory of a process while a transfer runs, 200 times a second."""

    def __init__(self, sluice):
        self._sluice = sluice
        self._over = threading.Event()
        self.samples = []
        self._thread = threading.Thread(target=self._run)

    def _run(self):
        while not self._over.wait(0.005):
            self.samples.append(self._sluice.memory()[0])

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._over.set()
        self._thread.join()


@pytest.fixture
def front(start_sluice, nginx):
    """The proxy before nginx; it must be at rest and within its memory afterwards."""
    sluice = start_sluice({"upstream": nginx.address, "log": {"access": "off"}})
    with Watch(sluice) as watch:
        yield sluice
    sluice.wait_resting()
    assert max(watch.samples, default=0) < MEMORY_BOUND, f"{max(watch.samples) / MIB:.1f} MiB resident"
    assert sluice.memory()[1] < MEMORY_BOUND, "the peak since the start"
    sluice.stop()


def command(*arguments):
    done = subprocess.run([*map(str, arguments)], capture_output=True, text=True, timeout=SECONDS)
    assert done.returncode == 0, f"{done.args}: {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.mark.parametrize("name", SIZES)
def test_curl(front, nginx, name, tmp_path):
    got = tmp_path / "got"
    written = command("curl", "-sS", "-f", "-o", got, "-w", "%{http_code} %{http_version} %{size_download}", f"{front.url}/{name}")
    assert written == f"200 1.1 {SIZES[name]}"
    assert (digest_of(got) if SIZES[name] else hashlib.sha256().hexdigest()) == nginx.digests[name]
    for kind, options in {"length": [], "chunked": ["-H", "Transfer-Encoding: chunked"]}.items():
        if (kind, name) == ("chunked", "empty"):
            continue  # curl 7.88 never sends the last chunk of an empty upload
        status = command("curl", "-sS", "-o", "/dev/null", "-w", "%{http_code}", *options, "-T", nginx.files / name,
                         f"{front.url}/up/curl-{kind}-{name}")
        assert status in ("201", "204")
        assert nginx.uploaded(f"curl-{kind}-{name}") == nginx.digests[name]


def test_curl_reuses_one_connection_for_many_requests(front, nginx):
    urls = [f"{front.url}/{name}" for name in ("empty", "one", "64k") * 20]
    out = command("curl", "-sS", "-w", "%{num_connects}\n", *[part for url in urls for part in ("-o", "/dev/null", url)])
    assert [int(line) for line in out.split()] == [1] + [0] * (len(urls) - 1)
    stats = front.settled()
    assert stats["connections"]["accepted"] == 1 and stats["requests"]["total"] == len(urls)


@pytest.mark.parametrize("name", SIZES)
def test_python_http_client(front, nginx, name):
    connection = http.client.HTTPConnection(*front.address, timeout=SECONDS)
    connection.request("GET", f"/{name}")
    response = connection.getresponse()
    assert response.status == 200
    assert hashlib.file_digest(response, "sha256").hexdigest() == nginx.digests[name]
    # The same connection again; a file object is sent with its length, an iterator in chunks.
    with open(nginx.files / name, "rb") as file:
        connection.request("PUT", f"/up/py-length-{name}", file, {"Content-Length": str(SIZES[name])})
        response = connection.getresponse()
        assert response.status in (201, 204) and response.read() == b""
        file.seek(0)
        connection.request("PUT", f"/up/py-chunked-{name}", iter(lambda: file.read(12345), b""))
        response = connection.getresponse()
        assert response.status in (201, 204) and response.read() == b""
    connection.close()
    for kind in ("length", "chunked"):
        assert nginx.uploaded(f"py-{kind}-{name}") == nginx.digests[name]
    assert front.stats()["connections"]["accepted"] == 1


@pytest.mark.parametrize("name", SIZES)
def test_python_urllib(front, nginx, name):
    with urllib.request.urlopen(f"{front.url}/{name}", timeout=SECONDS) as response:
        assert response.status == 200
        assert hashlib.file_digest(response, "sha256").hexdigest() == nginx.digests[name]
    with open(nginx.files / name, "rb") as file:
        request = urllib.request.Request(f"{front.url}/up/urllib-{name}", file, {"Content-Length": str(SIZES[name])}, method="PUT")
        with urllib.request.urlopen(request, timeout=SECONDS) as response:
            assert response.status in (201, 204)
    assert nginx.uploaded(f"urllib-{name}") == nginx.digests[name]


@pytest.mark.parametrize("name", SIZES)
def test_node_fetch(front, nginx, name):
    out = json.loads(command("node", CLIENTS / "fetch.mjs", front.url, name, nginx.files / name))
    assert out == {"get": {"status": 200, "digest": nginx.digests[name]}, "buffer": {"ok": True}, "stream": {"ok": True}}
    for kind in ("buffer", "stream"):
        assert nginx.uploaded(f"fetch-{kind}-{name}") == nginx.digests[name]


def wrk(front, path, script, *arguments, connections, seconds):
    out = command("wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "60s", "-s", CLIENTS / script, front.url + path, "--", *arguments)
    assert "Socket errors" not in out and "Non-2xx" not in out, out
    requests = int(re.search(r"(\d+) requests in", out)[1])
    checked, wrong = map(int, re.search(r"checked (\d+) wrong (\d+)", out).groups())
    assert wrong == 0 and 0 < requests <= checked <= requests + connections, out
    return requests


@pytest.mark.parametrize("name", ["empty", "one", "64k"])
def test_wrk_downloads(front, nginx, name):
    """Every body that wrk gets is compared with the file, byte by byte."""
    requests = wrk(front, f"/{name}", "check.lua", nginx.files / name, connections=64, seconds=1)
    total = front.settled()["requests"]
    assert requests <= total["by_status"]["200"] <= total["total"] <= requests + 64


def test_wrk_downloads_what_is_large(front):
    """Without looking at the bodies: for that wrk would keep each in one buffer, grown with every piece and moved,
    and be at 100 MiB for minutes where the kernel is slow at it. Other clients have their digests taken."""
    out = command("wrk", "-t1", "-c1", "-d5s", "--timeout", "60s", f"{front.url}/100m")
    assert "Socket errors" not in out and "Non-2xx" not in out, out
    requests = int(re.search(r"(\d+) requests in", out)[1])
    assert 0 < requests <= front.settled()["requests"]["by_status"]["200"] <= requests + 1, out


@pytest.mark.parametrize("name", ["empty", "one", "64k"])
def test_wrk_uploads(front, nginx, name):
    wrk(front, f"/up/wrk-{name}", "put.lua", nginx.files / name, connections=16, seconds=1)
    assert nginx.uploaded(f"wrk-{name}") == nginx.digests[name]


def test_memory_stays_bounded_with_large_transfers_side_by_side(front, nginx, tmp_path):
    """Four downloads, one of them slow, and two uploads of 100 MiB at once."""
    whole = nginx.files / "100m"

    def download(number, *options):
        got = tmp_path / str(number)
        command("curl", "-sS", "-f", "-o", got, *options, f"{front.url}/100m")
        return digest_of(got)

    def upload(number):
        command("curl", "-sS", "-f", "-o", "/dev/null", "-T", whole, f"{front.url}/up/side-{number}")
        return nginx.uploaded(f"side-{number}")

    with concurrent.futures.ThreadPoolExecutor() as pool:
        jobs = [pool.submit(download, n) for n in range(3)] + [pool.submit(upload, n) for n in range(2)]
        jobs.append(pool.submit(download, 3, "--limit-rate", "40M"))
        assert {job.result() for job in jobs} == {nginx.digests["100m"]}
