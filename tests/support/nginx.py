"""A real nginx as the upstream: it serves files of known content and takes uploads by PUT."""

import hashlib
import os
import pathlib
import subprocess

from support.ports import free_port
from support.sluice import LEASH, connected

SIZES = {"empty": 0, "one": 1, "64k": 64 << 10, "100m": 100 << 20}

_CONF = """
daemon off; master_process off; worker_processes 1; pid {root}/pid; error_log {root}/error.log warn;
events {{ worker_connections 4096; }}
http {{
  access_log off; sendfile on; keepalive_requests 1000000; client_max_body_size 0;
  client_body_temp_path {root}/tmp/body; proxy_temp_path {root}/tmp/proxy; fastcgi_temp_path {root}/tmp/fastcgi;
  uwsgi_temp_path {root}/tmp/uwsgi; scgi_temp_path {root}/tmp/scgi;
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    root {root}/files;
    location /up/ {{ dav_methods PUT; }}
  }}
}}
"""


def digest(data):
    return hashlib.sha256(data).hexdigest()


def digest_of(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class Nginx:
    """Files NAME of SIZES under /NAME, uploads under /up/ANYTHING."""

    def __init__(self, root):
        self.root = pathlib.Path(root)
        self.files = self.root / "files"
        for folder in (self.files / "up", self.root / "tmp"):
            folder.mkdir(parents=True)
        self.digests = {}
        for name, size in SIZES.items():
            data = os.urandom(size)
            (self.files / name).write_bytes(data)
            self.digests[name] = digest(data)
        self.port = free_port()
        self.address = f"127.0.0.1:{self.port}"
        conf = self.root / "nginx.conf"
        conf.write_text(_CONF.format(root=self.root, port=self.port))
        self.process = subprocess.Popen([*LEASH, "nginx", "-p", self.root, "-c", conf, "-e", self.root / "error.log"],
                                        stdin=subprocess.DEVNULL)
        connected(("127.0.0.1", self.port))

    def uploaded(self, name):
        """The digest of what was PUT to /up/NAME."""
        return digest_of(self.files / "up" / name)

    def stop(self):
        self.process.kill()
        self.process.wait()
