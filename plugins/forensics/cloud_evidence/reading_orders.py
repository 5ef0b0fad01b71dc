"""What the readers of a case's records are told: by the first collection and by one that reaches further back."""

from __future__ import annotations

import logging
from datetime import datetime

from forensics.aws.egress import EgressGateway
from forensics.aws.hook import CaseSessions
from forensics.case.recorder import CaseRecorder
from forensics.cloud_evidence.flow_collection import own_addresses
from forensics.cloud_evidence.flow_reader import FlowOrder
from forensics.cloud_evidence.log_findings import TRAIL, read_records, trail_order
from forensics.cloud_evidence.query_reader import QueryOrder
from forensics.cloud_evidence.record_window import record_window
from forensics.cloud_evidence.trail_collection import PHASE, TrailCollection
from forensics.errors import AwsError
from forensics.models.evidence import CloudTrailEvidence, LogEvidence
from forensics.models.target import Target

_log = logging.getLogger(__name__)


def alarm_of(recorder: CaseRecorder) -> datetime:
    """The first moment that a finding of the case names."""
    return record_window(recorder.case, recorder.findings(), margin_hours=0, now=recorder.case.opened_at).alarm


def flow_order(recorder: CaseRecorder, target: Target) -> FlowOrder:
    """What the reader of flows is told."""
    return FlowOrder(
        addresses=own_addresses(target),
        alarm=alarm_of(recorder),
        peers=tuple(dict.fromkeys(peer for finding in recorder.findings() for peer in finding.peers)),
        instance_id=target.instance_id,
    )


def query_order(recorder: CaseRecorder, evidence: LogEvidence) -> QueryOrder:
    """What the reader of questions to the Resolver is told."""
    findings, alarm = recorder.findings(), alarm_of(recorder)
    return QueryOrder(
        alarm=alarm,
        begin=evidence.origin.begin or alarm,
        peers=tuple(dict.fromkeys(peer for finding in findings for peer in finding.peers)),
        domains=tuple(dict.fromkeys(name for finding in findings for name in finding.domains)),
    )


def read_trail(recorder: CaseRecorder, sessions: CaseSessions, evidence: CloudTrailEvidence, target: Target) -> int:
    """Read CloudTrail's records; returns the number of findings."""
    followed = TrailCollection.of(recorder, sessions).followed(evidence)
    order = trail_order(recorder, sessions.settings, target, followed, _exits(sessions, target))
    return read_records(recorder, evidence, order, TRAIL)


def _exits(sessions: CaseSessions, target: Target) -> tuple[str, ...] | None:
    """Public addresses of the target's NAT gateways; None where AWS does not say where its traffic goes."""
    subnets = tuple(dict.fromkeys(i.subnet_id for i in target.interfaces))
    if target.vpc_id is None or not subnets:
        return None
    try:
        return EgressGateway.of(sessions.target(PHASE)).exits(vpc_id=target.vpc_id, subnet_ids=subnets)
    except AwsError as error:
        _log.warning("the network's exits are not known: %s", error)
        return None
