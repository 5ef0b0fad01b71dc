"""What the forensic tools found (the shape of the toolkit's ``results.json``), and what the case records of each run."""

from __future__ import annotations

import json
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import AfterValidator, ConfigDict, Field, JsonValue, model_validator

from forensics.models.base import Model, Utc
from forensics.models.documents import Output
from forensics.models.evidence import Outcome
from forensics.models.outside import ALL_PLAIN, HostText, Outside
from forensics.printable import single_lines

# The toolkit's words in the reason of an analysis that had no symbol table (ami/toolkit, room ``symbols``).
_WITHOUT_SYMBOLS = "no symbol table"


class Confidence(StrEnum):
    """How sure the rule behind a tool finding is."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"


class ResultSeverity(StrEnum):
    """How serious a tool finding is."""

    INFO = "info"
    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    CRITICAL = "critical"


# What is read of one results.json, in bytes and in signs between its values; the toolkit writes some hundred KiB. More is in
# the stored artifact, and said. A few MiB may stand for gigabytes of objects, on a worker and in the web server.
RESULTS_BYTES = 8 * 1024 * 1024
RESULTS_VALUES = 400_000
# Entries of each of its lists (the toolkit lists 1,000 findings and 500 moments at most).
MOST = {
    "findings": 1_000,
    "timeline": 1_000,
    "provenance": 500,
    "coverage": 1_000,
    "artifacts": 500,
    "gaps": 200,
    "notes": 200,
    "process_tree": 1_000,
}
_CUT = "are read, the artifact has all"
LARGEST_DATA = 16_384  # characters of one finding's data as JSON
_LONGEST_ESCAPE = 12
_ESCAPED_BACKSLASH, _PLAIN_ESCAPES = rb"\\", (rb"\"", rb"\/")


class ResultsOverLimitError(ValueError):
    """Results are larger than what is read of them; the message says what was exceeded."""


def _shallow(data: dict[str, JsonValue]) -> dict[str, JsonValue]:
    if any(isinstance(value, dict | list) for value in data.values()):
        single_lines(data)  # refuses what nests too deep, which where all texts are plain nobody has seen yet
    return data


def _small(data: dict[str, JsonValue]) -> dict[str, JsonValue]:
    # JSON writes a character as twelve at most (a pair of escapes), and whatever else not longer than Python does.
    if _LONGEST_ESCAPE * len(repr(data)) <= LARGEST_DATA:
        return data
    size = len(json.dumps(data))
    return data if size <= LARGEST_DATA else {"left out": f"{size} characters; the artifact has them"}


FreeData = Annotated[dict[str, JsonValue], AfterValidator(_shallow)]
SmallData = Annotated[FreeData, AfterValidator(_small)]


class _FromTool(Outside):
    # Written by the toolkit of the forensic AMI, which may be newer than this package.
    model_config = ConfigDict(frozen=True, extra="ignore")


class ToolFinding(_FromTool):
    """One thing a tool found in evidence, in plain words."""

    id: str = Field(max_length=200)
    title: str = Field(max_length=500)
    detail: str = Field(default="", max_length=4000)
    severity: ResultSeverity = ResultSeverity.INFO
    confidence: Confidence = Confidence.MEDIUM
    time: Utc | None = None
    technique: str | None = Field(default=None, pattern=r"^T\d{4}(\.\d{3})?$")
    source: str = Field(default="", max_length=1000)
    data: SmallData = Field(default_factory=dict)


class ToolTimelineEntry(_FromTool):
    """One moment in the evidence."""

    time: Utc
    what: str = Field(max_length=2000)
    source: str = Field(default="", max_length=1000)


class ToolRun(_FromTool):
    """One tool invocation (provenance)."""

    tool: str
    version: str = ""
    argv: tuple[str, ...] = ()
    exit: int | None = None
    seconds: float = 0.0
    rows: int | None = None
    error: str | None = None


class ToolGap(_FromTool):
    """Something that a tool did not examine, and why; as a note, something that a reader should know."""

    what: str
    why: str


class Coverage(_FromTool):
    """How much of one known log or file there was, and how much of it was understood (bytes, lines)."""

    kind: str
    path: str = ""
    bytes: int = 0
    lines: int = 0
    parsed: int = 0
    shortfalls: tuple[str, ...] = ()


class ToolArtifact(_FromTool):
    """What became of one kind of artifact on a disk: ``state`` as the toolkit's readers report it, ``files`` counts what is there."""

    name: str = Field(max_length=100)
    state: Literal["examined", "in part", "unreadable", "empty", "absent"]
    files: int = 0
    paths: tuple[str, ...] = ()
    why: str = ""


class ProcessMark(_FromTool):
    """What a rule said of a process."""

    severity: ResultSeverity
    title: str = Field(max_length=500)


class ToolProcess(_FromTool):
    """One process in an image of memory; ``listed``: the system's own list of processes had it."""

    pid: int
    ppid: int = 0
    name: str = Field(default="", max_length=200)
    args: str = Field(default="", max_length=1000)
    exe: str = Field(default="", max_length=1000)
    uid: int | None = None
    started: Utc | None = None
    listed: bool = True
    connections: tuple[str, ...] = Field(default=(), max_length=32)
    marks: tuple[ProcessMark, ...] = Field(default=(), max_length=32)


class ToolResults(_FromTool):
    """One activity's results on one piece of evidence; of a list longer than :data:`MOST` the first entries, which is a gap."""

    schema_: Literal["forensics.results/1"] = Field(alias="schema")
    case_id: str
    evidence_id: str
    tool: str
    toolkit_version: str = ""
    started: Utc
    ended: Utc
    input: FreeData = Field(default_factory=dict)
    provenance: tuple[ToolRun, ...] = ()
    findings: tuple[ToolFinding, ...] = ()
    timeline: tuple[ToolTimelineEntry, ...] = ()
    counts: dict[str, int] = Field(default_factory=dict, max_length=1_000)
    coverage: tuple[Coverage, ...] = ()
    artifacts: tuple[ToolArtifact, ...] = ()
    gaps: tuple[ToolGap, ...] = ()
    notes: tuple[ToolGap, ...] = ()
    process_tree: tuple[ToolProcess, ...] = ()

    @model_validator(mode="before")
    @classmethod
    def _bounded(cls, given: object) -> object:
        if not isinstance(given, dict):
            return given
        sizes = {name: len(found) for name in MOST if isinstance(found := given.get(name), list | tuple)}
        kept = {name: given[name][: MOST[name]] for name, size in sizes.items() if size > MOST[name]}
        if not kept:
            return given
        said = [{"what": name, "why": f"{sizes[name]} entries; the first {MOST[name]} {_CUT}"} for name in kept]
        gaps = kept.get("gaps") or given.get("gaps")
        gaps = [*said, *(gaps if isinstance(gaps, list | tuple) else ())][: MOST["gaps"]]
        return {**given, **kept, "gaps": gaps}

    @property
    def cut(self) -> tuple[ToolGap, ...]:
        """The lists of which only the first entries were read, and how many they have."""
        return tuple(gap for gap in self.gaps if gap.what in MOST and gap.why.endswith(_CUT))


def read_results(body: bytes) -> ToolResults:
    """The results in a ``results.json``.

    Raises :class:`ResultsOverLimitError`, and ``ValueError`` (pydantic's ``ValidationError`` is one) for what is not valid.
    """
    if len(body) > RESULTS_BYTES:
        raise ResultsOverLimitError(f"{len(body)} bytes; of results at most {RESULTS_BYTES} are read")
    values = sum(map(body.count, (b",", b"[", b"{")))
    if values > RESULTS_VALUES:
        raise ResultsOverLimitError(f"up to {values} values; of results at most {RESULTS_VALUES} are read")
    try:
        return ToolResults.model_validate(json.loads(body), context=ALL_PLAIN if _all_plain(body) else None)
    except RecursionError:
        raise ResultsOverLimitError("they nest deeper than JSON is read") from None


def _all_plain(body: bytes) -> bool:
    """Whether making the texts visible would change none of them: all of it is printable ASCII, escapes as well.

    Results of a thousand findings have ten thousand texts; one look at all of them takes a hundredth of looking at each.
    """
    # A zero byte makes JSON UTF-16 or UTF-32, in which bytes of ASCII are other characters; control characters but DEL
    # are no JSON within a text.
    if not body.isascii() or b"\0" in body or b"\x7f" in body:
        return False
    rest = body.replace(_ESCAPED_BACKSLASH, b"")
    return rest.count(b"\\") == sum(map(rest.count, _PLAIN_ESCAPES))


class StoredArtifact(Model):
    """An artifact in the evidence store; ``bytes`` is its size."""

    uri: str
    sha256: str
    bytes: int


class SentDocument(Model):
    """The SSM document that a command ran, pinned by version and digest, and where its uploads land."""

    name: str = ""
    version: str = ""
    sha256: str = ""
    landing_prefix: str = ""


class UsedKey(Outside):
    """A key of an encrypted disk that a command was given: where it is stored, in which version, never the key."""

    name: str
    arn: str = ""
    version: str = ""


class Investigation(Outside):
    """The outcome of one activity as recorded in the case (the results themselves lie in S3)."""

    activity: str
    tool: str = ""
    follows: str = Field(default="", description="the activity that it gives a second opinion on; empty: it examines")
    evidence_id: str
    outcome: Outcome
    reason: str | None = None
    output: Output = Output.RESULTS
    command_id: str | None = None
    instance_id: str | None = None
    sent_again: int = Field(default=0, description="commands before this one that no agent took")
    document: SentDocument = SentDocument()
    disk_keys: list[UsedKey] = Field(default_factory=list, description="keys that its manifest offers")
    artifacts: dict[HostText, StoredArtifact] = Field(default_factory=dict)
    started_at: Utc | None = None
    ended_at: Utc | None = None
    findings: int = 0
    gaps: int = 0
    process_count: int = Field(default=0, description="processes in the image of memory; the results have all of them")
    processes: tuple[ToolProcess, ...] = Field(
        default=(), description="those of them that rules say something of, and who started them"
    )

    @property
    def succeeded(self) -> bool:
        """Whether the activity has results, all of them or some."""
        return self.outcome in {Outcome.DONE, Outcome.PARTIAL}

    @property
    def without_symbols(self) -> bool:
        """Whether the image of memory was examined without a symbol table for its kernel."""
        return lacks_symbols(self.outcome, self.reason)


def lacks_symbols(outcome: Outcome, reason: str | None) -> bool:
    """Whether an analysis of memory ended partial because the tool had no symbol table for the kernel."""
    return outcome is Outcome.PARTIAL and _WITHOUT_SYMBOLS in (reason or "")
