"""The proxies and the upstream: for each, the configuration that does the work in question, and how it is started.

A Job says what that work is. Every proxy keeps connections to the upstream open, tracks each client, and forwards the
client's address, since that is what a limiter in front of an application does. Access logs are off everywhere."""

import dataclasses
import json
import os
import pathlib
import shutil
import subprocess

HERE = pathlib.Path(__file__).resolve().parent
UPSTREAM_PORT = 19100
BODY = b"A small answer of about one hundred bytes, as the endpoint of an application would give it to many.\n"
FILES = {"64k": 64 << 10, "1m": 1 << 20}
NEVER_REACHED = 1_000_000_000  # requests a second


@dataclasses.dataclass(frozen=True)
class Job:
    port: int
    folder: pathlib.Path
    refuse: bool = False     # the limit is one request a second, and so nearly all are refused
    forwarded: bool = False  # the client is the address in X-Forwarded-For, not the peer
    secure: bool = False     # clients speak TLS, 1.3 only
    once: bool = False       # clients ask once on each connection
    workers: int = 1

    def write(self, name, text):
        path = self.folder / f"{self.port}-{name}"
        path.write_text(text)
        return path


def _identity(folder):
    """(certificate, key) with a P-256 key, as files."""
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    if not certificate.exists():
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=bench",
                        "-days", "2", "-keyout", key, "-out", certificate], check=True, capture_output=True)
        (folder / "both.pem").write_text(certificate.read_text() + key.read_text())  # as HAProxy wants them
    return certificate, key


def _nginx(job, workers, http):
    temporary = " ".join(f"{kind}_temp_path {job.folder}/{job.port}-{kind};"
                         for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    conf = job.write("nginx.conf", f"""
        daemon off; worker_processes {workers}; pid {job.folder}/{job.port}.pid; error_log stderr crit;
        events {{ worker_connections 8000; }}
        http {{
          access_log off; {temporary}
          keepalive_requests 1000000000; keepalive_timeout 900s; client_max_body_size 0;
          {http}
        }}""")
    return ["nginx", "-e", "stderr", "-c", conf]


def upstream(folder):
    """Answers BODY to all but /files/…, which are FILES; takes any upload."""
    files = folder / "files"
    files.mkdir(exist_ok=True)
    for name, size in FILES.items():
        (files / name).write_bytes(os.urandom(size))
    return _nginx(Job(UPSTREAM_PORT, folder), 1, f"""
        sendfile on;
        server {{
          listen 127.0.0.1:{UPSTREAM_PORT} backlog=4096;
          location / {{ return 200 "{BODY.decode().strip()}"; }}
          location /files/ {{ root {folder}; }}
        }}""")


class Nginx:
    """limit_req, in a zone that has room for every client of the run."""

    name, needs = "nginx", "nginx"

    def command(self, job):
        client = "set_real_ip_from 127.0.0.0/8; real_ip_header X-Forwarded-For;" if job.forwarded else ""
        rate, burst = ("1r/s", "") if job.refuse else (f"{NEVER_REACHED}r/s", "burst=100000 nodelay")
        secure = ""
        if job.secure:
            certificate, key = _identity(job.folder)
            secure = f"ssl_certificate {certificate}; ssl_certificate_key {key}; ssl_protocols TLSv1.3;"
        return _nginx(job, job.workers, f"""
            {client}
            limit_req_zone $binary_remote_addr zone=clients:256m rate={rate};
            limit_req_status 429;
            upstream application {{ server 127.0.0.1:{UPSTREAM_PORT}; keepalive 512; keepalive_requests {NEVER_REACHED}; }}
            server {{
              listen 127.0.0.1:{job.port} {"ssl" if secure else ""} backlog=4096;
              {secure}
              location / {{
                limit_req zone=clients {burst};
                proxy_pass http://application; proxy_http_version 1.1; proxy_request_buffering off;
                proxy_set_header Connection ""; proxy_set_header Host $host;
                proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
              }}
            }}""")


class HAProxy:
    """A stick table of request rates."""

    name, needs = "HAProxy", "haproxy"

    def command(self, job):
        client = "hdr_ip(X-Forwarded-For)" if job.forwarded else "src"
        most = 1 if job.refuse else 2 * NEVER_REACHED
        secure = ""
        if job.secure:
            _identity(job.folder)
            secure = f"ssl crt {job.folder}/both.pem ssl-min-ver TLSv1.3"
        conf = job.write("haproxy.cfg", f"""
global
    maxconn 8000
    nbthread {job.workers}
defaults
    mode http
    timeout connect 5s
    timeout client 900s
    timeout server 60s
frontend clients
    bind 127.0.0.1:{job.port} backlog 4096 {secure}
    option forwardfor
    stick-table type ipv6 size 4m expire 3m store http_req_rate(1s)
    http-request track-sc0 {client}
    http-request deny deny_status 429 if {{ sc_http_req_rate(0) gt {most} }}
    default_backend application
backend application
    http-reuse always
    server one 127.0.0.1:{UPSTREAM_PORT} pool-max-conn 1024
""")
        return ["haproxy", "-f", conf]


class Notes:
    """peers/notes.go: Go's reverse proxy, and a limiter for each address in a map under a mutex."""

    name, needs = "Go", "go"

    def command(self, job):
        program = job.folder / "notes"
        if not program.exists():
            # With Debian's golang-golang-x-time-dev, so that nothing is fetched.
            subprocess.run(["go", "build", "-o", program, HERE.parent / "peers/notes.go"], check=True,
                           env={**os.environ, "GO111MODULE": "off", "GOPATH": "/usr/share/gocode",
                                "GOCACHE": str(job.folder / "go")})
        rate = ["-rate", "1", "-burst", "1"] if job.refuse else ["-rate", NEVER_REACHED, "-burst", NEVER_REACHED]
        return ["env", f"GOMAXPROCS={job.workers}", program, "-listen", f"127.0.0.1:{job.port}",
                "-upstream", f"http://127.0.0.1:{UPSTREAM_PORT}", *rate, *(["-behind"] if job.forwarded else [])]


class Floor:
    """peers/floor.cpp: the kernel's share. One thread for each worker, one upstream connection for each client, nothing
    parsed."""

    name, needs = "kernel", "g++"

    def command(self, job):
        program = job.folder / "floor"
        if not program.exists():
            subprocess.run(["g++", "-std=c++20", "-O2", "-o", program, HERE.parent / "peers/floor.cpp"], check=True)
        mode = "reject" if job.refuse else "once" if job.once else "pass"
        return [program, job.port, UPSTREAM_PORT, mode, job.workers]


class Sluice:
    name, needs = "Sluice", None

    def __init__(self, binary):
        self.binary = binary

    def command(self, job):
        rate = {"rate": "1/s", "burst": 1} if job.refuse else {"rate": f"{NEVER_REACHED}/s", "burst": NEVER_REACHED}
        config = {
            "listen": f"127.0.0.1:{job.port}", "upstream": f"127.0.0.1:{UPSTREAM_PORT}",
            "admin": {"address": f"127.0.0.1:{job.port + 500}"}, "log": {"access": "off"},
            "limits": [{"name": "per-ip", **rate}], "clients": {"max": 4_000_000},
            "timeouts": {"keep_alive": "15m"}, "runtime": {"workers": job.workers},
        }
        if job.secure:
            certificate, key = map(str, _identity(job.folder))
            config["listen"] = {"address": config["listen"], "tls": {"certificate": certificate, "key": key}}
        if job.forwarded:
            config["client"] = {"trusted_proxies": ["127.0.0.0/8"]}
        return [self.binary, "run", "-c", job.write("sluice.json", json.dumps(config))]


def present(binary, names):
    """Those of `names` that are installed, Sluice last when `binary` is given."""
    peers = [proxy for proxy in (Floor(), Nginx(), HAProxy(), Notes())
             if proxy.name.lower() in names and shutil.which(proxy.needs)]
    return peers + ([Sluice(binary)] if binary else [])
