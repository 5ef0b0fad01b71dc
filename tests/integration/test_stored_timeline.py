"""The whole timeline against the lab: cloud records of the case stored as Parquet, searched as the pages do; cases linked."""

from __future__ import annotations

from pathlib import Path

from forensics import case_keys
from forensics.cloud_evidence.operators import CollectFlowsOperator, CollectQueriesOperator
from forensics.incident.operators import LinkCasesOperator
from forensics.models.indicators import LinkedCase
from forensics.models.timeline import TimelineSource, TimelineStore
from forensics.timeline.cache import TimelineCache
from forensics.timeline.operators import StoreTimelineOperator
from forensics.timeline.search import TimelineSearch, TimelineSearcher
from forensics.triage.operators import DescribeTargetOperator
from forensics.web.timeline import StoreTimelineReader
from tests.gateways import case_gateways
from tests.integration.conftest import SmallLab
from tests.integration.steps import perform
from tests.integration.test_case_steps import open_case


def test_cloud_records_are_stored_locked_and_found(lab: SmallLab, tmp_path: Path) -> None:
    case_id = open_case(lab)
    perform(DescribeTargetOperator(task_id="triage.describe_target"), case_id=case_id)
    perform(CollectQueriesOperator(task_id="cloud_evidence.collect_queries"), case_id=case_id)
    perform(CollectFlowsOperator(task_id="cloud_evidence.collect_flows"), case_id=case_id)
    said = perform(StoreTimelineOperator(task_id="report.store_timeline"), case_id=case_id)
    gateways = case_gateways(case_id)
    store = gateways.store.get(case_id, case_keys.TIMELINE_STORE, TimelineStore)
    assert store and said["rows"] == store.rows and not store.cut
    cloud = [part for part in store.parts if part.source is TimelineSource.CLOUD and part.made_of]
    assert {part.evidence_id.rsplit("-i-", 1)[0] for part in cloud} == {"query-logs", "flow-logs"}

    view = gateways.view(case_id)
    assert view
    reader = StoreTimelineReader(lambda: gateways, TimelineSearcher(TimelineCache(tmp_path, most_bytes=1 << 30)))
    assert not reader.state(view).stale
    found = reader.search(view, store, TimelineSearch(source="cloud"), limit=1000)
    if found.preparing:
        found = reader.search(view, store, TimelineSearch(source="cloud"), limit=1000)
    assert {"aws:route53resolver:query", "aws:vpcflowlogs:flow"} <= {entry.data_type for entry in found.entries}
    assert len(found.entries) == min(1000, sum(p.rows for p in store.parts if p.source is TimelineSource.CLOUD))


def test_a_second_case_of_the_same_attack_knows_the_first(lab: SmallLab) -> None:
    first, second = open_case(lab), open_case(lab, "db-server")
    for case_id in (first, second):
        perform(DescribeTargetOperator(task_id="triage.describe_target"), case_id=case_id)
        for finding in case_gateways(case_id).view(case_id).findings:  # type: ignore[union-attr]
            named = finding.model_copy(update={"peers": ("192.0.2.77", "192.0.2.78")})
            case_gateways(case_id).store.put(case_id, case_keys.finding(finding), named)
    assert second not in perform(LinkCasesOperator(task_id="report.link_cases"), case_id=first)
    assert first in perform(LinkCasesOperator(task_id="report.link_cases"), case_id=second)
    known = case_gateways(first).store.get(first, f"{case_keys.LINKED}{second}", LinkedCase)
    assert known and {i.value for i in known.shared} == {"192.0.2.77", "192.0.2.78"}
