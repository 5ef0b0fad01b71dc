"""GuardDuty's finding types in whatever spelling they arrive. Pure.

GuardDuty writes ``Purpose:Resource/Threat``. Security Hub's format (ASFF) puts a taxonomy before it and spells the rest in
several ways (GuardDuty user guide, *Integrating with AWS Security Hub*, table of finding types)::

    TTPs/Command and Control/Backdoor:EC2-C&CActivity.B
    Software and Configuration Checks/Backdoor:EC2.C&CActivity.B
    TTPs/DefenseEvasion/EC2:Unusual-DNS-Resolver
    TTPs/Credential Access/IAMUser-AnomalousBehavior
    TTPs/AnomalousBehavior/Discovery:Kubernetes-PermissionChecked
"""

from __future__ import annotations

import re
from functools import lru_cache

# GuardDuty user guide, "GuardDuty finding format", threat purposes, with those that are retired.
PURPOSES = frozenset(
    {
        "AttackSequence",
        "Backdoor",
        "Behavior",
        "Collection",
        "CredentialAccess",
        "CryptoCurrency",
        "DefenseEvasion",
        "DefenseImpairment",
        "Discovery",
        "Execution",
        "Exfiltration",
        "Impact",
        "InitialAccess",
        "LateralMovement",
        "Object",
        "PenTest",
        "Persistence",
        "Policy",
        "PrivilegeEscalation",
        "Recon",
        "ResourceConsumption",
        "Stealth",
        "Trojan",
        "UnauthorizedAccess",
    }
)
RESOURCES = frozenset(
    {"Container", "EC2", "ECS", "EKS", "IAM", "IAMUser", "Kubernetes", "Lambda", "RDS", "Runtime", "S3"}
)
_PURPOSE_BY_PLAIN = {name.lower(): name for name in PURPOSES}
_RESOURCE_BY_PLAIN = {name.lower(): name for name in RESOURCES}
_ANOMALOUS = "AnomalousBehavior"
_PARTS = re.compile(r"([A-Za-z ]+):([A-Za-z0-9]+)[/.-](.+)")
_RESOURCE_FIRST = re.compile(r"([A-Za-z0-9]+)([:-])(.+)")
_NO_RESOURCE = re.compile(r"([A-Za-z ]+):(.+)")
_INTRUSION_NAMESPACES = ("ttps/", "effects/", "unusual behaviors/")


@lru_cache(maxsize=4096)
def canonical_type(text: str) -> str:
    """GuardDuty's own spelling of a type; a type that is not GuardDuty's comes back as it is.

    A type that names no resource is taken for EC2's: only findings about instances are read.
    """
    segments = [segment.strip() for segment in text.split("/")]
    # A type of GuardDuty may end with Resource/Threat: the slash inside is no taxonomy.
    for start in range(len(segments)):
        found = _purpose_first("/".join(segments[start:]), before=segments[:start]) or _split_purpose(segments[start:])
        if found:
            return found
    return text


def names_intrusion(types: tuple[str, ...]) -> bool:
    """Whether a type says that somebody acts (ASFF's namespaces of tactics, effects and unusual behaviour, or GuardDuty).

    It outweighs a type of the namespace of checks and a compliance block: products file a detection and the
    vulnerability behind it in one finding (AWS Security Hub user guide, *Types taxonomy for ASFF*).
    """
    return any(kind.lower().startswith(_INTRUSION_NAMESPACES) or _is_of_guardduty(kind) for kind in types)


def identifies_data(types: tuple[str, ...]) -> bool:
    """Whether a type says that sensitive data lies somewhere (ASFF's namespace, and the new Security Hub's type of Macie)."""
    return any(kind.lower().startswith("sensitive data") for kind in types)


def _is_of_guardduty(kind: str) -> bool:
    purpose, colon, rest = canonical_type(kind).partition(":")
    return bool(colon) and purpose in PURPOSES and purpose != "Policy" and rest.partition("/")[0] in RESOURCES


def _purpose(text: str) -> str | None:
    return _PURPOSE_BY_PLAIN.get(text.replace(" ", "").lower())


def _purpose_first(text: str, *, before: list[str]) -> str | None:
    """``Purpose:Resource-Threat``, ``Purpose:Resource.Threat``, ``Purpose:Resource/Threat``, ``Purpose:Threat``."""
    match = _PARTS.fullmatch(text)
    if match and (purpose := _purpose(match[1])) and (resource := _RESOURCE_BY_PLAIN.get(match[2].lower())):
        threat = match[3]
        if before and before[-1] == _ANOMALOUS and not threat.startswith(_ANOMALOUS):
            threat = f"{_ANOMALOUS}.{threat}"
        return f"{purpose}:{resource}/{threat}"
    if match and (purpose := _purpose(match[1])) and "/" in text and match[2] not in _RESOURCE_BY_PLAIN:
        return f"{purpose}:{match[2]}/{match[3]}" if text.startswith(f"{match[1]}:{match[2]}/") else None
    bare = _NO_RESOURCE.fullmatch(text)
    if bare and (purpose := _purpose(bare[1])) and "/" not in text:
        return f"{purpose}:EC2/{bare[2]}"
    return None


def _split_purpose(segments: list[str]) -> str | None:
    """``Defense Evasion/EC2:Unusual-DNS-Resolver``, ``Credential Access/IAMUser-AnomalousBehavior``."""
    if len(segments) != 2 or not (purpose := _purpose(segments[0])):
        return None
    match = _RESOURCE_FIRST.fullmatch(segments[1])
    resource = _RESOURCE_BY_PLAIN.get(match[1].lower()) if match else None
    if match is None or resource is None:
        return None
    threat = match[3].replace("-", "") if match[2] == ":" else match[3]
    return f"{purpose}:{resource}/{threat}"
