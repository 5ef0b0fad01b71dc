"""The YAML form of a disk scenario, checked on load."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Literal
from uuid import UUID

import yaml
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError, model_validator

SCHEMA = "forensics.disk-scenario/1"
_CONTENT = ("text", "source", "generate", "symlink", "directory")


class ScenarioError(ValueError):
    """The scenario cannot be used; the message names the file, the place in it and the reason."""


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Image(_Strict):
    """The disk and its one file system. Inodes and MiB are counts; UUIDs make the image reproducible."""

    size_mib: Annotated[int, Field(ge=4, le=4096)]
    disk_guid: UUID
    partition_guid: UUID
    partition_name: str
    label: str
    filesystem_uuid: UUID
    hash_seed: UUID
    inodes: Annotated[int, Field(ge=64)]
    deleted_names: Literal["kept", "wiped"]


class Clock(_Strict):
    """`ami`: when the image's files were made; `written`: the last write to the file system."""

    ami: AwareDatetime
    written: AwareDatetime


class Entry(_Strict):
    """A file, link or directory; one of text, source, generate, symlink, directory says what is in it.

    `at` sets every time that is not given; without it they are the AMI's. `stomped` says that `modified` was
    set with touch(1), which leaves whole seconds.
    """

    path: Annotated[str, Field(pattern=r"^/([^/]+/)*[^/]+$")]
    mode: Annotated[str, Field(pattern=r"^[0-7]{4}$")] | None = None
    owner: Annotated[str, Field(pattern=r"^\d+:\d+$")] = "0:0"
    text: str | None = None
    source: str | None = None
    generate: dict[str, Any] | None = None
    symlink: str | None = None
    directory: bool | None = None
    at: AwareDatetime | None = None
    created: AwareDatetime | None = None
    modified: AwareDatetime | None = None
    changed: AwareDatetime | None = None
    accessed: AwareDatetime | None = None
    deleted: AwareDatetime | None = None
    stomped: bool = False

    @model_validator(mode="after")
    def _one_content(self) -> Entry:
        given = [name for name in _CONTENT if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(f"{self.path}: give one of {', '.join(_CONTENT)}; there are {given or 'none'}")
        return self


class Fact(_Strict):
    """Something planted; `times` are named moments, `look_in` says where an examiner sees it."""

    id: Annotated[str, Field(pattern=r"^disk-[a-z0-9-]+$")]
    what: str
    path: str | None = None
    technique: Annotated[str, Field(pattern=r"^T\d{4}(\.\d{3})?$")] | None = None
    times: dict[str, AwareDatetime] = {}
    look_in: list[str]
    data: dict[str, Any] = {}


class Benign(_Strict):
    """Installed packages: `name version [program …]`, programs in /usr/bin or, with a slash, /usr/sbin."""

    packages: list[str] = []


class Scenario(_Strict):
    """A whole scenario file."""

    schema_: Literal["forensics.disk-scenario/1"] = Field(alias="schema")
    name: str
    summary: str
    variables: dict[str, str] = {}
    image: Image
    clock: Clock
    benign: Benign = Benign()
    entries: list[Entry]
    facts: list[Fact] = []


def load(path: Path) -> Scenario:
    """Read and check a scenario; `{{name}}` stands for that variable. ScenarioError if it is bad."""
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise ScenarioError(f"cannot read scenario {path}: {error}") from error
    if not isinstance(raw, dict):
        raise ScenarioError(f"{path} holds no mapping: it must begin with 'schema: {SCHEMA}'")
    variables = {str(name): str(value) for name, value in (raw.get("variables") or {}).items()}
    try:
        return Scenario.model_validate(_filled(raw, variables=variables))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ScenarioError(f"{path}: {where}: {first['msg']} ({error.error_count()} problems in all)") from error


def _filled(value: Any, *, variables: dict[str, str]) -> Any:
    if isinstance(value, str):
        for name, text in variables.items():
            value = value.replace("{{" + name + "}}", text)
        return value
    if isinstance(value, list):
        return [_filled(item, variables=variables) for item in value]
    if isinstance(value, dict):
        return {key: _filled(item, variables=variables) for key, item in value.items()}
    return value


def nanoseconds(moment: datetime) -> int:
    """Nanoseconds since 1970 of an aware time, exactly (a float would round them)."""
    return int(moment.timestamp()) * 1_000_000_000 + moment.microsecond * 1000
