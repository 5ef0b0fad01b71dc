"""What a finding without an instance is about, what of it leads to one, and that the shapes are those of AWS's models."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import botocore.session
import pytest

from forensics.intake.readers.subjects import MOST_NODES, NODE, attached_of, node_of, subject_of
from forensics.intake.readers.subjects import TASK as TASK_KIND
from forensics.models.artifact import Artifact, ArtifactKind
from forensics.models.finding import CustomAction, Severity
from forensics.models.intake import IntakeVerdict, SubjectKind
from tests.unit.intake.conftest import EVENTS

A = "arn:aws:ec2:eu-central-1:333344445555"
VOLUME = f"{A}:volume/vol-0123456789abcdef0"
TASK = "arn:aws:ecs:eu-central-1:333344445555:task/web/fedcba9876543210fedcba9876543210"


@pytest.mark.parametrize(
    ("resources", "kind", "resource"),
    [
        ([("Other", f"{A}:snapshot/snap-1")], SubjectKind.SNAPSHOT, f"{A}:snapshot/snap-1"),
        ([("AWS::EC2::Image", "ami-1")], SubjectKind.IMAGE, "ami-1"),
        ([("AwsBackupRecoveryPoint", f"{A}:image/ami-1")], SubjectKind.RECOVERY_POINT, f"{A}:image/ami-1"),
        (
            [("Other", "arn:aws:backup:eu-central-1:333344445555:recovery-point:x")],
            SubjectKind.RECOVERY_POINT,
            "arn:aws:backup:eu-central-1:333344445555:recovery-point:x",
        ),
        ([("EksCluster", "arn:aws:eks:x:1:cluster/c"), ("ECS_TASK", TASK)], SubjectKind.TASK, TASK),
        ([("AwsEcsTask", "t"), (SubjectKind.FARGATE_TASK, TASK)], SubjectKind.FARGATE_TASK, TASK),
        ([("Container", "c0ffee"), ("AwsEcsCluster", "c")], SubjectKind.CONTAINER, "c0ffee"),
        ([("AwsLambdaFunction", "f")], SubjectKind.FUNCTION, "f"),
        ([("RdsDbInstance", "d")], SubjectKind.DATABASE, "d"),
        ([("AWS::S3::Bucket", "b")], SubjectKind.STORAGE, "b"),
        ([("AwsIamAccessKey", "AWS::IAM::AccessKey:x")], SubjectKind.IDENTITY, "AWS::IAM::AccessKey:x"),
        ([("Host", "db-1.example.net")], SubjectKind.OTHER, "db-1.example.net"),
        ([("x", 7), (None, None), (7, "")], SubjectKind.OTHER, ""),
        ([], SubjectKind.OTHER, ""),
    ],
)
def test_the_resource_that_says_most_about_where_to_look(
    resources: list[tuple[object, object]], kind: SubjectKind, resource: str
) -> None:
    found = subject_of(resources, field="it")
    assert (found.kind, found.resource) == (kind, resource)


def test_nodes_are_ids_each_once_and_not_without_end() -> None:
    ids = [f"i-{n:017x}" for n in range(MOST_NODES + 5)]
    found = subject_of([], field="it", nodes=[*(f"{A}:instance/{i}" for i in ids), ids[0], 7, "node-1"])
    assert found.nodes == tuple(ids[:MOST_NODES])


def test_volumes_and_interfaces_lead_to_their_instance() -> None:
    named = [
        ("x", VOLUME),
        ("y", "eni-0123456789abcdef0"),
        ("x", VOLUME),
        ("z", f"{A}:snapshot/snap-0123456789abcdef0"),
    ]
    volume, interface = attached_of(named, field="it")
    assert (volume.type, volume.id) == ("AWS::EC2::Volume", "vol-0123456789abcdef0")
    assert (volume.account, volume.region) == ("333344445555", "eu-central-1")
    assert (interface.type, interface.account, interface.region) == ("AWS::EC2::NetworkInterface", None, None)


@pytest.mark.parametrize(
    "name",
    ["vol-1", f"{VOLUME}0", "arn:aws:ec2:mars-north-1:333344445555:volume/vol-0123456789abcdef0", "arn:aws:s3:::b",
     "arn:aws-cn:ec2:eu-central-1:333344445555:volume/vol-0123456789abcdef0", "arn:aws:ec2:eu-central-1", None, 7],
)  # fmt: skip
def test_what_is_no_volume_is_left_to_people(name: object) -> None:
    assert attached_of([("AwsEc2Volume", name)], field="it") == ()


@pytest.mark.parametrize(
    "named",
    [(SubjectKind.FARGATE_TASK, TASK), ("EcsTask", "arn:aws:ecs:eu-central-1:333344445555:task/fedcba9876543210fedcba9876543210"),
     ("EcsTask", "web/fedcba9876543210fedcba9876543210"), ("EcsCluster", "arn:aws:ecs:eu-central-1:333344445555:cluster/web")],
)  # fmt: skip
def test_a_task_on_fargate_or_without_its_cluster_is_left_to_people(named: tuple[object, object]) -> None:
    assert attached_of([named], field="it") == ()


def test_a_volume_says_more_than_the_task_that_used_it() -> None:
    assert [found.id for found in attached_of([("EcsTask", TASK), ("EbsVolume", VOLUME)], field="it")] == [
        "vol-0123456789abcdef0"
    ]


def test_a_task_leads_to_its_instance_by_its_cluster_and_id() -> None:
    (task,) = attached_of(
        [("AwsEcsTask", TASK), ("EcsCluster", "arn:aws:ecs:eu-central-1:333344445555:cluster/web")], field="it"
    )
    assert (task.type, task.id) == (TASK_KIND, "web/fedcba9876543210fedcba9876543210")
    assert (task.account, task.region) == ("333344445555", "eu-central-1")


def kubernetes(user: object, vpc: object = "vpc-0123456789abcdef0") -> dict[str, Any]:
    """The resource of a finding from a cluster's audit log."""
    return {"kubernetesDetails": {"kubernetesUserDetails": {"username": user}}, "eksClusterDetails": {"vpcId": vpc}}


def test_a_nodes_own_credentials_lead_to_the_node_in_the_clusters_vpc() -> None:
    instances, (named,) = node_of(kubernetes("system:node:ip-192-0-2-17.eu-central-1.compute.internal"), field="it")
    assert instances == []
    assert (named.type, named.id) == (NODE, "ip-192-0-2-17.eu-central-1.compute.internal")
    assert named.vpc_id == "vpc-0123456789abcdef0"
    (instance,), others = node_of(
        kubernetes("system:node:i-0bbbbbbbbbbbbbbb2.eu-central-1.compute.internal"), field="it"
    )
    assert (instance.instance_id, instance.vpc_id, others) == ("i-0bbbbbbbbbbbbbbb2", "vpc-0123456789abcdef0", ())
    _, (anywhere,) = node_of(kubernetes("system:node:ip-192-0-2-17.ec2.internal", vpc="somewhere"), field="it")
    assert anywhere.vpc_id is None


@pytest.mark.parametrize(
    "user",
    ["mallory", "system:node:", "system:node:fargate-ip-192-0-2-17.eu-central-1.compute.internal", "system:node:a b", 7,
     "x-system:node:ip-192-0-2-17", "system:nodes:ip-192-0-2-17"],
)  # fmt: skip
def test_other_users_are_no_nodes(user: object) -> None:
    assert node_of(kubernetes(user), field="it") == ([], ())


# ---------------------------------------------------------------------- the events' shapes
def names_beyond_the_model(value: Any, shape: Any, where: str) -> Iterator[str]:
    """Fields that the service's own model does not have (botocore's data of GuardDuty, 2017-11-28)."""
    if shape.type_name == "list" and isinstance(value, list):
        for item in value:
            yield from names_beyond_the_model(item, shape.member, where)
    elif shape.type_name == "structure" and isinstance(value, dict):
        known = {name[:1].lower() + name[1:]: member for name, member in shape.members.items()}
        for name, child in value.items():
            if name not in known:
                yield f"{where}.{name}"
            else:
                yield from names_beyond_the_model(child, known[name], f"{where}.{name}")


@pytest.mark.parametrize("name", sorted(p.stem for p in EVENTS.glob("guardduty_*.json") if "eks" in p.stem or "ecs" in p.stem
                                        or "malware" in p.stem or "fargate" in p.stem))  # fmt: skip
def test_the_events_have_no_field_that_guarddutys_model_does_not_know(event: Any, name: str) -> None:
    model = botocore.session.get_session().get_service_model("guardduty")
    detail = event(name)["detail"]
    assert list(names_beyond_the_model(detail["resource"], model.shape_for("Resource"), "resource")) == []
    sequence = detail["service"].get("detection", {}).get("sequence", {})
    assert list(names_beyond_the_model(sequence, model.shape_for("Sequence"), "sequence")) == []


# ---------------------------------------------------------------------- through the reader
@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("guardduty_runtime_fargate", SubjectKind.FARGATE_TASK),
        ("guardduty_eks_pod", SubjectKind.POD),
        ("guardduty_sequence_eks", SubjectKind.EKS_CLUSTER),
        ("guardduty_sequence_ecs", SubjectKind.FARGATE_TASK),
        ("guardduty_access_key", SubjectKind.IDENTITY),
        ("guardduty_attack_sequence_bucket", SubjectKind.STORAGE),
        ("asff_threat_on_eks", SubjectKind.CONTAINER),
    ],
)
def test_each_format_says_what_it_is_about(event: Any, read: Any, name: str, kind: SubjectKind) -> None:
    intake = read(event(name), administrators=["111122223333"])
    (told,) = intake.without_instance
    assert (told.kind, told.account_id, told.region) == (kind, "333344445555", "eu-central-1")
    assert intake.findings == () and intake.unresolved == () and told.sent_by is None


@pytest.mark.parametrize(
    ("name", "resource"),
    [
        ("guardduty_malware_ecs", ("AWS::EC2::Volume", "vol-0123456789abcdef0")),
        ("asff_threat_on_volume", ("AWS::EC2::Volume", "vol-0123456789abcdef0")),
        ("guardduty_eks_node", (NODE, "ip-192-0-2-17.eu-central-1.compute.internal")),
        ("ocsf_ecs_task", (TASK_KIND, "web/fedcba9876543210fedcba9876543210")),
    ],
)
def test_what_leads_to_an_instance_is_looked_up_first(
    event: Any, read: Any, name: str, resource: tuple[str, str]
) -> None:
    intake = read(event(name))
    (reference,) = intake.unresolved
    assert (reference.resource_type, reference.resource_id) == resource
    assert reference.otherwise is not None and intake.without_instance == ()


def test_a_sequence_names_the_nodes_of_its_cluster_and_takes_none_of_them_for_the_one(event: Any, read: Any) -> None:
    (told,) = read(event("guardduty_sequence_eks")).without_instance
    assert told.nodes == ("i-0bbbbbbbbbbbbbbb2", "i-0bbbbbbbbbbbbbbb3")


def test_an_order_keeps_its_press(event: Any, read: Any) -> None:
    (found,) = read(event("asff_action_on_snapshot"), administrators=["111122223333"]).findings
    assert (found.action, found.press) == (CustomAction.TRIAGE, "00000000-0000-4000-8000-000000000243")


# ---------------------------------------------------------------------- a case of the artifact
# GuardDuty API reference, EbsSnapshotDetails, Ec2ImageDetails, RecoveryPointDetails; AWS Backup developer guide, "Recovery points":
# those of EBS and EC2 have the ARN of the snapshot or the image.
@pytest.mark.parametrize(
    ("name", "kind", "artifact"),
    [
        ("guardduty_malware_snapshot", ArtifactKind.SNAPSHOT, "snap-0123456789abcdef0"),
        ("guardduty_malware_ami", ArtifactKind.IMAGE, "ami-0123456789abcdef0"),
        ("guardduty_malware_recovery_point", ArtifactKind.RECOVERY_POINT, "ami-0123456789abcdef0"),
        ("asff_malware_snapshot", ArtifactKind.SNAPSHOT, "snap-0123456789abcdef0"),
        ("asff_action_on_snapshot", ArtifactKind.SNAPSHOT, "snap-0123456789abcdef0"),
        ("ocsf_malware_ami", ArtifactKind.IMAGE, "ami-0123456789abcdef0"),
    ],
)
def test_a_severe_finding_about_a_snapshot_or_an_image_is_about_the_artifact(
    event: Any, read: Any, name: str, kind: ArtifactKind, artifact: str
) -> None:
    intake = read(event(name), administrators=["111122223333"])
    (found,) = intake.findings
    assert found.artifact == Artifact(kind=kind, id=artifact) and found.instance_id == artifact
    assert (found.account_id, found.region) == ("333344445555", "eu-central-1")
    assert intake.without_instance == () and intake.verdict is IntakeVerdict.ACCEPT


def test_the_same_snapshot_in_every_spelling_is_one_finding_and_a_recovery_point_says_more(
    event: Any, read: Any
) -> None:
    body = event("guardduty_malware_snapshot")
    snapshot = f"{A.rpartition(':')[0]}::snapshot/snap-0123456789abcdef0"
    body["detail"]["resource"]["recoveryPointDetails"] = {"recoveryPointArn": snapshot, "backupVaultName": "nightly"}
    (found,) = read(body).findings
    assert found.artifact is not None and found.artifact.kind is ArtifactKind.RECOVERY_POINT


def test_below_high_or_of_another_kind_or_of_an_unconfirmed_account_the_answer_stays(event: Any, read: Any) -> None:
    body = event("guardduty_malware_snapshot")
    body["detail"]["severity"] = 5.0
    assert read(body).findings == () and len(read(body).without_instance) == 1
    assert len(read(body, artifacts_from=Severity.MEDIUM).findings) == 1
    body["detail"]["severity"] = "nobody knows"
    assert len(read(body).findings) == 1, "what cannot be read falls on the side of acquiring"
    of_files = event("guardduty_malware_recovery_point")
    of_files["detail"]["resource"]["recoveryPointDetails"]["recoveryPointArn"] = (
        "arn:aws:backup:eu-central-1:333344445555:recovery-point:8f1c4d2e"
    )
    assert read(of_files).findings == () and read(of_files).without_instance[0].kind is SubjectKind.RECOVERY_POINT
    stranger = event("guardduty_malware_snapshot")
    stranger["account"] = "999988887777"
    assert read(stranger).findings == () and read(stranger).without_instance[0].sent_by == "999988887777"
    elsewhere = event("guardduty_malware_snapshot")
    elsewhere["detail"]["resource"]["ebsSnapshotDetails"]["snapshotArn"] = (
        "arn:aws:ec2:eu-west-1:333344445555:snapshot/snap-0123456789abcdef0"
    )
    assert read(elsewhere).findings == () and len(read(elsewhere).without_instance) == 1


@pytest.mark.parametrize("action", list(CustomAction))
def test_an_order_counts_whatever_the_severity_and_a_release_has_nothing_to_release(
    event: Any, read: Any, action: CustomAction
) -> None:
    body = event("asff_action_on_snapshot")
    body["detail"]["actionName"] = action.value
    body["resources"] = [name.replace("ForensicTriage", action.value) for name in body["resources"]]
    body["detail"]["findings"][0]["Severity"] = {"Label": "LOW"}
    found = read(body, administrators=["111122223333"])
    assert len(found.findings) == (action is not CustomAction.RELEASE)
    assert len(found.without_instance) == (action is CustomAction.RELEASE)


@pytest.mark.parametrize(
    "named",
    [("EbsSnapshot", "snap-1"), ("EbsSnapshot", f"{A}:image/ami-0123456789abcdef0/x"), ("Ec2Image", 7), ("EbsSnapshot", "arn:aws:ec2"),
     ("Other", "snap-0123456789abcdef0"), ("AwsBackupRecoveryPoint", "arn:aws:s3:::files")],
)  # fmt: skip
def test_what_is_no_snapshot_and_no_image_is_no_artifact(named: tuple[object, object]) -> None:
    assert subject_of([named], field="it").artifacts == ()
