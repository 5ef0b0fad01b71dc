"""The manifest: what this instance may fetch and where it may upload (docs/architecture.md)."""

from __future__ import annotations

import base64
import hashlib
import http.client
import re
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from forensic_toolkit.errors import ManifestError

Answer = TypeVar("Answer")
FIRST_LINE = "forensics-manifest 1"
MAX_MANIFEST = 16 * 1024 * 1024
_URL = re.compile(r"https?://[A-Za-z0-9./:?&=%_~+-]{1,8000}")
_NAME = re.compile(r"[a-z0-9_]{1,32}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
# Names of SSM parameters and of secrets; SecureStrings hold up to 8 KiB, secrets up to 64 KiB.
_STORED = re.compile(r"[A-Za-z0-9/_+=.@-]{1,512}")
_BASE64 = re.compile(r"(?:[A-Za-z0-9+/]{4}){0,22000}(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?")
_CHUNK = 1024 * 1024
_PAUSES = (1.0, 2.0, 4.0)
# HTTP status codes of S3 after which a retry may succeed.
_TRANSIENT = {408, 429, 500, 502, 503, 504}


@dataclass(frozen=True, slots=True)
class Download:
    """One object that may be fetched; ``sha256`` is None when the manifest does not state it."""

    name: str
    sha256: str | None
    url: str


@dataclass(frozen=True, slots=True)
class Fetched:
    """One object as fetched: its local path, SHA-256 and size."""

    name: str
    path: Path
    sha256: str
    bytes: int


@dataclass(frozen=True, slots=True)
class Manifest:
    """Parsed manifest: downloads, upload URLs and keys, each by name."""

    gets: dict[str, Download] = field(default_factory=dict)
    puts: dict[str, str] = field(default_factory=dict)
    keys: dict[str, bytes] = field(
        default_factory=dict, repr=False
    )  # of encrypted disks, by the name they are stored under


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Presigned URLs do not redirect; following a redirect could send evidence elsewhere."""

    def redirect_request(self, *args: Any, **kwargs: Any) -> None:
        return None


_OPENER = urllib.request.build_opener(_NoRedirect)


def parse(text: str) -> Manifest:
    """Parse a manifest. Raises ManifestError naming the line."""
    lines = text.splitlines()
    if not lines or lines[0] != FIRST_LINE:
        raise ManifestError(f"the manifest does not begin with '{FIRST_LINE}'; was the right URL given?")
    manifest = Manifest()
    for number, line in enumerate(lines[1:], start=2):
        match line.split(" "):
            case ["get", name, "-", url] if _fits(name, url):
                manifest.gets[name] = Download(name, None, url)
            case ["get", name, digest, url] if _fits(name, url) and _SHA256.fullmatch(digest):
                manifest.gets[name] = Download(name, digest, url)
            case ["put", name, url] if _fits(name, url):
                manifest.puts[name] = url
            case ["key", name, value] if _STORED.fullmatch(name) and _BASE64.fullmatch(value):
                manifest.keys[name] = base64.b64decode(value)
            case ["part" | "part_size", *_] | [""]:
                continue
            case _:
                raise ManifestError(f"line {number} of the manifest is malformed")
    return manifest


def _fits(name: str, url: str) -> bool:
    return bool(_NAME.fullmatch(name) and _URL.fullmatch(url))


def load(url: str) -> Manifest:
    """Fetch and parse the manifest. Raises ManifestError."""
    if not _URL.fullmatch(url):
        raise ManifestError("the manifest URL is not an http(s) URL of plain characters")

    def read() -> bytes:
        with _OPENER.open(url, timeout=60) as reply:
            return bytes(reply.read(MAX_MANIFEST + 1))

    content = _with_retries(read, what="the manifest could not be fetched")
    if len(content) > MAX_MANIFEST:
        raise ManifestError(f"the manifest is larger than {MAX_MANIFEST} bytes")
    return parse(content.decode("utf-8", "replace"))


def fetch(download: Download, *, folder: Path) -> Fetched:
    """Fetch one object into ``folder``; a digest given in the manifest must match. Raises ManifestError."""
    path = folder / download.name

    def read() -> Fetched:
        digest, size = hashlib.sha256(), 0
        with _OPENER.open(download.url, timeout=60) as reply, path.open("wb") as file:
            while chunk := reply.read(_CHUNK):
                digest.update(chunk)
                size += len(chunk)
                file.write(chunk)
            expected = reply.headers.get("Content-Length")
        if expected is not None and int(expected) != size:
            raise http.client.IncompleteRead(b"", int(expected) - size)
        return Fetched(download.name, path, digest.hexdigest(), size)

    fetched = _with_retries(read, what=f"'{download.name}' could not be fetched")
    if download.sha256 is not None and fetched.sha256 != download.sha256:
        raise ManifestError(
            f"'{download.name}' is not what the manifest names: its SHA-256 is {fetched.sha256}, "
            f"expected {download.sha256}; nothing was analysed"
        )
    return fetched


def upload(name: str, *, url: str, path: Path) -> None:
    """PUT one whole object. Raises ManifestError; the URL is never part of the message."""

    def send() -> None:
        with path.open("rb") as body:
            request = urllib.request.Request(url, data=body, method="PUT")
            request.add_header("Content-Type", "application/octet-stream")
            request.add_header("Content-Length", str(path.stat().st_size))
            _OPENER.open(request, timeout=120).close()

    _with_retries(send, what=f"'{name}' could not be uploaded")


def _with_retries(action: Callable[[], Answer], *, what: str) -> Answer:
    """Run ``action``; retry after 1, 2 and 4 seconds on transient failures. Raises ManifestError."""
    for pause in (*_PAUSES, None):
        try:
            return action()
        except urllib.error.HTTPError as error:
            why, passing = f"HTTP {error.code}", error.code in _TRANSIENT
        except (urllib.error.URLError, http.client.HTTPException, TimeoutError, ConnectionError) as error:
            why, passing = f"{type(error).__name__} ({getattr(error, 'reason', 'connection broken')})", True
        except OSError as error:
            raise ManifestError(f"{what}: {error.strerror or error}") from error
        if pause is None or not passing:
            break
        time.sleep(pause)
    hint = "; is the URL expired?" if why in ("HTTP 403", "HTTP 400") else ""
    raise ManifestError(f"{what}: {why}{hint}")
