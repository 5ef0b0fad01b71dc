"""Why a running instance could not be captured today, from what the control plane knows. Pure.

Nothing is asked of the instance itself: what only its kernel can say (lockdown, a full disk) shows in a case's probe.
"""

from __future__ import annotations

from forensics.models.preflight import UnreadyInstance
from forensics.models.readiness import RunningInstance
from forensics.models.target import SsmStatus
from forensics.settings import Settings

# Platforms whose own kernel comes without type information (BTF), so that an image of their memory can be read only with a
# symbol table of the library: name of the platform as SSM reports it, and the first version that has it (empty: none has).
# Source: BTFHub's list of kernels without embedded BTF (aquasecurity/btfhub, "supported kernels and distributions").
WITHOUT_BTF = (
    ("Amazon Linux", ""),  # "Amazon Linux 2" is named so; 2023 is told apart by its version
    ("CentOS", "8"),
    ("Red Hat Enterprise Linux", "8.2"),
    ("Oracle Linux Server", "8"),
    ("Debian GNU/Linux", "11"),
    ("Ubuntu", "20.10"),
    ("SLES", "15.3"),
)


def reasons(instance: RunningInstance, settings: Settings) -> UnreadyInstance | None:
    """Why not; None when nothing speaks against it."""
    memory = tuple(_memory(instance, settings))
    disk = tuple(_disk(instance))
    if not memory and not disk:
        return None
    return UnreadyInstance(
        account_id=instance.account_id,
        region=instance.region,
        instance_id=instance.instance_id,
        name=instance.name,
        memory=memory,
        disk=disk,
    )


def _memory(instance: RunningInstance, settings: Settings) -> list[str]:
    found = []
    if not instance.ssm.managed:
        found.append(
            "no SSM: give its profile AmazonSSMManagedInstanceCore and a way to ssm and ssmmessages, and run the agent"
        )
    elif not instance.ssm.online:
        found.append(f"SSM says {instance.ssm.ping}: look at the agent and its way to ssm and ssmmessages")
    if instance.ipv6_only and not instance.ssm.online:
        found.append(
            "IPv6 only: its agent needs version 3.3.3270.0 and UseDualStackEndpoint in its settings (amazon-ssm-agent.json)"
        )
    if not instance.way_to_s3:
        found.append(
            "endpoint missing: its subnet has no default route and its VPC no S3 endpoint, so an image cannot leave"
        )
    if instance.windows and not settings.winpmem_sha256:
        found.append(
            "tool missing: give winpmem_sha256 and upload go-winpmem; until then there is a live response only"
        )
    elif instance.architecture == "arm64" and not instance.windows and not settings.capture_tool_arm64_sha256:
        found.append(
            "tool missing: give capture_tool_arm64_sha256 and upload the tool; until then /proc/kcore alone is tried"
        )
    if instance.memory_mib is not None and instance.memory_mib > settings.memory_limit_gib * 1024:
        found.append(
            f"quota: {instance.memory_mib / 1024:.0f} GiB of memory, {settings.memory_limit_gib} are allowed: raise memory_limit_gib"
        )
    if instance.ssm.managed and not instance.windows and without_btf(instance.ssm):
        found.append(
            f"kernel without symbols: {instance.ssm.platform_name} {instance.ssm.platform_version} has no type information; "
            "run the DAG symbol_library for its kernel"
        )
    return found


def _disk(instance: RunningInstance) -> list[str]:
    found = []
    for key in instance.keys:
        if key.state in {"Disabled", "PendingDeletion", "PendingImport", "Unavailable"}:
            found.append(f"key not usable: {key.arn} is {key.state}: enable it, or cancel its deletion")
        elif key.account_id and key.account_id != instance.account_id and key.manager != "AWS":
            found.append(
                f"key not shareable: {key.arn} belongs to account {key.account_id}, which alone could grant it"
            )
    return found


def without_btf(ssm: SsmStatus) -> bool:
    """Whether the platform's kernel is known to come without BTF."""
    name, version = ssm.platform_name or "", ssm.platform_version or ""
    for platform, since in WITHOUT_BTF:
        if name.startswith(platform):
            if platform == "Amazon Linux":
                return not version.startswith("202")
            return _numbers(version) < _numbers(since)
    return False


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part.isdigit())
