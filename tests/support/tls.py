"""Certificates made for a test by the openssl program, and clients and servers that speak TLS."""

import contextlib
import pathlib
import socket
import ssl
import subprocess
from dataclasses import dataclass

from support.client import RawClient, connect
from support.wait import DEADLINE
from support import wire


def openssl(*arguments, stdin=None, check=True, seconds=DEADLINE):
    """Runs the openssl program to its end: .stdout and .stderr as text."""
    return subprocess.run(["openssl", *map(str, arguments)], input=stdin, capture_output=True, text=True, check=check,
                          timeout=seconds)


@dataclass
class Issued:
    """A certificate with what signed it, and its key, as files."""

    certificate: str
    key: str

    @property
    def files(self):
        return {"certificate": self.certificate, "key": self.key}

    def serial(self):
        return openssl("x509", "-in", self.certificate, "-noout", "-serial").stdout.strip().partition("=")[2]


class Authority:
    """A certificate authority with an intermediate below the root: who trusts the root needs the whole chain."""

    def __init__(self, directory, name="Test", rsa_bits=None):
        """With rsa_bits, all keys are RSA (and are one, since such keys take long to make)."""
        self.directory = pathlib.Path(directory)
        self.directory.mkdir(exist_ok=True)
        self.name = name
        self.rsa_bits = rsa_bits
        self._issued = 0
        self.root = str(self.directory / "root.pem")
        self._key(self.directory / "root.key")
        openssl("req", "-x509", "-new", "-key", self.directory / "root.key", "-subj", f"/CN={name} root", "-days", 30,
                "-addext", "basicConstraints=critical,CA:TRUE", "-out", self.root)
        self._key(self.directory / "middle.key")
        self._sign("middle", f"/CN={name} middle", "root", "basicConstraints=critical,CA:TRUE,pathlen:0")

    def issue(self, *names, rsa=False, days=30, file=None):
        """A certificate for these names; addresses in digits are that."""
        self._issued += 1
        stem = file or f"leaf-{self._issued}"
        self._key(self.directory / f"{stem}.key", rsa)
        kinds = [f"{'IP' if name.replace('.', '').isdigit() else 'DNS'}:{name}" for name in names]
        self._sign(stem, f"/CN={names[0]}", "middle",
                   "basicConstraints=CA:FALSE\nextendedKeyUsage=serverAuth,clientAuth\nsubjectAltName=" + ",".join(kinds), days)
        chain = self.directory / f"{stem}-chain.pem"
        chain.write_text((self.directory / f"{stem}.pem").read_text() + (self.directory / "middle.pem").read_text())
        return Issued(str(chain), str(self.directory / f"{stem}.key"))

    def client_context(self, certificate=None, **options):
        """For a client that trusts this authority."""
        return client_context(self.root, certificate, **options)

    def server_context(self, issued, client_ca=None):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(issued.certificate, issued.key)
        if client_ca:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(client_ca)
        return context

    def _key(self, path, rsa=False):
        first = self.directory / "root.key"
        if self.rsa_bits and path != first:
            path.write_bytes(first.read_bytes())
            return
        kind = ["RSA", "-pkeyopt", f"rsa_keygen_bits:{self.rsa_bits or 2048}"] if rsa or self.rsa_bits else ["EC", "-pkeyopt", "ec_paramgen_curve:P-256"]
        openssl("genpkey", "-algorithm", *kind, "-out", path)

    def _sign(self, stem, subject, by, extensions, days=30):
        at = self.directory
        (at / f"{stem}.ext").write_text(extensions + "\n")
        openssl("req", "-new", "-key", at / f"{stem}.key", "-subj", subject, "-out", at / f"{stem}.csr")
        openssl("x509", "-req", "-in", at / f"{stem}.csr", "-CA", at / f"{by}.pem", "-CAkey", at / f"{by}.key", "-CAcreateserial",
                "-days", days, "-extfile", at / f"{stem}.ext", "-out", at / f"{stem}.pem")


def client_context(root=None, certificate=None, version=None, protocols=("http/1.1",)):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if root:
        context.load_verify_locations(root)
    else:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if certificate:
        context.load_cert_chain(certificate.certificate, certificate.key)
    if version:
        context.minimum_version = context.maximum_version = version
    if protocols:
        context.set_alpn_protocols(list(protocols))
    return context


class SecureClient(RawClient):
    """A RawClient under TLS. An end without close_notify is an error (ssl.SSLEOFError)."""

    def __init__(self, address, context, name="a.example", session=None, seconds=DEADLINE):
        self.plain = connect(address, seconds=seconds)
        try:
            self.sock = context.wrap_socket(self.plain, server_hostname=name, session=session, suppress_ragged_eofs=False)
        except BaseException:
            self.plain.close()
            raise
        self.wire = wire.Wire(self.sock, seconds)

    def cut(self):
        """The connection ends, and no close_notify says so."""
        descriptor = self.sock.detach()
        with contextlib.closing(socket.socket(fileno=descriptor)) as sock:
            sock.shutdown(socket.SHUT_RDWR)


def under_tls(context, script):
    """A script of an upstream that speaks TLS."""

    def secured(connection):
        connection.sock.settimeout(DEADLINE)
        connection.sock = context.wrap_socket(connection.sock, server_side=True, suppress_ragged_eofs=False)
        connection.wire = wire.Wire(connection.sock, DEADLINE)
        script(connection)

    return secured
