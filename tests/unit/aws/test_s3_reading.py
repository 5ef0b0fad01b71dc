"""An object is read to its end although connections break, and never from two objects."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError, ReadTimeoutError
from botocore.response import StreamingBody
from urllib3.exceptions import ProtocolError

from forensics.aws import s3_reading
from forensics.aws.s3_landing import LandingGateway
from forensics.aws.s3_reading import PAUSES, read_on
from forensics.errors import UnreachableError
from tests.unit.moto_store import make_client

DATA = bytes(range(256)) * 40


class Breaking(io.BytesIO):
    """A connection that ends after so many bytes: with an error, or silently."""

    def __init__(self, data: bytes, *, after: int, silently: bool = False) -> None:
        super().__init__(data)
        self._left, self._silently = after, silently

    def read(self, size: int | None = -1) -> bytes:
        """The next bytes."""
        if not self._left:
            if self._silently:
                return b""
            raise ProtocolError("connection broken")
        piece = super().read(min(self._left, size if size and size > 0 else self._left))
        self._left -= len(piece)
        return piece


class Bucket:
    """Answers GetObject; its connections break as a test says."""

    def __init__(self, breaks: list[int], *, silently: bool = False) -> None:
        self.breaks, self.silently = breaks, silently
        self.asked: list[dict[str, str]] = []

    def get(self, rest: Any) -> Any:
        """One answer."""
        self.asked.append(dict(rest))
        first = int(rest["Range"].removeprefix("bytes=").rstrip("-")) if rest else 0
        data = DATA[first:]
        after = self.breaks.pop(0) if self.breaks else len(data)
        body = Breaking(data, after=after, silently=self.silently)
        return {"Body": StreamingBody(body, len(data)), "ETag": '"1"', "ContentLength": len(data)}


@pytest.fixture(autouse=True)
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long it waited; nothing sleeps."""
    slept: list[float] = []
    monkeypatch.setattr("time.sleep", slept.append)
    return slept


@pytest.mark.parametrize("silently", [False, True])
def test_a_broken_read_goes_on_where_it_broke_with_the_same_object(silently: bool) -> None:
    bucket = Bucket([3000, 1000, 5000], silently=silently)
    assert b"".join(read_on(bucket.get, chunk=700)) == DATA
    assert bucket.asked[0] == {} and all(asked["IfMatch"] == '"1"' for asked in bucket.asked[1:])
    firsts = [int(asked["Range"][6:-1]) for asked in bucket.asked[1:]]
    assert firsts == sorted(firsts) and all(0 < first < len(DATA) for first in firsts)


def test_breaks_without_a_byte_between_them_end_the_read(pauses: list[float]) -> None:
    bucket = Bucket([0] * 10)
    with pytest.raises(Exception, match="connection broken"):
        list(read_on(bucket.get, chunk=700))
    assert pauses == list(PAUSES) and len(bucket.asked) == len(PAUSES) + 1


def test_progress_between_breaks_begins_the_count_anew() -> None:
    bucket = Bucket([700] * 12)
    assert b"".join(read_on(bucket.get, chunk=700)) == DATA


def test_what_s3_refuses_is_not_asked_again() -> None:
    def refused(_: object) -> Any:
        raise ClientError({"Error": {"Code": "PreconditionFailed"}}, "GetObject")

    with pytest.raises(ClientError):
        list(read_on(refused, chunk=1))


def test_a_gateway_says_that_the_read_did_not_end(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(get: Callable[..., Any], *, chunk: int) -> Any:
        raise ReadTimeoutError(endpoint_url="https://s3")
        yield

    monkeypatch.setattr("forensics.aws.s3_landing.read_on", broken)
    with pytest.raises(UnreachableError, match="read s3://landing/k"):
        list(LandingGateway(make_client("s3"), bucket="landing").stream("k"))
    assert s3_reading.read_on is not broken
