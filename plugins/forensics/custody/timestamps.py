"""Trusted time: a token of a time-stamping authority for a signature of the ledger (RFC 3161).

KMS proves who signed a head; when, only AWS's clock says. A token proves that the signature existed at a time that a third party
vouches for. It is made over the signature's bytes, as CAdES does (RFC 5126, *signature time-stamp*), and checked offline by
``forensics-verify``, with the authority's certificate from somewhere else.
"""

from __future__ import annotations

import hashlib
import secrets
import time
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, ClassVar, Final, Self

from forensics.errors import CustodyError
from forensics.settings import Settings

if TYPE_CHECKING:
    from asn1crypto import cms, tsp

ALGORITHM: Final = "sha384"
LIMIT = 256 * 1024  # of an answer; a token with its certificates has some KiB
TIMEOUT_SECONDS = 5.0
# What waits for a signature must not wait for the authority again and again.
DOWN_SECONDS = 60.0
# What asn1crypto may raise for bytes that are not what they should be.
BROKEN = (ValueError, TypeError, KeyError, AttributeError, IndexError, OverflowError, RecursionError)
_GRANTED = frozenset({"granted", "granted_with_mods"})


class TimestampError(CustodyError):
    """The authority gave no token, or one that is not for this request."""


class TimestampAuthority:
    """One authority, asked over HTTP (RFC 3161, section 3.4)."""

    _down: ClassVar[dict[str, tuple[float, str]]] = {}

    def __init__(self, url: str) -> None:
        self.url = url

    @classmethod
    def of(cls, settings: Settings) -> Self | None:
        """The deployment's authority; None where it has none."""
        return cls(settings.timestamp_authority_url) if settings.timestamp_authority_url else None

    def token(self, data: bytes) -> bytes:
        """A token for ``data`` (DER, CMS SignedData). Raises :class:`TimestampError`; after a failure at once for a minute."""
        until, why = self._down.get(self.url, (0.0, ""))
        if time.monotonic() < until:
            raise TimestampError(f"{why} (not asked again for a minute)")
        try:
            return self._token(data)
        except TimestampError as error:
            self._down[self.url] = (time.monotonic() + DOWN_SECONDS, error.message)
            raise

    def _token(self, data: bytes) -> bytes:
        # imported where an authority is configured: most deployments have none
        from asn1crypto import algos, tsp

        digest, nonce = hashlib.sha384(data).digest(), secrets.randbits(63)
        imprint = tsp.MessageImprint(
            {"hash_algorithm": algos.DigestAlgorithm({"algorithm": ALGORITHM}), "hashed_message": digest}
        )
        asked = tsp.TimeStampReq({"version": "v1", "message_imprint": imprint, "nonce": nonce, "cert_req": True})
        answer = self._post(asked.dump())
        try:
            return self._checked(tsp.TimeStampResp.load(answer, strict=True), digest=digest, nonce=nonce)
        except BROKEN as error:
            raise TimestampError(f"time-stamping authority {self.url}: its answer cannot be read: {error}") from error

    def _post(self, body: bytes) -> bytes:
        headers = {"Content-Type": "application/timestamp-query", "Accept": "application/timestamp-reply"}
        request = urllib.request.Request(self.url, data=body, headers=headers, method="POST")
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as answer:
                found = bytes(answer.read(LIMIT + 1))
        except (urllib.error.URLError, OSError, ValueError) as error:
            raise TimestampError(f"time-stamping authority {self.url} does not answer: {error}") from error
        if len(found) > LIMIT:
            raise TimestampError(f"time-stamping authority {self.url}: its answer has more than {LIMIT} bytes")
        return found

    def _checked(self, answer: tsp.TimeStampResp, *, digest: bytes, nonce: int) -> bytes:
        """The token, when it is for this request; its signature is checked by whoever trusts the authority."""
        status = answer["status"]["status"].native
        if status not in _GRANTED:
            said = answer["status"]["fail_info"].native or answer["status"]["status_string"].native
            raise TimestampError(f"time-stamping authority {self.url} refused: {status} {said or ''}".strip())
        token: cms.ContentInfo = answer["time_stamp_token"]
        stated = token["content"]["encap_content_info"]["content"].parsed
        imprint = stated["message_imprint"]
        if (imprint["hash_algorithm"]["algorithm"].native, imprint["hashed_message"].native) != (ALGORITHM, digest):
            raise TimestampError(f"time-stamping authority {self.url}: its token is for other bytes")
        if stated["nonce"].native != nonce:
            raise TimestampError(f"time-stamping authority {self.url}: its token answers another request")
        return bytes(token.dump())
