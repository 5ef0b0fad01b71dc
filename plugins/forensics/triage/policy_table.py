"""What a policy does about each finding type, as a table that people can compare: ``make policy-table``. Pure.

One line for a type and a role, one column for a severity: ``M`` memory, ``D`` disk, ``I`` isolation, ``a`` when the isolation waits for
approval, ``c`` when it comes before acquisition, ``-`` when nothing is done.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from forensics import partitions
from forensics.errors import ForensicsError
from forensics.intake.readers.guardduty import meaningful_role
from forensics.models.finding import Finding, FindingSource, Severity
from forensics.models.plan import Order, ResponsePlan
from forensics.models.policy import Scope
from forensics.models.target import NetworkInterface, SsmStatus, Target, Volume
from forensics.triage.context import TriageContext
from forensics.triage.decision import decide
from forensics.triage.policy import LoadedPolicy, choose, packaged, parse_policy
from forensics.triage.scope import scope_lines

ROLES = ("ACTOR", "TARGET")
SEVERITIES = (Severity.LOW, Severity.MEDIUM, Severity.HIGH, Severity.CRITICAL)
_NOW = datetime(2026, 1, 1, tzinfo=UTC)
_ACCOUNT, _REGION, _INSTANCE = "111122223333", "eu-central-1", "i-0123456789abcdef0"
_CONTEXT = TriageContext()
# Everything is possible: what the table shows is what the policy wants.
_TARGET = Target(
    account_id=_ACCOUNT,
    region=_REGION,
    instance_id=_INSTANCE,
    state="running",
    instance_type="m5.large",
    availability_zone=f"{_REGION}a",
    interfaces=(NetworkInterface(id="eni-1", device_index=0, vpc_id="vpc-1", subnet_id="subnet-1"),),
    volumes=(Volume(id="vol-1", device="/dev/xvda"),),
    ssm=SsmStatus(managed=True, ping="Online"),
    described_at=_NOW,
)


def table(kinds: Iterable[str], *, loaded: LoadedPolicy) -> Iterator[str]:
    """The lines of the table: for a target in the policy's scope, which is named first when it is not all targets."""
    for line in scope_lines(loaded.policy.scope):
        yield f"{line} (the table is that of a target in scope; any other waits for a person's order)"
    loaded = replace(loaded, policy=loaded.policy.model_copy(update={"scope": Scope()}))
    yield f"{'type':68} {'role':6} " + " ".join(f"{severity.value:8}" for severity in SEVERITIES) + " playbook"
    for kind in kinds:
        for role in ROLES:
            findings = [_finding(kind, role=role, severity=severity) for severity in SEVERITIES]
            plans = [decide([f], target=_TARGET, loaded=loaded, now=_NOW, context=_CONTEXT) for f in findings]
            cells = " ".join(f"{_cell(plan):8}" for plan in plans)
            yield f"{kind:68} {role:6} {cells} {choose(findings[0], policy=loaded.policy).name}"


def _finding(kind: str, *, role: str, severity: Severity) -> Finding:
    return Finding(
        key="0" * 32,
        source=FindingSource.GUARDDUTY,
        finding_id=kind,
        title=kind,
        types=(kind,),
        severity=severity,
        account_id=_ACCOUNT,
        region=_REGION,
        instance_id=_INSTANCE,
        product_arn=partitions.arn("securityhub", "product/aws/guardduty", region=_REGION),
        resource_role=meaningful_role(role, types=(kind,)),
    )


def _cell(plan: ResponsePlan) -> str:
    marks = ("M" if plan.memory.go else "") + ("D" if plan.disk.go else "") + ("I" if plan.isolate.go else "")
    if plan.isolate.go:
        marks += "a" if plan.approval.required else ""
        marks += "c" if plan.order is Order.CONTAIN_FIRST else ""
    return marks or "-"


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table of a policy file, or of the packaged policy, for the types of a file (one a line) or of its rules."""
    parser = argparse.ArgumentParser(prog="python -m forensics.triage.policy_table", description=__doc__)
    parser.add_argument("policy", nargs="?", type=Path, help="a policy file; without it the packaged policy")
    parser.add_argument(
        "--types", type=Path, help="a file of finding types, one a line; without it those that the rules name"
    )
    options = parser.parse_args(arguments)
    try:
        loaded = parse_policy(options.policy.read_bytes(), origin=str(options.policy)) if options.policy else packaged()
        kinds = options.types.read_text("utf-8").split("\n") if options.types else _named(loaded)
    except OSError as error:
        sys.stderr.write(f"cannot read {error.filename}: {error.strerror}. Give the path of a policy file.\n")
        return 2
    except ForensicsError as error:
        sys.stderr.write(f"{error}. What to do next: {error.next_action}\n")
        return 2
    sys.stdout.writelines(f"{line}\n" for line in table([kind for kind in kinds if kind.strip()], loaded=loaded))
    return 0


def _named(loaded: LoadedPolicy) -> list[str]:
    return [pattern for rule in loaded.policy.rules for pattern in rule.types]


if __name__ == "__main__":
    sys.exit(main())
