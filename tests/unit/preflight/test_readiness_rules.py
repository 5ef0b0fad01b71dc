"""Each reason why an instance could not be captured today, and none for one that could."""

from __future__ import annotations

from typing import Any

import pytest

from forensics.models.disk import KeyFacts
from forensics.models.readiness import RunningInstance
from forensics.models.target import SsmStatus
from forensics.preflight.readiness_rules import reasons, without_btf
from tests.unit.preflight.conftest import MEMBER, REGION, settings_with

ONLINE = SsmStatus(managed=True, ping="Online", platform_name="Debian GNU/Linux", platform_version="12")
FOREIGN = KeyFacts(arn="arn:k", account_id="999988887777", manager="CUSTOMER", state="Enabled")
DISABLED = KeyFacts(arn="arn:k", account_id=MEMBER, manager="CUSTOMER", state="Disabled")


def instance(**changes: Any) -> RunningInstance:
    ready = {"account_id": MEMBER, "region": REGION, "instance_id": "i-1", "ssm": ONLINE, "memory_mib": 2048}
    return RunningInstance.model_validate({**ready, **changes})


def test_a_ready_instance_is_not_listed() -> None:
    assert reasons(instance(), settings_with()) is None


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"ssm": SsmStatus()}, "no SSM"),
        ({"ssm": ONLINE.model_copy(update={"ping": "ConnectionLost"})}, "SSM says ConnectionLost"),
        ({"way_to_s3": False}, "endpoint missing"),
        ({"windows": True}, "tool missing"),
        ({"ipv6_only": True, "ssm": SsmStatus()}, "IPv6 only: its agent needs version 3.3.3270.0"),
        ({"architecture": "arm64"}, "tool missing"),
        ({"memory_mib": 1536 * 1024}, "quota: 1536 GiB of memory, 1024 are allowed"),
        (
            {"ssm": ONLINE.model_copy(update={"platform_name": "CentOS Linux", "platform_version": "7.9"})},
            "kernel without symbols",
        ),
    ],
)
def test_what_speaks_against_its_memory(change: dict[str, Any], reason: str) -> None:
    found = reasons(instance(**change), settings_with())
    assert found is not None
    assert [r for r in found.memory if r.startswith(reason)], found.memory
    assert found.disk == ()


@pytest.mark.parametrize(("key", "reason"), [(FOREIGN, "key not shareable"), (DISABLED, "key not usable")])
def test_what_speaks_against_its_disks(key: KeyFacts, reason: str) -> None:
    found = reasons(instance(keys=(key,)), settings_with())
    assert found is not None
    assert (found.memory, found.disk[0].startswith(reason)) == ((), True)


def test_windows_is_ready_with_its_tool() -> None:
    assert reasons(instance(windows=True), settings_with(winpmem_sha256="a" * 64)) is None


def test_a_tool_for_graviton_makes_it_ready() -> None:
    assert reasons(instance(architecture="arm64"), settings_with(capture_tool_arm64_sha256="a" * 64)) is None


@pytest.mark.parametrize(
    ("name", "version", "missing"),
    [
        ("Amazon Linux", "2", True), ("Amazon Linux", "2023", False), ("Ubuntu", "20.04", True), ("Ubuntu", "22.04", False),
        ("Debian GNU/Linux", "10", True), ("Debian GNU/Linux", "12", False), ("Red Hat Enterprise Linux", "8.1", True),
        ("Red Hat Enterprise Linux", "9.4", False), ("Bottlerocket", "1.20", False),
    ],
)  # fmt: skip
def test_platforms_whose_kernel_has_no_type_information(name: str, version: str, missing: bool) -> None:
    """aquasecurity/btfhub, "supported kernels and distributions"."""
    assert without_btf(SsmStatus(managed=True, platform_name=name, platform_version=version)) is missing
