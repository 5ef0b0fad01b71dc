"""GuardDuty and both Security Hubs remember the findings that they send, so that they can be looked up.

On AWS nobody but the services can put events of ``aws.*``. In the lab whoever does so acts as the service: the finding is
remembered, visible to the account that it is about and to the security account. A forged event is one that is sent directly to
the findings' queue, bypassing EventBridge.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import moto.guardduty.urls
import moto.securityhub.urls
from moto.events.models import EventsBackend
from moto.guardduty.models import GuardDutyBackend
from moto.guardduty.responses import GuardDutyResponse
from moto.securityhub.models import Finding, securityhub_backends
from moto.securityhub.responses import SecurityHubResponse

from lab.emulator.patches.patching import add, replace

ADMINISTRATOR = "111122223333"
DETECTOR = "12abc34d567e8fa901bc2d34e56789f0"
_SEVERITY = {"INFORMATIONAL": 0, "LOW": 2, "MEDIUM": 5, "HIGH": 8, "CRITICAL": 9.5}
_TYPE = "Backdoor:EC2/C&CActivity.B"
# when a finding was made that came without its times; GuardDuty's own always have them (API reference, *Finding*)
_UNTOLD = "2026-01-01T00:00:00.000Z"
_lock = threading.Lock()
_guardduty: dict[tuple[str, str], dict[str, Any]] = {}
_ocsf: dict[tuple[str, str], dict[str, Any]] = {}


def _put_events(original: Callable[..., Any]) -> Callable[..., Any]:
    def put_events(self: Any, events: list[dict[str, Any]]) -> Any:
        for event in events:
            _remember(event, region=self.region_name)
        return original(self, events)

    return put_events


def _remember(event: dict[str, Any], *, region: str) -> None:
    source, kind = event.get("Source"), event.get("DetailType")
    if source not in ("aws.guardduty", "aws.securityhub"):
        return
    try:
        detail = json.loads(event.get("Detail") or "{}")
    except ValueError:
        return
    if source == "aws.guardduty" and isinstance(detail.get("id"), str):
        with _lock:
            _guardduty[detail.get("region", region), detail["id"]] = {
                "createdAt": _UNTOLD,
                "updatedAt": _UNTOLD,
                **detail,
            }
    elif source == "aws.securityhub":
        for finding in detail.get("findings") or []:
            _remember_in_hub(finding, region=region, imported=kind == "Security Hub Findings - Imported")


def _remember_in_hub(finding: dict[str, Any], *, region: str, imported: bool) -> None:
    remember_original(finding)
    if "finding_info" in finding:
        with _lock:
            _ocsf[region, finding["finding_info"]["uid"]] = finding
        return
    hub = securityhub_backends[ADMINISTRATOR][region]
    if imported and "Id" in finding and all(known.id != finding["Id"] for known in hub.findings):
        hub.findings.append(Finding(finding_id=finding["Id"], finding_data=finding))


def remember_original(finding: dict[str, Any]) -> None:
    """What Security Hub has of GuardDuty, GuardDuty has: nobody else may send findings under its ARN.

    (AWS Security Hub user guide, *BatchImportFindings*, requirements on ``ProductArn``.)
    """
    original = _of_ocsf(finding) if "finding_info" in finding else _of_asff(finding)
    if original is None:
        return
    key = original["region"], original["id"]
    with _lock:
        before = _guardduty.get(key, {})
        archived = original["service"]["archived"] or before.get("service", {}).get("archived", False)
        _guardduty[key] = {
            **before,
            **original,
            "service": {**before.get("service", {}), **original["service"], "archived": archived},
        }


def _of_asff(finding: dict[str, Any]) -> dict[str, Any] | None:
    if not str(finding.get("ProductArn")).endswith(":product/aws/guardduty"):
        return None
    named = [r for r in finding.get("Resources", []) if r.get("Type") == "AwsEc2Instance"]
    return _original(
        finding["Id"],
        account=finding["AwsAccountId"],
        region=finding.get("Region") or (named[0].get("Region", "") if named else ""),
        kind=str((finding.get("Types") or [_TYPE])[0]),
        severity=_SEVERITY.get(str(finding.get("Severity", {}).get("Label")), 0),
        instance=str(named[0]["Id"]).rpartition("/")[2] if named else "",
        archived=finding.get("RecordState") == "ARCHIVED",
        times=(finding.get("CreatedAt"), finding.get("UpdatedAt")),
    )


def _of_ocsf(finding: dict[str, Any]) -> dict[str, Any] | None:
    if not str(finding.get("metadata", {}).get("product", {}).get("uid")).endswith("/aws/guardduty"):
        return None
    named = [r for r in finding.get("resources", []) if r.get("type") == "AWS::EC2::Instance"]
    return _original(
        finding["finding_info"]["uid"],
        account=finding["cloud"]["account"]["uid"],
        region=finding["cloud"]["region"],
        kind=str((finding["finding_info"].get("types") or [_TYPE])[-1]),
        severity=_SEVERITY.get(str(finding.get("severity")).upper(), 0),
        instance=str(named[0]["uid"]).rpartition("/")[2] if named else "",
        archived=finding.get("status_id") == 5,
        times=tuple(_moment(finding["finding_info"].get(f"{name}_time")) for name in ("created", "modified")),
    )


def _moment(milliseconds: Any) -> str | None:
    """OCSF's ``timestamp_t`` as GuardDuty writes it."""
    if not isinstance(milliseconds, int):
        return None
    return datetime.fromtimestamp(milliseconds / 1000, tz=UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _original(
    arn: str,
    *,
    account: str,
    region: str,
    kind: str,
    severity: float,
    instance: str,
    archived: bool,
    times: tuple[str | None, ...],
) -> dict[str, Any]:
    created, updated = (time or _UNTOLD for time in times)
    return {
        "schemaVersion": "2.0",
        "accountId": account,
        "region": region,
        "partition": "aws",
        "id": arn.rpartition("/")[2],
        "arn": arn,
        "type": kind,
        "resource": {"resourceType": "Instance", "instanceDetails": {"instanceId": instance}},
        "service": {"serviceName": "guardduty", "archived": archived},
        "severity": severity,
        "createdAt": created,
        "updatedAt": updated,
    }


def _visible(account: str, owner: Any) -> bool:
    return account in (ADMINISTRATOR, owner)


def _list_detectors(original: Callable[..., list[str]]) -> Callable[..., list[str]]:
    def list_detectors(self: Any) -> list[str]:
        return original(self) or [DETECTOR]

    return list_detectors


def _guardduty_get_findings(self: Any) -> str:
    wanted = set(json.loads(self.body)["findingIds"])
    with _lock:
        found = [
            record
            for (region, identifier), record in _guardduty.items()
            if identifier in wanted
            and region == self.region
            and _visible(self.current_account, record.get("accountId"))
        ]
    return json.dumps({"findings": found})


def _guardduty_list_findings(self: Any) -> str:
    """Ids in the order of their last update, fifty at a time; of the criteria, those that catching up with a gap asks for.

    (GuardDuty API reference, *ListFindings*: ``updatedAt`` in milliseconds since 1970, ``service.archived`` as text.)
    """
    body = json.loads(self.body or "{}")
    asked = body.get("findingCriteria", {}).get("criterion", {})
    after, before = (asked.get("updatedAt", {}).get(f"{name}ThanOrEqual") for name in ("greater", "less"))
    archived = set(asked.get("service.archived", {}).get("equals", ["true", "false"]))
    with _lock:
        known = [
            (_milliseconds(record["updatedAt"]), identifier)
            for (region, identifier), record in _guardduty.items()
            if region == self.region
            and _visible(self.current_account, record.get("accountId"))
            and str(bool(record.get("service", {}).get("archived"))).lower() in archived
        ]
    found = [i for at, i in sorted(known) if (after is None or at >= after) and (before is None or at <= before)]
    start, most = int(body.get("nextToken") or 0), min(50, body.get("maxResults") or 50)
    following = {"nextToken": str(start + most)} if start + most < len(found) else {}
    return json.dumps({"findingIds": found[start : start + most], **following})


def _milliseconds(moment: str) -> int:
    return round(datetime.fromisoformat(moment).timestamp() * 1000)


def _hub_get_findings_v2(self: Any) -> str:
    body = json.loads(self.body or "{}")
    wanted = [
        test["Filter"]["Value"]
        for group in body.get("Filters", {}).get("CompositeFilters", [])
        for test in group.get("StringFilters", [])
        if test["FieldName"] == "finding_info.uid"
    ]
    with _lock:
        found = [
            record
            for (region, identifier), record in _ocsf.items()
            if region == self.region
            and (not wanted or identifier in wanted)
            and _visible(self.current_account, record.get("cloud", {}).get("account", {}).get("uid"))
        ]
    return json.dumps({"Findings": found[: body.get("MaxResults", 100)]})


def _hub_update_v2(self: Any) -> str:
    body = json.loads(self.body)
    done, failed = [], []
    for uid in body.get("MetadataUids", []):
        with _lock:
            found = [r for r in _ocsf.values() if r.get("metadata", {}).get("uid") == uid]
        if not found:
            failed.append({"MetadataUid": uid, "ErrorCode": "ResourceNotFoundException", "ErrorMessage": "not found"})
            continue
        record = found[0]
        if "StatusId" in body:
            record["status_id"] = body["StatusId"]
        if "Comment" in body:
            record["comment"] = body["Comment"]
        done.append({"MetadataUid": uid})
    return json.dumps({"ProcessedFindings": done, "UnprocessedFindings": failed})


def _guardduty_feedback(self: Any) -> str:
    body = json.loads(self.body)
    for identifier in body["findingIds"]:
        with _lock:
            found = [record for (_, known), record in _guardduty.items() if known == identifier]
        for record in found:
            record.setdefault("service", {})["userFeedback"] = body["feedback"]
            record["service"]["comments"] = body.get("comments")
    return "{}"


def _guardduty_archive(self: Any) -> str:
    for identifier in json.loads(self.body)["findingIds"]:
        archive(identifier)
    return "{}"


def archive(identifier: str) -> bool:
    """Archive a GuardDuty finding, as a person does in the console; returns whether it was known."""
    with _lock:
        found = [record for (_, known), record in _guardduty.items() if known == identifier]
    for record in found:
        record.setdefault("service", {})["archived"] = True
    return bool(found)


def apply() -> None:
    """Install the patch."""
    path = "{0}/detector/(?P<detector_id>[^/]+)/findings/get$"
    moto.guardduty.urls.url_paths[path] = GuardDutyResponse.dispatch
    moto.guardduty.urls.url_paths[path.replace("/get$", "$")] = GuardDutyResponse.dispatch
    for name in ("feedback", "archive"):
        moto.guardduty.urls.url_paths[path.replace("get$", f"{name}$")] = GuardDutyResponse.dispatch
    for name in ("", "/batchupdatev2"):
        moto.securityhub.urls.url_paths["{0}/findingsv2" + name + "$"] = SecurityHubResponse.dispatch
    replace(EventsBackend, "put_events", _put_events)
    replace(GuardDutyBackend, "list_detectors", _list_detectors)
    add(GuardDutyResponse, "get_findings", _guardduty_get_findings)
    add(GuardDutyResponse, "list_findings", _guardduty_list_findings)
    add(GuardDutyResponse, "update_findings_feedback", _guardduty_feedback)
    add(GuardDutyResponse, "archive_findings", _guardduty_archive)
    add(SecurityHubResponse, "get_findings_v2", _hub_get_findings_v2)
    add(SecurityHubResponse, "batch_update_findings_v2", _hub_update_v2)
