"""Reads an S3 object of any size in chunks; a connection that breaks is taken up again where it broke."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, TypedDict

from botocore.exceptions import (
    ConnectionError,
    HTTPClientError,
    IncompleteReadError,
    ReadTimeoutError,
    ResponseStreamingError,
)

if TYPE_CHECKING:
    from mypy_boto3_s3.type_defs import GetObjectOutputTypeDef

log = logging.getLogger(__name__)
# What a body says when its connection breaks (botocore.response.StreamingBody), and a request that finds none.
_BROKEN = (ReadTimeoutError, ResponseStreamingError, IncompleteReadError, ConnectionError, HTTPClientError)
# Pauses before a read is taken up again, in seconds; so many breaks in a row without a byte between them end it.
PAUSES = (1.0, 2.0, 4.0, 8.0, 16.0)


class Rest(TypedDict, total=False):
    """What of an object is asked for; empty: all of it."""

    Range: str
    IfMatch: str


def read_on(get: Callable[[Rest], GetObjectOutputTypeDef], *, chunk: int) -> Iterator[bytes]:
    """The object's bytes. ``get`` makes one GetObject with the arguments that it is given besides its own.

    The first request asks for the whole; each that follows for what is left of exactly that object: by ``Range``, and by
    ``IfMatch`` with the first one's ETag (S3 API reference, *GetObject*), so that bytes of two objects are never mixed.
    """
    offset, etag, breaks, total = 0, "", 0, -1
    while offset != total:
        try:
            rest: Rest = {"Range": f"bytes={offset}-"} if offset else {}
            if offset and etag:
                rest["IfMatch"] = etag
            answer = get(rest)
            if not offset:
                etag, total = str(answer.get("ETag", "")), int(answer.get("ContentLength", -1))
            for piece in answer["Body"].iter_chunks(chunk_size=chunk):
                yield piece
                offset, breaks = offset + len(piece), 0
            return
        except _BROKEN as error:
            if breaks == len(PAUSES):
                raise
            log.warning("the read broke after %s bytes and is taken up again: %s", offset, error)
            time.sleep(PAUSES[breaks])
            breaks += 1
