"""What AWS does not know everywhere yet: a new resource is not found for its first calls, and may vanish once more.

One mechanism for all kinds, in front of the services: ids are taken from the answers of the calls that make something,
and what a later call names or lists is looked up here. Sources: EC2 developer guide, "Eventual consistency in the
Amazon EC2 API"; IAM user guide, "Changes that I make are not always immediately visible"; awslabs/coldsnap#43 (not found,
found, and not found again). How often is drawn from ``hidden_seed``, the resource's kind and its number: the same seed
gives the same answers. After ``hidden_seconds`` everything is known, however few calls asked. ``hidden_calls`` 0 makes everything known at once.

Root keys are the lab's own hands (its seed, and tests that look from outside): what they make has existed for years, and they
see everything, unless ``hidden_from_root`` is 1.
"""

from __future__ import annotations

import dataclasses
import random
import re
import threading
import time
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterable, Mapping
from typing import Any
from urllib.parse import parse_qsl

from lab.emulator.patches import accounts, state
from lab.emulator.wire import error_body, refuse_with

Wsgi = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]
SEEN_BETWEEN = (1, 3)  # calls that see a resource before it may vanish again
_NOT_NAMES = ("Filter.", "TagSpecification.", "Tag.", "Description", "Policy")


@dataclasses.dataclass(frozen=True)
class Kind:
    """A kind of resource of EC2: its ids, what EC2 answers when it does not know one, and where a list shows it."""

    pattern: re.Pattern[str]
    code: str
    message: str


_KINDS = {
    "snapshot": Kind(
        re.compile(r"snap-[0-9a-f]{8,17}"), "InvalidSnapshot.NotFound", "The snapshot '{}' does not exist."
    ),
    "volume": Kind(re.compile(r"vol-[0-9a-f]{8,17}"), "InvalidVolume.NotFound", "The volume '{}' does not exist."),
    "instance": Kind(
        re.compile(r"i-[0-9a-f]{8,17}"), "InvalidInstanceID.NotFound", "The instance ID '{}' does not exist"
    ),
    "group": Kind(re.compile(r"sg-[0-9a-f]{8,17}"), "InvalidGroup.NotFound", "The security group '{}' does not exist"),
    "association": Kind(
        re.compile(r"iip-assoc-[0-9a-f]{8,17}"),
        "InvalidAssociationID.NotFound",
        "The association ID '{}' does not exist",
    ),
}
# calls that make something: its kind, and the element of the answer that holds its id
_MAKES = {
    "CreateSnapshot": ("snapshot", "snapshotId"),
    "CreateSnapshots": ("snapshot", "snapshotId"),
    "CopySnapshot": ("snapshot", "snapshotId"),
    "CreateVolume": ("volume", "volumeId"),
    "RunInstances": ("instance", "instanceId"),
    "CreateSecurityGroup": ("group", "groupId"),
    "AssociateIamInstanceProfile": ("association", "associationId"),
    "ReplaceIamInstanceProfileAssociation": ("association", "associationId"),
}
# calls that list: the list's element, and in its items the element that holds an id
_LISTS = {
    "DescribeSnapshots": ("snapshotSet", "snapshotId"),
    "DescribeVolumes": ("volumeSet", "volumeId"),
    "DescribeInstances": ("instancesSet", "instanceId"),
    "DescribeSecurityGroups": ("securityGroupInfo", "groupId"),
    "DescribeIamInstanceProfileAssociations": ("iamInstanceProfileAssociationSet", "associationId"),
}
# IAM names its resources: calls that make one, and the parameters that together are its name
_IAM_MAKES = {
    "CreateRole": ("RoleName",),
    "CreateInstanceProfile": ("InstanceProfileName",),
    "PutRolePolicy": ("RoleName", "PolicyName"),
}
_IAM_KINDS = tuple(dict.fromkeys(_IAM_MAKES.values()))
# what answers with the names of policies, and calls that make what they name again or take away nothing else
_IAM_POLICY_LIST = "ListRolePolicies"


def schedule(seed: int, kind: str, number: int, calls: int) -> list[bool]:
    """For each of a resource's first calls whether it is hidden: some are, then it is seen, then perhaps hidden once more."""
    if calls <= 0:
        return []
    draw = random.Random(f"{seed}:{kind}:{number}")
    first, between = draw.randint(1, calls), draw.randint(*SEEN_BETWEEN)
    return [True] * first + [False] * between + [True] * draw.randint(0, 1)


class Visibility:
    """The new resources of one lab server, and which of their first calls do not find them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._left: dict[str, list[bool]] = {}
        self._made: dict[str, int] = {}
        self._since: dict[str, float] = {}

    # ------------------------------------------------------------------ what the gateway asks
    def serve(
        self, app: Wsgi, environ: dict[str, Any], started: Callable[..., Any], *, call: Any, body: bytes
    ) -> Iterable[bytes]:
        """The service's answer to a call, as far as the service knows everything yet."""
        if unknown := self.refusal(call, body):
            out, content_type = error_body(call.service, code=unknown[0], message=unknown[1])
            number = 404 if call.service == "iam" else 400
            return refuse_with(started, status=number, body=out, content_type=content_type, code=unknown[0])
        if not self.watches(call):
            return app(environ, started)
        begun: list[tuple[str, list[tuple[str, str]]]] = []
        answer = b"".join(app(environ, lambda status, headers, *_rest: begun.append((status, headers))))
        status, headers = begun[0]
        if status.startswith("200"):
            answer = self.answer(call, request=body, answer=answer)
        kept = [(name, value) for name, value in headers if name.lower() != "content-length"]
        started(status, [*kept, ("Content-Length", str(len(answer)))])
        return [answer]

    def refusal(self, call: Any, body: bytes) -> tuple[str, str] | None:
        """AWS's error code and message when the call names something that is not known yet."""
        if not self._left or _from_outside(call):
            return None
        if call.service == "ec2":
            return self._ec2_refusal(_form(body))
        if call.service == "iam" and call.action not in _IAM_MAKES:
            return self._iam_refusal(call, _form(body))
        return None

    def watches(self, call: Any) -> bool:
        """Whether the answer to a call must go through :meth:`answer`."""
        if _from_outside(call):
            return False
        if call.service == "ec2":
            return call.action in _MAKES or (call.action in _LISTS and bool(self._left))
        return bool(
            call.service == "iam" and (call.action in _IAM_MAKES or (call.action == _IAM_POLICY_LIST and self._left))
        )

    def answer(self, call: Any, *, request: bytes, answer: bytes) -> bytes:
        """The answer to a call that went well: new resources are remembered, and lists lack what is not known yet."""
        if call.action in _MAKES:
            kind, element = _MAKES[call.action]
            self._remember(kind, _ids(answer, kind, element))
        elif call.service == "iam" and call.action in _IAM_MAKES:
            fields = _IAM_MAKES[call.action]
            self._remember("+".join(fields), [_iam_key(call, fields, _form(request))])
        elif call.action == _IAM_POLICY_LIST:
            return self._without_policies(call, _form(request), answer)
        elif call.action in _LISTS and not _names_one(_form(request)):
            return self._without_hidden(answer, *_LISTS[call.action])
        return answer

    # ------------------------------------------------------------------
    def _remember(self, kind: str, ids: Iterable[str]) -> None:
        config = state.current().config
        with self._lock:
            for resource_id in ids:
                number = self._made[kind] = self._made.get(kind, 0) + 1
                # a repeated call with the same client token makes nothing new, and a policy may be put again
                if plan := schedule(int(config.hidden_seed), kind, number, int(config.hidden_calls)):
                    self._left.setdefault(resource_id, plan)
                    self._since.setdefault(resource_id, time.monotonic())

    def _hidden(self, resource_id: str) -> bool:
        """Whether this call does not find it; counts the call."""
        with self._lock:
            left, config = self._left.get(resource_id), state.current().config
            if left and time.monotonic() - self._since[resource_id] > float(config.hidden_seconds):
                left.clear()
            return bool(left and left.pop(0)) and int(config.hidden_calls) > 0

    def _ec2_refusal(self, form: Mapping[str, str]) -> tuple[str, str] | None:
        named = [v for name, v in form.items() if not name.startswith(_NOT_NAMES) and v in self._left]
        hidden = [v for v in dict.fromkeys(named) if self._hidden(v)]
        if not hidden:
            return None
        kind = next(k for k in _KINDS.values() if k.pattern.fullmatch(hidden[0]))
        return kind.code, kind.message.format(hidden[0])

    def _iam_refusal(self, call: Any, form: Mapping[str, str]) -> tuple[str, str] | None:
        for fields in _IAM_KINDS:
            if all(name in form for name in fields) and self._hidden(_iam_key(call, fields, form)):
                return "NoSuchEntity", f"The {' '.join(fields)} {form[fields[-1]]} cannot be found."
        return None

    def _without_hidden(self, answer: bytes, listed: str, element: str) -> bytes:
        root = ET.fromstring(answer)
        gone = False
        for parent in [e for e in root.iter() if _local(e) == listed]:
            for item in list(parent):
                found = next((child.text or "" for child in item if _local(child) == element), "")
                if found in self._left and self._hidden(found):
                    parent.remove(item)
                    gone = True
        return ET.tostring(root, encoding="utf-8", xml_declaration=True) if gone else answer

    def _without_policies(self, call: Any, form: Mapping[str, str], answer: bytes) -> bytes:
        root = ET.fromstring(answer)
        for parent in [e for e in root.iter() if _local(e) == "PolicyNames"]:
            for item in list(parent):
                names = {"RoleName": form.get("RoleName", ""), "PolicyName": item.text or ""}
                if self._hidden(_iam_key(call, ("RoleName", "PolicyName"), names)):
                    parent.remove(item)
        return ET.tostring(root, encoding="utf-8", xml_declaration=True)


def _from_outside(call: Any) -> bool:
    return accounts.from_outside(call.access_key)


def _form(body: bytes) -> dict[str, str]:
    return dict(parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True))


def _local(element: ET.Element) -> str:
    return element.tag.rsplit("}", 1)[-1]


def _ids(answer: bytes, kind: str, element: str) -> list[str]:
    found = re.findall(rf"<{element}>({_KINDS[kind].pattern.pattern})</{element}>", answer.decode("utf-8", "replace"))
    return list(dict.fromkeys(found))


def _names_one(form: Mapping[str, str]) -> bool:
    """Whether a call asks for resources by their ids: then an unknown one is an error and not left out."""
    return any(re.fullmatch(r"(SnapshotId|VolumeId|InstanceId|GroupId|AssociationId)\.\d+", name) for name in form)


def _iam_key(call: Any, fields: tuple[str, ...], form: Mapping[str, str]) -> str:
    return ":".join(["iam", call.account, "+".join(fields), *(form.get(name, "") for name in fields)])
