"""What stands around the proxy of a soak, and what it is told."""

import pathlib
import subprocess
import sys

from client import Entrance
from support.ports import free_port
from support.sluice import LEASH
from support.tls import Authority
from support.upstream import Refusing


class World:
    """What stands around the proxy: its entrances, its upstreams, and the files that it is given."""

    def __init__(self, directory):
        authority = Authority(pathlib.Path(directory) / "authority")
        self.identities = [authority.issue("a.example").files for _ in range(2)]
        self.root = authority.root
        context = authority.client_context()
        self.entrances = [Entrance(name, ("127.0.0.1", free_port()), context if secure else None, introduces)
                          for name, secure, introduces in (("clear", False, False), ("TLS", True, False), ("PROXY", False, True),
                                                           ("PROXY and TLS", True, True))]
        self.refusing = Refusing()
        server = authority.issue("127.0.0.1")
        self.upstream = subprocess.Popen([*LEASH, sys.executable, str(pathlib.Path(__file__).parent / "upstream.py"),
                                          server.certificate, server.key], stdout=subprocess.PIPE, text=True)
        self.clear, self.secure = (f"127.0.0.1:{port}" for port in self.upstream.stdout.readline().split())

    def config(self, turn):
        """Two that take turns: what a reload changes most, limits, timeouts, upstreams and certificates, changes each time."""
        waits = {"response_timeout": "2s", "stall_timeout": "2s", "connect_timeout": "1s"}
        return {
            "listen": [{"address": "%s:%d" % each.address, "proxy_protocol": each.introduces,
                        **({"tls": self.identities[turn % 2]} if each.context else {})} for each in self.entrances],
            "upstreams": {
                "clear": {"servers": [self.clear], **waits, "max_connections": 256 + turn % 2, "max_idle": 32},
                "secure": {"servers": [self.secure], "tls": {"ca": self.root}, **waits, "max_connections": 256 + turn % 2,
                           "max_idle": 32},
                "gone": {"servers": [self.refusing.address, self.clear], "response_timeout": "2s"},
            },
            "routes": [{"match": {"path": "/slow"}, "upstream": "gone"}, {"match": {"host": "secure.example"}, "upstream": "secure"},
                       {"upstream": "clear"}],
            "limits": [{"name": "per-client", "rate": f"{20 + turn % 2}/s", "burst": 40},
                       {"name": "banning", "match": {"path": "/banned"}, "rate": "2/s", "burst": 2,
                        "ban": {"after": 3, "within": "5s", "for": "2s"}},
                       {"name": "by-path", "key": ["ip", "path"], "rate": "100/s", "mode": "shadow"}],
            "clients": {"max": 500, "idle_after": "5s", "sweep_every": "2s"},
            "timeouts": {"head": "2s", "body": "2s", "write": "2s", "keep_alive": f"{3 + turn % 2}s", "drain": "5s", "tunnel": "3s"},
            "max": {"connections": 150},
            "log": {"access": "limited"},
            "runtime": {"workers": 2},
        }

    def close(self):
        self.upstream.kill()
        self.upstream.wait()
        self.refusing.stop()
