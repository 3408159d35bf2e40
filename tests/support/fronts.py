"""Servers of others in front of the proxy or beside it: nginx, HAProxy, Caddy, each with a configuration of the test's."""

import os
import pathlib
import subprocess

from support.ports import free_port
from support.sluice import LEASH, connected


class Front:
    """A process that listens on `address`, a (host, port)."""

    def __init__(self, command, port, root, environment=None):
        self.address = ("127.0.0.1", port)
        self._log = pathlib.Path(root) / "log"
        with open(self._log, "wb") as log:
            self._process = subprocess.Popen([*LEASH, *map(str, command)], stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=root,
                                             env={**os.environ, **(environment or {})})
        try:
            connected(self.address)
        except BaseException:
            self.stop()
            raise AssertionError(f"{command[0]} never listened:\n{self._log.read_text()[-2000:]}") from None

    def stop(self):
        self._process.kill()
        self._process.wait()


def haproxy(root, server):
    """HAProxy that passes connections on as they are; `server` is the rest of its server line."""
    port = free_port()
    conf = pathlib.Path(root) / "haproxy.cfg"
    conf.write_text(f"""
defaults
  mode tcp
  timeout connect 5s
  timeout client 60s
  timeout server 60s
frontend in
  bind 127.0.0.1:{port}
  default_backend out
backend out
  server sluice {server}
""")
    return Front(["haproxy", "-db", "-f", conf], port, root)


_NGINX = """
{modules}
daemon off; master_process off; worker_processes 1; pid {root}/pid; error_log {root}/error.log warn;
events {{ worker_connections 1024; }}
{body}
"""
_NGINX_TEMPORARY = "client_body_temp_path {root}/t1; proxy_temp_path {root}/t2; fastcgi_temp_path {root}/t3; uwsgi_temp_path {root}/t4; scgi_temp_path {root}/t5;"


def nginx_stream(root, server):
    """nginx that passes connections on as they are; `server` holds directives of the server block."""
    port = free_port()
    conf = pathlib.Path(root) / "nginx.conf"
    conf.write_text(_NGINX.format(root=root, modules="load_module /usr/lib/nginx/modules/ngx_stream_module.so;",
                                  body=f"stream {{ server {{ listen 127.0.0.1:{port}; {server} }} }}"))
    return Front(["nginx", "-p", root, "-c", conf, "-e", f"{root}/error.log"], port, root)


def nginx_http(root, server):
    """nginx as an HTTP server; `server` holds directives of the server block."""
    port = free_port()
    conf = pathlib.Path(root) / "nginx.conf"
    conf.write_text(_NGINX.format(root=root, modules="", body=f"http {{ access_log off; {_NGINX_TEMPORARY.format(root=root)} "
                                  f"server {{ listen 127.0.0.1:{port}; {server} }} }}"))
    return Front(["nginx", "-p", root, "-c", conf, "-e", f"{root}/error.log"], port, root)


def caddy(root, site):
    """Caddy; `site` holds directives of the site."""
    port = free_port()
    conf = pathlib.Path(root) / "Caddyfile"
    conf.write_text(f"{{\n  admin off\n  auto_https off\n}}\nhttp://127.0.0.1:{port}, http://a.example:{port} {{\n  bind 127.0.0.1\n{site}\n}}\n")
    return Front(["caddy", "run", "--config", conf, "--adapter", "caddyfile"], port, root,
                 {"HOME": str(root), "XDG_DATA_HOME": str(root), "XDG_CONFIG_HOME": str(root)})
