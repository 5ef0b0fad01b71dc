"""A time-stamping authority for tests: ``openssl ts`` behind a port of this machine (OpenSSL manual, *openssl-ts*)."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

CONFIG = """
[ tsa ]
default_tsa = answer
[ answer ]
serial = {folder}/serial
signer_digest = sha384
default_policy = 1.2.3.4.1
digests = sha256, sha384, sha512
accuracy = secs:1
ess_cert_id_chain = no
ess_cert_id_alg = sha256
[ req ]
distinguished_name = name
prompt = no
[ name ]
CN = {name}
[ ca ]
basicConstraints = critical, CA:true
keyUsage = critical, keyCertSign
[ stamps ]
basicConstraints = critical, CA:false
keyUsage = critical, digitalSignature
extendedKeyUsage = critical, timeStamping
[ both ]
basicConstraints = critical, CA:false
extendedKeyUsage = critical, timeStamping, codeSigning
"""


@dataclass
class Authority:
    """An authority: a certificate authority of its own and a signing certificate below it.

    ``usage``: the section of the signing certificate's extensions. ``broken``: what it does instead of answering rightly.
    """

    folder: Path
    name: str = "test authority"
    usage: str = "stamps"
    kind: str = "rsa:2048"
    broken: str = ""
    asked: list[bytes] = field(default_factory=list)
    url: str = ""

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "serial").write_text("01\n")
        self._config("ca.cnf", f"{self.name} CA")
        self._config("tsa.cnf", self.name)
        new = [] if self.kind.startswith("rsa") else ["-pkeyopt", "ec_paramgen_curve:P-384"]
        self._openssl(
            "req", "-x509", "-newkey", self.kind, *new, "-nodes", "-days", "2", "-config", "ca.cnf", "-extensions", "ca",
            "-keyout", "ca.key", "-out", "ca.pem",
        )  # fmt: skip
        self._openssl(
            "req", "-newkey", self.kind, *new, "-nodes", "-config", "tsa.cnf", "-keyout", "tsa.key", "-out", "tsa.csr"
        )
        self._openssl(
            "x509", "-req", "-in", "tsa.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-days", "2", "-extfile", "tsa.cnf",
            "-extensions", self.usage, "-out", "tsa.pem",
        )  # fmt: skip

    def _config(self, file: str, name: str) -> None:
        (self.folder / file).write_text(CONFIG.format(folder=self.folder, name=name))

    def _openssl(self, *arguments: str) -> bytes:
        done = subprocess.run(["openssl", *arguments], cwd=self.folder, capture_output=True, check=False)
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout

    @property
    def root(self) -> Path:
        """The certificate that a reader has from somewhere else."""
        return self.folder / "ca.pem"

    def answer(self, query: bytes) -> bytes:
        """A response to one request."""
        self.asked.append(query)
        if self.broken == "silent":
            raise ConnectionError
        if self.broken == "garbage":
            return b"<html>no</html>"
        if self.broken == "large":
            return bytes(1024 * 1024)
        if self.broken == "replays" and len(self.asked) > 1:
            query = self.asked[0]
        (self.folder / "query").write_bytes(query)
        return self._openssl(
            "ts", "-reply", "-queryfile", "query", "-config", "tsa.cnf", "-signer", "tsa.pem", "-inkey", "tsa.key",
        )  # fmt: skip

    def verify(self, token: bytes, data: bytes) -> str:
        """What ``openssl ts -verify`` says of a token for ``data``: an opinion besides ours."""
        (self.folder / "token").write_bytes(token)
        (self.folder / "data").write_bytes(data)
        return self._openssl(
            "ts", "-verify", "-token_in", "-in", "token", "-data", "data", "-CAfile", "ca.pem"
        ).decode()

    @contextmanager
    def serving(self) -> Iterator[Authority]:
        """Answer over HTTP until the block ends."""
        authority = self

        class Handler(BaseHTTPRequestHandler):
            """One request, one answer."""

            def do_POST(self) -> None:
                """RFC 3161, section 3.4."""
                assert self.headers["Content-Type"] == "application/timestamp-query"
                query = self.rfile.read(int(self.headers["Content-Length"]))
                try:
                    body = authority.answer(query)
                except ConnectionError:
                    self.close_connection = True
                    return
                self.send_response(200)
                self.send_header("Content-Type", "application/timestamp-reply")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:
                """Nothing is logged."""

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        self.url = f"http://127.0.0.1:{server.server_port}/tsa"
        try:
            yield self
        finally:
            server.shutdown()
            server.server_close()
            thread.join()
