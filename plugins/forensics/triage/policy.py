"""The policy: reading and checking it, and choosing the playbook of a finding. Pure.

``policy.yaml`` beside this file is the packaged one; a deployment may replace it (docs/policy.md).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import lru_cache
from importlib import resources
from typing import Any, TypeVar

import yaml
from pydantic import ValidationError

from forensics.deployment import DEPLOYMENT
from forensics.errors import ConfigurationError
from forensics.finding_types import canonical_type
from forensics.models.base import Model
from forensics.models.finding import Finding, FindingSource
from forensics.models.policy import Playbook, Policy

Shape = TypeVar("Shape", bound=Model)
CONFIG_RULE = "Config rule/"
_PRODUCT = re.compile(r":securityhub:[^:]*:([0-9]*):product(?:v2)?/([^/]+/[^/]+)$")
MAXIMUM_BYTES = 256 * 1024


@dataclass(frozen=True)
class LoadedPolicy:
    """A policy that has been checked, with the SHA-256 of the bytes that it was read from."""

    policy: Policy
    sha256: str
    origin: str


@dataclass(frozen=True)
class PlaybookMatch:
    """The playbook of one finding, and why it was chosen."""

    name: str
    playbook: Playbook
    reason: str


@lru_cache(maxsize=1)
def packaged() -> LoadedPolicy:
    """The policy that comes with the product."""
    text = resources.files("forensics.triage").joinpath("policy.yaml").read_text("utf-8")
    # tags are in the namespace of this deployment, which its own service control policy protects
    return parse_policy(text.replace('"forensics:', f'"{DEPLOYMENT}:').encode(), origin="packaged policy")


def parse_policy(body: bytes, *, origin: str) -> LoadedPolicy:
    """Read a policy; :class:`ConfigurationError` names every field that is wrong.

    ``origin`` says in messages where it came from.
    """
    policy = read_document(body, shape=Policy, origin=origin)
    return LoadedPolicy(policy=policy, sha256=hashlib.sha256(body).hexdigest(), origin=origin)


def read_document(body: bytes, *, shape: type[Shape], origin: str) -> Shape:
    """Read YAML (or JSON) that people wrote as a model; :class:`ConfigurationError` names every field that is wrong."""
    action = f"correct it ({origin}) and sign it again; docs/policy.md describes its fields"
    if len(body) > MAXIMUM_BYTES:
        msg = f"{origin}: {len(body)} bytes are more than it may have ({MAXIMUM_BYTES})"
        raise ConfigurationError(msg, next_action=action)
    try:
        value = yaml.load(body, Loader=_UniqueKeys)  # noqa: S506 - a subclass of the safe loader
        return shape.model_validate(value)
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, e['loc'])) or 'document'}: {e['msg']}" for e in error.errors()[:10])
        msg = f"{origin} is not valid: {wrong}"
        raise ConfigurationError(msg, next_action=action) from error
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError, ValueError) as error:
        msg = f"{origin} is not YAML: {str(error)[:300]}"
        raise ConfigurationError(msg, next_action=action) from error


# libyaml's parser where it is built in: ten times faster.
_SafeLoader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _UniqueKeys(_SafeLoader):
    """The safe loader, but a key that occurs twice is an error: the second would silently win."""

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        """Build a mapping from a node."""
        seen: set[object] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, str) or key in seen:
                problem = "occurs twice" if key in seen else "is not text"
                raise yaml.constructor.ConstructorError(None, None, f"key {key!r} {problem}", key_node.start_mark)
            seen.add(key)
        return dict(super().construct_mapping(node, deep=deep))


def choose(finding: Finding, *, policy: Policy) -> PlaybookMatch:
    """Return the finding's playbook: by type, then by family, then the default.

    Among rules the one with the longest fixed text wins, so that a rule for one type beats one for many.
    """
    if finding.source is FindingSource.MANUAL:
        return _match(policy, policy.manual, "a person's request")
    types = [canonical_type(kind) for kind in finding.types]
    if is_posture(finding):
        # A Config rule may be given a playbook by its name; it never isolates all the same.
        by_name = [kind for kind in types if kind.startswith(CONFIG_RULE)]
        listed = _by_rule(by_name, policy=policy) if finding.source is FindingSource.CONFIG else None
        return listed or _match(policy, policy.posture, "a configuration finding says nothing about an intrusion")
    return _by_rule(types, policy=policy) or _by_family(types, policy=policy)


def _by_rule(types: Sequence[str], *, policy: Policy) -> PlaybookMatch | None:
    found = [
        (len(pattern.replace("*", "")), -position, rule.playbook, kind)
        for position, rule in enumerate(policy.rules)
        for pattern in rule.types
        for kind in types
        if fnmatchcase(kind, pattern.replace("[", "[[]").replace("?", "[?]"))
    ]
    if not found:
        return None
    _, _, name, kind = max(found)
    return _match(policy, name, f"finding type {kind}")


def _by_family(types: Sequence[str], *, policy: Policy) -> PlaybookMatch:
    for kind in types:
        family = kind.partition(":")[0]
        if family != kind and family in policy.families:
            return _match(policy, policy.families[family], f"family {family} (type {kind} is not listed)")
    shown = types[0] if types else "none"
    return _match(policy, policy.default, f"default (finding type {shown} is not listed)")


def is_posture(finding: Finding) -> bool:
    """Whether the finding is about configuration; such a finding never isolates."""
    return finding.posture or finding.source is FindingSource.CONFIG


# In the policy's list of trusted products, webhook/<name> is a sender of signed webhooks.
WEBHOOK = "webhook"


def distrust(finding: Finding, *, policy: Policy) -> str | None:
    """Why this finding's product may not isolate by itself; None when the policy trusts it."""
    match = _PRODUCT.search(finding.product_arn or "")
    # A product that belongs to an account is called after it: another name under an account's ARN is somebody's imitation.
    product = match[2] if match and (not match[1] or match[2].startswith(f"{match[1]}/")) else None
    if finding.source is FindingSource.WEBHOOK:
        product = f"{WEBHOOK}/{finding.webhook.sender}" if finding.webhook else None
    elif product and product.partition("/")[0] == WEBHOOK:
        product = None
    for entry in policy.trusted:
        if entry.product == product and ("*" in entry.accounts or finding.account_id in entry.accounts):
            return None
    shown = product or finding.product or finding.source.value
    return f"the policy does not trust {shown} to isolate by itself (account {finding.account_id})"


def _match(policy: Policy, name: str, why: str) -> PlaybookMatch:
    return PlaybookMatch(name=name, playbook=policy.playbooks[name], reason=f"playbook {name}: {why}")
