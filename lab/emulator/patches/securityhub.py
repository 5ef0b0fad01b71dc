"""Security Hub: imports become events, filters filter, findings are updated, custom actions exist."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import moto.securityhub.urls
from moto.core.exceptions import JsonRESTError
from moto.securityhub.models import SecurityHubBackend, securityhub_backends
from moto.securityhub.responses import SecurityHubResponse

from lab.emulator.patches import events
from lab.emulator.patches.patching import add, replace

IMPORTED = "Security Hub Findings - Imported"
CUSTOM_ACTION = "Security Hub Findings - Custom Action"
_UPDATABLE = (
    "Note",
    "Severity",
    "VerificationState",
    "Confidence",
    "Criticality",
    "Types",
    "UserDefinedFields",
    "Workflow",
    "RelatedFindings",
)
# what BatchImportFindings cannot change once a finding exists
_CUSTOMERS = ("Note", "UserDefinedFields", "VerificationState", "Workflow")
# filters whose field in a finding has another name
_FIELDS = {
    "SeverityLabel": "Severity.Label",
    "WorkflowStatus": "Workflow.Status",
    "ResourceId": "Resources.Id",
    "ResourceType": "Resources.Type",
    "ResourceRegion": "Resources.Region",
    "Type": "Types",
    "NoteText": "Note.Text",
    "ComplianceStatus": "Compliance.Status",
}
_COMPARE: dict[str, Callable[[Any, str], bool]] = {
    "EQUALS": lambda value, wanted: value == wanted,
    "PREFIX": lambda value, wanted: str(value).startswith(wanted),
    "CONTAINS": lambda value, wanted: wanted in str(value),
}
_NEGATIVE = {"NOT_EQUALS": "EQUALS", "PREFIX_NOT_EQUALS": "PREFIX", "NOT_CONTAINS": "CONTAINS"}
_actions: dict[str, dict[str, Any]] = {}


def _values(node: Any, path: str) -> list[Any]:
    nodes = [node]
    for name in path.split("."):
        found = [item.get(name) for item in nodes if isinstance(item, dict)]
        nodes = [part for item in found for part in (item if isinstance(item, list) else [item])]
    return [item for item in nodes if item is not None]


def _within(value: Any, wanted: dict[str, Any]) -> bool:
    moment = datetime.fromisoformat(str(value))
    ends = (("Start", moment.__ge__), ("End", moment.__le__))
    return all(holds(datetime.fromisoformat(wanted[name])) for name, holds in ends if name in wanted)


def _passes(finding: dict[str, Any], name: str, tests: list[dict[str, Any]]) -> bool:
    values = _values(finding, _FIELDS.get(name, name))
    if ranges := [t for t in tests if "Start" in t or "End" in t]:  # DateFilter (Security Hub API reference)
        return any(_within(value, t) for t in ranges for value in values)
    positive = [t for t in tests if t.get("Comparison") in _COMPARE]
    negative = [t for t in tests if t.get("Comparison") in _NEGATIVE]
    if not positive and not negative:
        raise JsonRESTError("InvalidInputException", f"the lab does not know the comparison of filter {name}: {tests}")
    if any(_COMPARE[_NEGATIVE[t["Comparison"]]](value, t["Value"]) for t in negative for value in values):
        return False
    return not positive or any(_COMPARE[t["Comparison"]](value, t["Value"]) for t in positive for value in values)


def _get_findings(original: Callable[..., Any]) -> Callable[..., Any]:
    def get_findings(
        self: Any,
        filters: dict[str, Any] | None = None,
        sort_criteria: list[dict[str, str]] | None = None,
        max_results: int | None = None,
        next_token: str | None = None,
    ) -> Any:
        wanted = {name: tests for name, tests in (filters or {}).items() if tests}
        chosen = [f for f in self.findings if all(_passes(f.data, n, t) for n, t in wanted.items())]
        for criterion in reversed(sort_criteria or []):
            field = _FIELDS.get(criterion["Field"], criterion["Field"])
            chosen.sort(key=lambda f: str(_values(f.data, field)), reverse=criterion.get("SortOrder") == "desc")
        everything, self.findings = self.findings, chosen
        try:
            return original(self, filters=None, sort_criteria=None, max_results=max_results, next_token=next_token)
        finally:
            self.findings = everything

    return get_findings


def _import(original: Callable[..., Any]) -> Callable[..., Any]:
    def batch_import_findings(self: Any, findings: list[dict[str, Any]]) -> Any:
        if not self.enabled:
            raise JsonRESTError(
                "InvalidAccessException", f"Account {self.account_id} is not subscribed to AWS Security Hub"
            )
        for finding in findings:
            finding.setdefault("RecordState", "ACTIVE")
            _keep_what_customers_set(_stored(self, finding), finding)
        result = original(self, findings)
        refused = {failure["Id"] for failure in result[2]}
        for finding in findings:
            if finding.get("Id") not in refused:
                _emit_finding(self.account_id, self.region_name, _stored(self, finding))
        return result

    return batch_import_findings


def _stored(backend: Any, finding: dict[str, Any]) -> dict[str, Any]:
    return next((f.data for f in backend.findings if f.id == finding.get("Id")), {})


def _keep_what_customers_set(known: dict[str, Any], finding: dict[str, Any]) -> None:
    """An import creates these fields and never changes them; it resets the workflow of what is a problem again."""
    if not known:
        finding.setdefault("Workflow", {"Status": "NEW"})
        return
    for name in _CUSTOMERS:
        finding.pop(name, None)
    back = known.get("RecordState") == "ARCHIVED" and finding["RecordState"] == "ACTIVE"
    before, now = (f.get("Compliance", {}).get("Status") for f in (known, finding))
    failed = before == "PASSED" and now in ("FAILED", "WARNING", "NOT_AVAILABLE")
    if (back or failed) and known.get("Workflow", {}).get("Status") in ("NOTIFIED", "RESOLVED"):
        finding["Workflow"] = {"Status": "NEW"}


def _emit_finding(account: str, region: str, finding: dict[str, Any]) -> None:
    events.emit(
        account,
        region,
        source="aws.securityhub",
        detail_type=IMPORTED,
        detail={"findings": [finding]},
        resources=[f"{finding.get('ProductArn', '')}/{finding.get('Id', '')}"],
    )


def _update(self: Any) -> str:
    body = json.loads(self.body)
    done, failed = [], []
    for identifier in body.get("FindingIdentifiers", []):
        found = [
            f
            for f in self.securityhub_backend.findings
            if f.id == identifier["Id"] and f.data.get("ProductArn") == identifier["ProductArn"]
        ]
        if not found:
            failure = {"ErrorCode": "FindingNotFound", "ErrorMessage": "Finding Not Found"}
            failed.append({"FindingIdentifier": identifier} | failure)
            continue
        data = found[0].data
        now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        for name in _UPDATABLE:
            if name in body:
                data[name] = body[name] | {"UpdatedAt": now} if name == "Note" else body[name]
        # the finding's own UpdatedAt stays (BatchUpdateFindings)
        done.append(identifier)
        _emit_finding(self.current_account, self.region, data)
    return json.dumps({"ProcessedFindings": done, "UnprocessedFindings": failed})


def action_arn(account: str, region: str, action: str) -> str:
    """The ARN of a custom action, from its id or from itself."""
    return action if action.startswith("arn:") else f"arn:aws:securityhub:{region}:{account}:action/custom/{action}"


def _create_action(self: Any) -> Any:
    body = json.loads(self.body)
    arn = action_arn(self.current_account, self.region, body["Id"])
    if arn in _actions:
        raise JsonRESTError("ResourceConflictException", f"Action target {arn} already exists")
    _actions[arn] = {"ActionTargetArn": arn, "Name": body["Name"], "Description": body["Description"]}
    return json.dumps({"ActionTargetArn": arn})


def _describe_actions(self: Any) -> str:
    wanted = json.loads(self.body or "{}").get("ActionTargetArns")
    mine = f":{self.region}:{self.current_account}:"
    listed = [a for arn, a in _actions.items() if mine in arn and (not wanted or arn in wanted)]
    return json.dumps({"ActionTargets": listed})


def fire_action(account: str, region: str, *, action: str, findings: list[dict[str, Any]]) -> None:
    """The effect of a person's click on a custom action. Raises ValueError for an action that was not created."""
    arn = action_arn(account, region, action)
    known = _actions.get(arn)
    if known is None:
        raise ValueError(f"no custom action {arn}; create it with securityhub.create_action_target")
    stored = {f.id: f.data for f in securityhub_backends[account][region].findings}
    events.emit(
        account,
        region,
        source="aws.securityhub",
        detail_type=CUSTOM_ACTION,
        detail={
            "actionName": known["Name"],
            "actionDescription": known["Description"],
            "findings": [stored.get(f.get("Id", ""), f) if set(f) == {"Id"} else f for f in findings],
        },
        resources=[arn],
    )


def apply() -> None:
    """Install the patch."""
    for path in ("findings/batchupdate", "actionTargets", "actionTargets/get"):
        moto.securityhub.urls.url_paths["{0}/" + path + "$"] = SecurityHubResponse.dispatch
    replace(SecurityHubBackend, "get_findings", _get_findings)
    replace(SecurityHubBackend, "batch_import_findings", _import)
    add(SecurityHubResponse, "batch_update_findings", _update)
    add(SecurityHubResponse, "create_action_target", _create_action)
    add(SecurityHubResponse, "describe_action_targets", _describe_actions)
