"""A client that answers with recorded shapes, and the shapes: tests/data/recorded."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from botocore.response import StreamingBody

DATA = Path(__file__).resolve().parents[1] / "data" / "recorded"
WHERE: dict[str, str] = {"account_id": "111122223333", "region": "eu-central-1"}
Answers = Mapping[str, Any]


def _load(name: str) -> list[dict[str, Any]]:
    return list(json.loads((DATA / name).read_text("utf-8"), object_hook=_times))


def _times(value: dict[str, Any]) -> Any:
    return datetime.fromisoformat(value["__time__"]) if set(value) == {"__time__"} else value


ANSWERS = [*_load("answers.json"), *_load("recent.json")]
ERRORS = _load("errors.json")


@lru_cache
def _client(service: str) -> Any:
    return boto3.client(
        service, region_name="eu-central-1", aws_access_key_id="none", aws_secret_access_key="none",
        config=Config(retries={"total_max_attempts": 1}),
    )  # fmt: skip


class Recorded:
    """A client whose calls are answered with recorded shapes; what was not recorded is answered emptily."""

    def __init__(self, service: str, answers: Answers, *, error: Mapping[str, Any] | None = None) -> None:
        self._service, self._answers, self._error = _client(service), answers, error
        self._events = self._service.meta.events

    def __enter__(self) -> Any:
        self._events.register("before-call", self._answer, unique_id="recorded")
        return self._service

    def __exit__(self, *_: object) -> None:
        self._events.unregister("before-call", self._answer, unique_id="recorded")

    def _answer(self, model: Any, **_: Any) -> tuple[Any, dict[str, Any]]:
        class Http:
            status_code = 200

        given = self._answers.get(model.name)
        if self._error is not None and given is None:
            Http.status_code = self._error["status"]
            return Http(), dict(self._error["answer"])
        parsed = dict(given) if given is not None else _empty(model.output_shape)
        if model.has_streaming_output:
            parsed |= {model.get_streaming_output().name: b""}
            parsed["Body"] = StreamingBody(io.BytesIO(b"x"), 1)
        parsed.pop("NextToken", None)
        parsed.pop("NextMarker", None)
        return Http(), parsed | {"ResponseMetadata": {"HTTPStatusCode": 200}}


def _empty(shape: Any) -> dict[str, Any]:
    return {name: [] for name, member in shape.members.items() if member.type_name == "list"} if shape else {}


def equal(one: object, other: object) -> None:
    assert one == other
