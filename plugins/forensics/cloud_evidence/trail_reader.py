"""Reads a case's stored records in a process of its own (``forensics.confined``): findings, timeline, answers. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from pydantic import ValidationError

from forensics.cloud_evidence import trail_answers, trail_call_rules, trail_pattern_rules
from forensics.cloud_evidence.log_reading import LogReading, lines_of
from forensics.cloud_evidence.trail_record import TrailRecord
from forensics.cloud_evidence.trail_scene import Maker, Scene, TrailOrder, cut
from forensics.confined import Channel
from forensics.models.results import ResultSeverity, ToolGap, ToolTimelineEntry

FUNCTION = "forensics.cloud_evidence.trail_reader:examine"
# A result has at most 4 MiB (forensics.confined), whatever a caller writes into its calls.
MOST_FINDINGS, MOST_EVENTS, MOST_CALLS = 300, 500, 400_000
_RANK = {severity: number for number, severity in enumerate(ResultSeverity)}
# Calls that every instance's agents make: they tell nothing on a timeline.
_NOISE = frozenset(
    {"UpdateInstanceInformation", "ListInstanceAssociations", "ListAssociations", "PutComplianceItems", "PutInventory"}
)


def examine(order: bytes, channel: Channel) -> LogReading:
    """The child's work: the stored gzip file of JSON lines comes in, what it means goes out."""
    told = TrailOrder.model_validate_json(order)
    calls: list[TrailRecord] = []
    unread = left = own = 0
    for line in lines_of(channel.chunks()):
        record = _record(line)
        if record is None:
            unread += 1
        elif _of_the_product(record, told):
            own += 1
        elif len(calls) < MOST_CALLS:
            calls.append(record)
        else:
            left += 1
    channel.passed()
    calls.sort(key=lambda c: (c.time, c.event_id))
    reading = judge(told, calls)
    gaps = [*reading.gaps, *_gaps(unread=unread, left=left)]
    counts = {**reading.counts, "own": own, "unread": unread}
    return reading.model_copy(update={"gaps": tuple(gaps), "counts": counts})


def judge(order: TrailOrder, calls: list[TrailRecord]) -> LogReading:
    """What calls mean for a case; they are in the order of their times, the product's own left out."""
    scene, make = Scene(order, calls), Maker()
    trail_call_rules.run(scene, make)
    trail_pattern_rules.run(scene, make)
    trail_answers.run(scene, make)
    ranked = sorted(make.findings, key=lambda f: (-_RANK[f.severity], f.time or order.alarm, f.id))
    counts = Counter({"calls": len(calls), "session": len(scene.session), "followed": len(scene.theirs)})
    notes = [
        ToolGap(what=rule, why=f"{number} more findings of this rule are left out")
        for rule, number in make.left_out.items()
    ]
    if order.exits is None and scene.session:
        why = "the addresses by which the target's network reaches AWS are not known"
        notes.append(
            ToolGap(what="credentials used elsewhere", why=f"{why}: calls of its session are listed and not judged")
        )
    return LogReading(
        findings=tuple(ranked[:MOST_FINDINGS]),
        timeline=tuple(_timeline(scene, make)),
        counts=dict(counts),
        notes=tuple(notes),
    )


def _timeline(scene: Scene, make: Maker) -> Iterator[ToolTimelineEntry]:
    """The calls behind findings first, then what changed something, then the rest of the session; in order of time."""
    notable = list(make.notable.values())
    changes = [c for c in scene.calls if c.read_only is not True and c.name not in _NOISE]
    rest = [c for c in scene.session if c.name not in _NOISE]
    chosen: dict[str, TrailRecord] = {}
    for call in (*notable, *changes, *rest):
        if len(chosen) >= MOST_EVENTS:
            break
        chosen.setdefault(call.event_id, call)
    for call in sorted(chosen.values(), key=lambda c: (c.time, c.event_id)):
        refused = "" if call.ok else f": refused ({cut(call.error, 60)})"
        who = f"{cut(call.identity.name, 120)} from {cut(call.address, 60)}"
        yield ToolTimelineEntry(
            time=call.time,
            what=f"{cut(call.call, 100)} by {who} in {call.region}{refused}",
            source=f"CloudTrail {call.event_id}",
        )


def _of_the_product(record: TrailRecord, order: TrailOrder) -> bool:
    """Calls of the pipeline's own roles, which only it may assume, each in the name of a case."""
    who = record.identity
    return who.role_name.startswith(order.role_prefix) and who.session_name.startswith("fc-")


def _gaps(*, unread: int, left: int) -> Iterator[ToolGap]:
    if unread:
        yield ToolGap(what="records of CloudTrail", why=f"{unread} stored lines are not of its form")
    if left:
        yield ToolGap(what="records of CloudTrail", why=f"{left} more than {MOST_CALLS} calls were not examined")


def _record(line: bytes) -> TrailRecord | None:
    try:
        return TrailRecord.model_validate_json(line)
    except ValidationError:
        return None
