"""Makes tests/data/recorded/*.json from public recordings of real AWS answers: their shapes, with invented contents.

    python scripts/recorded_shapes.py CUSTODIAN LOCALSTACK

CUSTODIAN and LOCALSTACK are checkouts of cloud-custodian/cloud-custodian and localstack/localstack. What is kept of an answer is which members are
there, in which order, how many, which are empty or null, numbers, booleans, times' forms, and the words that a service chooses from (enums,
protocols, states). Ids, names, accounts, addresses, documents and sentences are invented anew, the same for the same original within an answer.
Of each operation those answers are kept whose shapes differ most. tests/contract/test_recorded_shapes.py takes them through the gateways.
"""

from __future__ import annotations

import hashlib
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

OUT = Path(__file__).resolve().parents[1] / "tests" / "data" / "recorded"
PLACEBO = Path("tests/data/placebo")
SNAPSHOTS = Path("tests/aws/services")
# operation as a placebo file names it → how many answers to keep
OPERATIONS = {
    "ec2.DescribeInstances": 24, "ec2.DescribeSecurityGroups": 16, "ec2.DescribeNetworkInterfaces": 14, "ec2.DescribeVolumes": 12,
    "ec2.DescribeSnapshots": 14, "ec2.DescribeAddresses": 8, "ec2.DescribeVpcs": 8, "ec2.DescribeVpcEndpoints": 8, "ec2.DescribeFlowLogs": 5,
    "ec2.DescribeInstanceAttribute": 6, "ec2.DescribeSnapshotAttribute": 4, "ec2.DescribeIamInstanceProfileAssociations": 4, "ec2.RunInstances": 2,
    "ec2.DescribeRegions": 2, "ec2.DescribeManagedPrefixLists": 2, "kms.DescribeKey": 14, "kms.GetPublicKey": 1, "iam.GetInstanceProfile": 4,
    "iam.ListInstanceProfilesForRole": 4, "iam.ListRolePolicies": 4, "iam.SimulatePrincipalPolicy": 4, "iam.GetRole": 14,
    "autoscaling.DescribeAutoScalingGroups": 10, "autoscaling.DescribeAutoScalingInstances": 2, "elasticloadbalancing.DescribeLoadBalancers": 8,
    "elasticloadbalancing.DescribeTargetGroups": 6, "elasticloadbalancing.DescribeTargetHealth": 6, "ssm.DescribeInstanceInformation": 3,
    "ssm.SendCommand": 2, "ssm.GetParameter": 2, "securityhub.GetFindings": 8, "securityhub.BatchUpdateFindings": 2, "guardduty.ListDetectors": 3,
    "guardduty.GetFindings": 2, "s3.HeadObject": 6, "s3.ListObjectVersions": 4, "s3.GetObject": 3, "sqs.GetQueueAttributes": 6, "sqs.ReceiveMessage": 8,
    "sts.AssumeRole": 1, "dynamodb.Query": 2, "dynamodb.GetItem": 2,
}  # fmt: skip
SERVICES = ("ec2", "s3", "sqs", "sns", "sts", "kms", "iam", "dynamodb", "ssm", "events")
ERRORS_EACH = 12
LIST_KEPT, BYTES_KEPT = 4, 9_000
# members whose short words say something about the service, not about somebody's resources
WORDS = frozenset(
    ["Code", "State", "Status", "IpProtocol", "DeviceName", "RootDeviceName", "Device", "Type", "VolumeType", "Protocol", "Scheme", "LifecycleState", "HealthStatus", "Group", "VpcEndpointType", "ServiceName", "InterfaceType", "AttachmentStatus", "TrafficType", "LogStatus", "Domain", "PlatformType", "PlatformName", "PlatformVersion", "PingStatus", "AgentVersion", "Label", "RecordState", "WorkflowState", "Partition", "Effect", "Action", "Version", "Algorithm", "Tenancy", "Origin", "KeyManager", "KeyUsage", "KeyState", "CustomerMasterKeySpec", "KeySpec", "InstanceType", "Architecture", "Hypervisor", "VirtualizationType", "RootDeviceType", "EvalDecision", "StorageClass", "ContentType", "EncryptionAlgorithms", "SchemaVersion", "Product", "Service", "Platform", "PlatformDetails", "UsageOperation", "BootMode", "HttpTokens", "HttpEndpoint", "Progress", "ServerSideEncryption", "TargetType", "HealthCheckProtocol", "MatcherType", "StateMessage", "DataType", "OptInStatus", "AddressFamily", "Reason"]
)  # fmt: skip
STATES = frozenset({"pending", "running", "shutting-down", "terminated", "stopping", "stopped"})
_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._:/()%-]{0,30}")
_ID = re.compile(r"([a-z]{1,12}(?:-[a-z]{1,12})?-)([0-9a-f]{8}|[0-9a-f]{17})")
_TIME = re.compile(r"\d{4}-\d\d-\d\d([T ])\d\d:\d\d:\d\d(.*)")
_REGION = re.compile(r"[a-z]{2}(-[a-z]+)+-\d[a-z]?")
_ADDRESS = re.compile(r"\d{1,3}(\.\d{1,3}){3}(/\d{1,2})?")
_WIDE = ("0.0.0.0/0", "::/0", "*", "-1", "")  # noqa: S104 - a network, not an address that is listened on


class Inventor:
    """Invents contents for one answer."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}

    def _number(self, original: str) -> int:
        return self._numbers.setdefault(original, len(self._numbers) + 1)

    def value(self, value: Any, member: str = "") -> Any:
        """The same shape with other contents."""
        if isinstance(value, dict):
            if value.get("__class__") == "datetime":
                fraction = f".{int(value.get('microsecond', 0)):06d}" if value.get("microsecond") else ""
                return {"__time__": f"2026-01-02T03:04:05{fraction}+00:00"}
            return {self._key(name): self.value(item, name) for name, item in value.items()}
        if isinstance(value, list):
            return [self.value(item, member) for item in value[:LIST_KEPT]]
        return self.text(value, member) if isinstance(value, str) else value

    def _key(self, name: str) -> str:
        return name if re.fullmatch(r"[A-Za-z][A-Za-z0-9:_-]{0,60}", name) else f"key-{self._number(name)}"

    def text(self, text: str, member: str) -> str:
        """Text of the same kind."""
        if text in _WIDE or re.fullmatch(r"\d{1,6}", text) or _REGION.fullmatch(text):
            return text
        if text.startswith("arn:"):
            parts = text.split(":", 5)
            account = self.text(parts[4], "") if len(parts) == 6 else ""
            rest = "/".join(self._piece(piece) for piece in parts[-1].split("/"))
            return ":".join([*parts[:4], account, rest]) if len(parts) == 6 else text
        if re.fullmatch(r"\d{12}", text):
            return f"{100_000_000_000 + self._number(text)}"
        if text[:1] in "{[" and (parsed := _json(text)) is not None:
            return json.dumps(self.value(parsed))
        if found := _TIME.fullmatch(text):
            return f"2026-01-02{found[1]}03:04:05{re.sub(chr(92) + 'd(?=.*[Zz+-]|.*$)', '0', found[2]) if found[2] != 'Z' else 'Z'}"
        if _ADDRESS.fullmatch(text):
            return f"10.0.0.{self._number(text) % 250}" + (f"/{text.split('/')[1]}" if "/" in text else "")
        if _ID.fullmatch(text):
            return self._piece(text)
        if text in STATES or (member == "Key" and text.startswith("aws:")):
            return text
        if member in WORDS and _WORD.fullmatch(text) and not re.search(r"\d{5}|[0-9a-f]{12}", text):
            return text
        return f"text-{self._number(text)}"

    def _piece(self, text: str) -> str:
        if found := _ID.fullmatch(text):
            digest = hashlib.sha256(f"invented {self._number(text)} {found[2][:0]}".encode()).hexdigest()
            return found[1] + digest[: len(found[2])]
        if re.fullmatch(r"[a-z-]{1,24}|root|\*", text):
            return text
        return f"name-{self._number(text)}"


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None


def signature(value: Any, path: str = "") -> Iterator[str]:
    """What makes a shape differ from another: paths, types, emptiness."""
    if isinstance(value, dict):
        for name, item in value.items():
            yield from signature(item, f"{path}.{name}")
    elif isinstance(value, list):
        yield f"{path}[{min(len(value), 2)}]"
        for item in value:
            yield from signature(item, f"{path}[]")
    else:
        yield f"{path}:{type(value).__name__}{'' if value else ' empty'}"


def chosen(shapes: list[dict[str, Any]], number: int) -> list[dict[str, Any]]:
    """The shapes that together show most: each time the one that adds most that is new."""
    left, seen, taken = [(set(signature(s["answer"])), s) for s in shapes], set[str](), list[dict[str, Any]]()
    while left and len(taken) < number:
        best = max(range(len(left)), key=lambda n: len(left[n][0] - seen))
        marks, shape = left.pop(best)
        seen |= marks
        taken.append(shape)
    return sorted(taken, key=lambda s: str(s["path"]))


def edited(operation: str, answer: dict[str, Any]) -> bool:
    """Whether somebody shortened the recording by hand: EC2 never leaves an instance's state out, and its ids are hexadecimal."""
    if operation != "ec2.DescribeInstances":
        return False
    found = [i for r in answer.get("Reservations", []) for i in r.get("Instances", [])]
    return any("State" not in i or not _ID.fullmatch(str(i.get("InstanceId"))) for i in found)


def placebo(checkout: Path) -> Iterator[dict[str, Any]]:
    """Shapes of cloud-custodian's recorded answers."""
    for operation, number in OPERATIONS.items():
        found = []
        for file in sorted((checkout / PLACEBO).rglob(f"{operation}_*.json")):
            recorded = _json(file.read_text("utf-8"))
            if not isinstance(recorded, dict) or not isinstance(recorded.get("data"), dict):
                continue
            answer = {k: v for k, v in recorded["data"].items() if k != "ResponseMetadata"}
            if edited(operation, answer):
                continue
            shape = {
                "repository": "cloud-custodian/cloud-custodian", "path": str(file.relative_to(checkout)), "operation": operation,
                "status": recorded.get("status_code", 200), "answer": Inventor().value(answer),
            }  # fmt: skip
            if len(json.dumps(shape)) <= BYTES_KEPT:
                found.append(shape)
        yield from chosen(found, number)


def errors(checkout: Path) -> Iterator[dict[str, Any]]:
    """Errors in LocalStack's snapshots, which its authors record at AWS: code, status, further members."""
    for service in SERVICES:
        kept: dict[tuple[str, int], dict[str, Any]] = {}
        for file in sorted((checkout / SNAPSHOTS / service).rglob("*.snapshot.json")):
            for test, recorded in json.loads(file.read_text("utf-8")).items():
                for error in _errors_in(recorded.get("recorded-content", {})):
                    code, status = str(error["Error"]["Code"]), int(error["ResponseMetadata"]["HTTPStatusCode"])
                    if not re.fullmatch(r"[A-Za-z0-9.]+", code):
                        continue
                    shape = {
                        "repository": "localstack/localstack", "path": str(file.relative_to(checkout)), "test": test.rpartition("::")[2],
                        "service": service, "code": code, "status": status, "members": sorted(set(error) | set(error["Error"])),
                    }  # fmt: skip
                    kept.setdefault((code, status), shape)
        yield from list(kept.values())[:ERRORS_EACH]


def _errors_in(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        error, metadata = value.get("Error"), value.get("ResponseMetadata")
        if isinstance(error, dict) and "Code" in error and isinstance(metadata, dict) and "HTTPStatusCode" in metadata:
            yield value
        for item in value.values():
            yield from _errors_in(item)
    elif isinstance(value, list):
        for item in value:
            yield from _errors_in(item)


def main(arguments: list[str]) -> int:
    """Write the files; says how many shapes they hold."""
    if len(arguments) != 2:
        print(__doc__)
        return 2
    OUT.mkdir(parents=True, exist_ok=True)
    for name, shapes in (("answers", list(placebo(Path(arguments[0])))), ("errors", list(errors(Path(arguments[1]))))):
        lines = ",\n".join(json.dumps(shape, ensure_ascii=True, separators=(",", ":")) for shape in shapes)
        (OUT / f"{name}.json").write_text(f"[\n{lines}\n]\n", "utf-8")
        print(f"{name}: {len(shapes)} shapes")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
