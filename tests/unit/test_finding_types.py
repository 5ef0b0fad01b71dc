"""Types of findings are recognised in every spelling of AWS's own table (Amazon GuardDuty user guide)."""

from __future__ import annotations

import pytest

from forensics.finding_types import canonical_type, names_intrusion
from tests.unit.guardduty_types import ALL, BY_ASFF


@pytest.mark.parametrize(("asff", "kind"), BY_ASFF.items(), ids=BY_ASFF)
def test_a_type_of_asff_is_guarddutys_type(asff: str, kind: str) -> None:
    assert canonical_type(asff) == kind
    assert names_intrusion((asff,))


@pytest.mark.parametrize("kind", ALL)
def test_a_type_of_guardduty_stays_as_it_is_in_any_separator(kind: str) -> None:
    assert canonical_type(kind) == kind
    for separator in ".-":
        for before in ("", "TTPs/Some Tactic/", "Unusual Behaviors/"):
            assert canonical_type(before + kind.replace("/", separator)) == kind


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("Backdoor:C&CActivity.B", "Backdoor:EC2/C&CActivity.B"),
        ("TTPs/Command and Control/Backdoor:Spambot", "Backdoor:EC2/Spambot"),
        ("CryptoCurrency:Quantum/New", "CryptoCurrency:Quantum/New"),
        ("TTPs/Execution/Malware", "TTPs/Execution/Malware"),
        ("NewPurpose:EC2/X", "NewPurpose:EC2/X"),
        ("Config rule/known-bad-image", "Config rule/known-bad-image"),
        ("arn:aws:ec2:eu-central-1", "arn:aws:ec2:eu-central-1"),
        ("", ""),
    ],
)
def test_what_is_not_in_the_table(text: str, kind: str) -> None:
    assert canonical_type(text) == kind


@pytest.mark.parametrize(
    ("types", "intrusion"),
    [
        (("TTPs/Execution/Malware",), True),
        (("Effects/Data Destruction",), True),
        (("unusual behaviors/VM",), True),
        (("Software and Configuration Checks/Vulnerabilities/CVE", "TTPs/Execution/Malware"), True),
        (("Threats", "Backdoor:EC2/C&CActivity.B"), True),
        (("Software and Configuration Checks/Backdoor:EC2.C&CActivity.B",), True),
        (("Software and Configuration Checks/Vulnerabilities/CVE",), False),
        (("Software & Configuration Checks/Patch Management/Compliance",), False),
        (("Config rule/x",), False),
        (("Policy:EC2/Something",), False),
        ((), False),
    ],
)
def test_intrusion_wins_over_checks(types: tuple[str, ...], intrusion: bool) -> None:
    """ASFF's namespaces: AWS Security Hub user guide, *Types taxonomy for ASFF*."""
    assert names_intrusion(types) is intrusion
