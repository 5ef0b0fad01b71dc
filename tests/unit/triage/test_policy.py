"""The policy file: every type has its playbook, and a wrong file is refused with all that is wrong."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from forensics.errors import ConfigurationError
from forensics.models.finding import CustomAction, FindingSource
from forensics.models.plan import Measure, Order
from forensics.models.policy import Isolation
from forensics.models.webhook import WebhookProof
from forensics.triage.policy import canonical_type, choose, distrust, packaged, parse_policy
from tests.unit.builders import NOW, finding

POLICY = packaged().policy

# GuardDuty's types about EC2, as its user guide lists them, and the playbook each must get.
TYPES = {
    "command-and-control": [
        "Backdoor:EC2/C&CActivity.B", "Backdoor:EC2/C&CActivity.B!DNS",
        "Backdoor:Runtime/C&CActivity.B", "Backdoor:Runtime/C&CActivity.B!DNS",
    ],
    "denial-of-service": [
        *(f"Backdoor:EC2/DenialOfService.{k}" for k in ("Dns", "Tcp", "Udp", "UdpOnTcpPorts", "UnusualProtocol")),
        "Backdoor:EC2/Spambot",
    ],
    "crypto-mining": [
        "CryptoCurrency:EC2/BitcoinTool.B", "CryptoCurrency:EC2/BitcoinTool.B!DNS", "CryptoCurrency:Runtime/BitcoinTool.B",
        "CryptoCurrency:Runtime/BitcoinTool.B!DNS", "Impact:EC2/BitcoinDomainRequest.Reputation",
        "Impact:Runtime/CryptoMinerExecuted", "Impact:Runtime/BitcoinDomainRequest.Reputation",
    ],
    "dns-exfiltration": ["Trojan:EC2/DNSDataExfiltration"],
    "trojan": [
        "Trojan:EC2/BlackholeTraffic", "Trojan:EC2/BlackholeTraffic!DNS", "Trojan:EC2/DGADomainRequest.B",
        "Trojan:EC2/DGADomainRequest.C!DNS", "Trojan:EC2/DriveBySourceTraffic!DNS", "Trojan:EC2/DropPoint",
        "Trojan:EC2/DropPoint!DNS", "Trojan:EC2/PhishingDomainRequest!DNS", "Trojan:Runtime/DropPoint",
        "Impact:EC2/MaliciousDomainRequest.Reputation", "Impact:EC2/MaliciousDomainRequest.Custom",
        "Impact:Runtime/MaliciousDomainRequest.Reputation",
    ],
    "reputation": [
        "Impact:EC2/AbusedDomainRequest.Reputation", "Impact:EC2/SuspiciousDomainRequest.Reputation",
        "Impact:EC2/PortSweep", "Impact:EC2/WinRMBruteForce",
    ],
    "brute-force": [
        "Recon:EC2/PortProbeUnprotectedPort", "Recon:EC2/PortProbeEMRUnprotectedPort",
        "UnauthorizedAccess:EC2/SSHBruteForce", "UnauthorizedAccess:EC2/RDPBruteForce",
    ],
    "port-scan": ["Recon:EC2/Portscan"],
    "instance-calls": ["Discovery:S3/MaliciousIPCaller", "UnauthorizedAccess:IAMUser/MaliciousIPCaller"],
    "evasion": [
        "DefenseEvasion:EC2/UnusualDNSResolver", "DefenseEvasion:EC2/UnusualDoHActivity",
        "DefenseEvasion:EC2/UnusualDoTActivity", "Behavior:EC2/NetworkPortUnusual", "Behavior:EC2/TrafficVolumeUnusual",
    ],
    "anonymiser": [
        "UnauthorizedAccess:EC2/TorClient", "UnauthorizedAccess:EC2/TorRelay",
        "UnauthorizedAccess:EC2/MaliciousIPCaller.Custom",
    ],
    "metadata-rebinding": ["UnauthorizedAccess:EC2/MetadataDNSRebind"],
    "runtime": [
        *(f"DefenseEvasion:Runtime/{k}" for k in (
            "FilelessExecution", "KernelModuleLoaded", "ProcessInjection.Proc", "ProcessInjection.Ptrace",
            "ProcessInjection.VirtualMemoryWrite", "PtraceAntiDebugging", "SuspiciousCommand")),
        *(f"Execution:Runtime/{k}" for k in (
            "MaliciousFileExecuted", "NewBinaryExecuted", "NewLibraryLoaded", "ReverseShell", "SuspiciousShellCreated",
            "SuspiciousTool", "SuspiciousCommand")),
        "PrivilegeEscalation:Runtime/ElevationToRoot", "PrivilegeEscalation:Runtime/SuspiciousCommand",
        "Persistence:Runtime/SuspiciousCommand", "Discovery:Runtime/SuspiciousCommand",
    ],
    "container-escape": [
        f"PrivilegeEscalation:Runtime/{k}" for k in (
            "CGroupsReleaseAgentModified", "ContainerMountsHostDirectory", "DockerSocketAccessed", "RuncContainerEscape",
            "UserfaultfdUsage")
    ],
    "malware": [
        "Execution:EC2/MaliciousFile", "Execution:EC2/SuspiciousFile", "Execution:EC2/MaliciousFile!AMI",
        "Execution:EC2/MaliciousFile!Snapshot", "Execution:EC2/MaliciousFile!RecoveryPoint",
        "Execution:ECS/MaliciousFile", "Execution:Kubernetes/SuspiciousFile", "Execution:Container/MaliciousFile",
    ],
    "stolen-credentials": [
        "UnauthorizedAccess:IAMUser/InstanceCredentialExfiltration.InsideAWS",
        "UnauthorizedAccess:IAMUser/InstanceCredentialExfiltration.OutsideAWS",
        "UnauthorizedAccess:IAMUser/ResourceCredentialExfiltration.OutsideAWS",
    ],
    "attack-sequence": [
        "AttackSequence:EC2/CompromisedInstanceGroup", "AttackSequence:EKS/CompromisedCluster",
        "AttackSequence:ECS/CompromisedCluster", "AttackSequence:IAM/CompromisedCredentials",
        "AttackSequence:S3/CompromisedData",
    ],
}  # fmt: skip
PAIRS = [(kind, name) for name, kinds in TYPES.items() for kind in kinds]


@pytest.mark.parametrize(("kind", "name"), PAIRS, ids=[kind for kind, _ in PAIRS])
def test_every_listed_type_has_its_playbook_in_every_spelling(kind: str, name: str) -> None:
    in_asff = "TTPs/Some Tactic/" + kind.replace("/", "-")
    for types in ((kind,), (in_asff,), ("Threats", kind)):
        match = choose(finding(types=types), policy=POLICY)
        assert match.name == name
        assert f"finding type {kind}" in match.reason


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("Backdoor:EC2/SomethingNew", "command-and-control"),
        ("CryptoCurrency:Lambda/New", "crypto-mining"),
        ("Exfiltration:EC2/New", "anonymiser"),
        ("Recon:EC2/New", "brute-force"),
        ("DefenseEvasion:EC2/New", "evasion"),
        ("CredentialAccess:EC2/UnsecuredCredentials", "control-plane"),
        ("DefenseImpairment:EC2/DisableOrModifyTools", "control-plane"),
        ("PenTest:EC2/New", "control-plane"),
    ],
)
def test_a_type_that_nobody_listed_gets_its_family(kind: str, name: str) -> None:
    match = choose(finding(types=(kind,)), policy=POLICY)
    assert match.name == name and "is not listed" in match.reason and "family" in match.reason


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("TTPs/Command and Control", "command-and-control"),
        ("TTPs/Execution/Malware", "runtime"),
        ("TTPs/Lateral Movement", "attack-sequence"),
        ("TTPs/Initial Access/Exploit", "attack-sequence"),
        ("Effects/Resource Consumption", "crypto-mining"),
        ("Effects/Data Exfiltration", "anonymiser"),
        ("Effects/Data Destruction/Ransomware", "destruction"),
        # brute force against sshd, as EDR products file it, is no theft of the instance's own credentials
        ("TTPs/Credential Access/Brute Force", "general"),
    ],
)
def test_another_products_namespace_has_its_playbook(kind: str, name: str) -> None:
    """ASFF's namespaces: AWS Security Hub user guide, *Types taxonomy for ASFF*."""
    assert choose(finding(types=(kind,)), policy=POLICY).name == name


@pytest.mark.parametrize("types", [(), ("Unusual Behaviors/Process",), ("No such thing",), ("NewPurpose:EC2/X",)])
def test_what_nothing_names_gets_the_default(types: tuple[str, ...]) -> None:
    match = choose(finding(types=types), policy=POLICY)
    assert match.name == "general" and "default" in match.reason


def test_posture_and_requests_have_playbooks_of_their_own() -> None:
    kind = ("Backdoor:EC2/C&CActivity.B",)
    assert choose(finding(types=kind, posture=True), policy=POLICY).name == "posture"
    assert choose(finding(types=kind, source=FindingSource.CONFIG), policy=POLICY).name == "posture"
    assert choose(finding(types=kind, source=FindingSource.MANUAL), policy=POLICY).name == "manual"


def test_a_config_rule_may_be_given_a_playbook_by_name() -> None:
    document = _document()
    document["rules"].append({"types": ["Config rule/known-bad-image"], "playbook": "configuration-evidence"})
    policy = parse_policy(yaml.safe_dump(document).encode(), origin="x").policy
    listed = finding(source=FindingSource.CONFIG, posture=True, types=("Config rule/known-bad-image",))
    assert choose(listed, policy=policy).name == "configuration-evidence"
    assert choose(finding(source=FindingSource.CONFIG, types=("Config rule/x",)), policy=policy).name == "posture"


def test_what_the_appendix_of_types_demands() -> None:
    books = POLICY.playbooks
    assert books["denial-of-service"].order is books["stolen-credentials"].order is Order.CONTAIN_FIRST
    assert books["command-and-control"].order is Order.ACQUIRE_FIRST
    assert books["metadata-rebinding"].containment == (Measure.CREDENTIALS_FIRST,)
    assert Measure.DNS_FIREWALL in books["dns-exfiltration"].containment
    assert books["posture"].isolate is Isolation.NEVER and books["posture"].acquire == ()
    assert books["evasion"].approval


def test_every_playbook_asks_questions_and_every_question_names_its_artifacts() -> None:
    asked = {q for book in POLICY.playbooks.values() for q in book.questions}
    assert asked == set(POLICY.questions)
    for name, book in POLICY.playbooks.items():
        assert book.questions, name
    for identifier, question in POLICY.questions.items():
        assert question.id == identifier and question.text.endswith("?") and question.artifacts


def test_the_digest_is_that_of_the_file() -> None:
    assert re.fullmatch(r"[0-9a-f]{64}", packaged().sha256)
    body = yaml.safe_dump(_document()).encode()
    assert parse_policy(body, origin="x").sha256 != parse_policy(body + b"\n", origin="x").sha256


def _document() -> dict[str, Any]:
    from importlib import resources

    return dict(yaml.safe_load(resources.files("forensics.triage").joinpath("policy.yaml").read_bytes()))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda d: d["rules"].append({"types": ["X:Y/Z"], "playbook": "nowhere"}), "playbook nowhere"),
        (lambda d: d["playbooks"]["trojan"].update(questions=["q-none"]), "question q-none (of playbook trojan)"),
        (lambda d: d["actions"].pop("ForensicFull"), "custom action ForensicFull"),
        (lambda d: d["playbooks"]["posture"].update(isolate="by-severity"), "never isolate"),
        (lambda d: d["playbooks"]["trojan"].update(isolate="sometimes"), "playbooks.trojan.isolate"),
        (lambda d: d["playbooks"]["trojan"].update(izolate="never"), "playbooks.trojan.izolate"),
        (lambda d: d["playbooks"]["trojan"].update(acquire=["isolate"]), "isolation has a field of its own"),
        (lambda d: d["thresholds"].update(isolate_from="HUGE"), "thresholds.isolate_from"),
        (lambda d: d["tags"].update(acquire="acquire-me"), "tags.acquire"),
        (lambda d: d["actions"]["ForensicRelease"].update(isolate=True), "cannot acquire or isolate"),
        (lambda d: d.update(schema="forensics.policy/2"), "schema"),
        (lambda d: d.pop("version"), "version"),
        (lambda d: d["questions"]["q-entry"].update(artifacts=[]), "questions.q-entry.artifacts"),
    ],
)
def test_a_wrong_policy_is_refused_by_the_field(change: Any, said: str) -> None:
    document = _document()
    change(document)
    with pytest.raises(ConfigurationError) as caught:
        parse_policy(yaml.safe_dump(document).encode(), origin="s3://tools/policy.yaml")
    assert said in str(caught.value) and "s3://tools/policy.yaml" in str(caught.value)
    assert "docs/policy.md" in caught.value.next_action


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"a: b: c", b"\xff\xfe", b"version: 1\nversion: 2", b"1: x", b"x: !!python/object:os.system {}"],
)
def test_what_is_no_policy_is_refused(body: bytes) -> None:
    with pytest.raises(ConfigurationError, match="somewhere"):
        parse_policy(body, origin="somewhere")


def test_an_oversized_policy_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="more than it may have"):
        parse_policy(b"#" * 300_000, origin="x")


@given(st.lists(st.text(max_size=60), max_size=4), st.sampled_from(list(FindingSource)), st.booleans())
def test_every_finding_has_a_playbook(types: list[str], source: FindingSource, posture: bool) -> None:
    match = choose(finding(types=tuple(types), source=source, posture=posture), policy=POLICY)
    assert match.playbook is POLICY.playbooks[match.name]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("TTPs/Command and Control/Backdoor:EC2-C&CActivity.B!DNS", "Backdoor:EC2/C&CActivity.B!DNS"),
        ("Backdoor:EC2/C&CActivity.B!DNS", "Backdoor:EC2/C&CActivity.B!DNS"),
        ("TTPs/AttackSequence:EC2-CompromisedInstanceGroup", "AttackSequence:EC2/CompromisedInstanceGroup"),
        ("Software and Configuration Checks/AWS Security Best Practices", None),
        ("Threats", None),
    ],
)
def test_canonical_spelling(text: str, expected: str | None) -> None:
    assert canonical_type(text) == (expected or text)


def test_every_action_of_security_hub_has_a_rule() -> None:
    assert set(POLICY.actions) == set(CustomAction)
    assert all(len(action.value) <= 20 and action.value.isalnum() for action in CustomAction)


def test_a_sender_of_webhooks_isolates_by_itself_only_where_the_policy_trusts_it() -> None:
    proof = WebhookProof(key_id="edr.2026-10", signed_at=NOW, body_sha256="0" * 64)
    signed = finding(
        source=FindingSource.WEBHOOK,
        webhook=proof,
        product_arn="arn:aws:securityhub:eu-central-1::product/aws/guardduty",
    )
    assert distrust(signed, policy=POLICY) is not None, "what it calls itself does not count"
    document = _document()
    document["trusted"].append({"product": "webhook/edr", "accounts": [signed.account_id]})
    policy = parse_policy(yaml.safe_dump(document).encode(), origin="x").policy
    assert distrust(signed, policy=policy) is None
    for changes in (
        {"webhook": None},
        {"webhook": proof.model_copy(update={"key_id": "cnapp.1"})},
        {"account_id": "111122223333"},
        # somebody else's product that is called like the sender
        {"source": FindingSource.SECURITY_HUB, "product_arn": "arn:aws:securityhub:eu-central-1::product/webhook/edr"},
    ):
        assert distrust(signed.model_copy(update=changes), policy=policy) is not None, changes
