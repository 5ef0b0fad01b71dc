"""Reading calls as a case on the stories' instance would, followed from the beginning."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from forensics.cloud_evidence.followed import Followed, added
from forensics.cloud_evidence.log_reading import LogReading
from forensics.cloud_evidence.trail_reader import judge
from forensics.cloud_evidence.trail_record import TrailRecord
from forensics.cloud_evidence.trail_scene import TrailOrder
from lab.evidence.trail_records import Json
from lab.scenarios.cloud_check import followed
from lab.scenarios.trail_stories import ACCOUNT as A
from lab.scenarios.trail_stories import ALARM, GROUP


def read(calls: Iterable[Json], **changes: Any) -> LogReading:
    """What is said of them; ``changes`` of what the reader is told."""
    records = sorted((TrailRecord.model_validate(c) for c in calls), key=lambda r: (r.time, r.event_id))
    following: Followed = followed()
    for _ in range(3):
        for record in records:
            following = added(record, following)
    order = TrailOrder(
        instance_id=A.instance_id, account_id=A.account_id, region=A.region, addresses=("10.20.0.5",), exits=(A.home,), groups=(GROUP,),
        role_name=A.role, alarm=ALARM, followed=following,
    )  # fmt: skip
    return judge(order.model_copy(update=changes), records)
