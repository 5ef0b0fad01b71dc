"""Resources lead to their instances, and stolen credentials to the Region of theirs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from botocore.exceptions import EndpointConnectionError
from botocore.stub import Stubber

from forensics.aws.ecs import EcsGateway, TaskHost
from forensics.errors import AccessDeniedError, AwsError, ThrottledError, UnreachableError
from forensics.intake.instance_resolver import MOST_INSTANCES, InstanceResolver
from forensics.intake.readers.subjects import NODE, TASK
from forensics.models.intake import IntakeResult, IntakeVerdict, UnresolvedFinding
from tests.unit.builders import ACCOUNT, INSTANCE, REGION, finding
from tests.unit.intake.test_without_instance import item
from tests.unit.moto_store import KEYS, make_client

OTHER = "i-0bbbbbbbbbbbbbbb2"
VOLUME, INTERFACE, GROUP = "vol-0123456789abcdef0", "eni-0123456789abcdef0", "sg-0123456789abcdef0"


def unresolved(kind: str, identifier: str) -> IntakeResult:
    """An event about a resource that is attached to an instance."""
    template = finding(instance_id="i-00000000")
    reference = UnresolvedFinding(resource_type=kind, resource_id=identifier, template=template)
    return IntakeResult(verdict=IntakeVerdict.IGNORE, reason="no instance", unresolved=(reference,))


@pytest.fixture
def ec2() -> Iterator[Stubber]:
    """EC2 that answers what a test has put down."""
    with ExitStack() as stack:
        stubber = stack.enter_context(Stubber(make_client("ec2")))
        yield stubber
        stubber.assert_no_pending_responses()


def no_ecs(account: str, region: str) -> EcsGateway:
    """Nobody asks about tasks."""
    pytest.fail("ECS is asked")


class Tasks(EcsGateway):
    """ECS with one answer."""

    def __init__(self, answer: TaskHost | AwsError) -> None:
        self.answer = answer

    def host(self, cluster: str, task: str) -> TaskHost:
        assert (cluster, task) == ("web", "fedcba9876543210fedcba9876543210")
        if isinstance(self.answer, AwsError):
            raise self.answer
        return self.answer


def of_task(ec2: Stubber, answer: TaskHost | AwsError) -> IntakeResult:
    """A finding about a task, completed."""

    def ecs(account: str, region: str) -> EcsGateway:
        assert (account, region) == (ACCOUNT, REGION)
        return Tasks(answer)

    reference = unresolved(TASK, "web/fedcba9876543210fedcba9876543210").unresolved[0]
    asked = IntakeResult(
        verdict=IntakeVerdict.IGNORE, reason="x", unresolved=(reference.model_copy(update={"otherwise": item()}),)
    )
    return InstanceResolver(lambda account, region: ec2.client, ecs=ecs).complete(asked)


def test_a_task_leads_to_its_container_instance(ec2: Stubber) -> None:
    result = of_task(ec2, TaskHost(INSTANCE))
    (found,) = result.findings
    assert (found.instance_id, found.found_by) == (INSTANCE, f"{TASK} web/fedcba9876543210fedcba9876543210")
    assert result.without_instance == () and result.reason.endswith(f"runs on {INSTANCE}")


@pytest.mark.parametrize(
    "answer",
    [
        TaskHost(why="it runs on a machine of AWS"),
        AccessDeniedError("it runs on a machine of AWS"),
        UnreachableError("it runs on a machine of AWS"),
    ],
)
def test_people_are_told_of_a_task_without_an_instance_and_of_one_that_nobody_can_ask_about(
    ec2: Stubber, answer: TaskHost | AwsError
) -> None:
    (told,) = of_task(ec2, answer).without_instance
    assert "it runs on a machine of AWS" in told.why


def test_a_busy_ecs_is_asked_again(ec2: Stubber) -> None:
    with pytest.raises(ThrottledError):
        of_task(ec2, ThrottledError("later"))


def resolver(stub: Stubber) -> InstanceResolver:
    """The same client for every account and Region."""
    return InstanceResolver(lambda account, region: stub.client, ecs=no_ecs)


def test_a_volume_leads_to_its_instance(ec2: Stubber) -> None:
    attached = [{"Attachments": [{"InstanceId": INSTANCE}, {}]}]
    ec2.add_response("describe_volumes", {"Volumes": attached}, {"VolumeIds": [VOLUME]})
    result = resolver(ec2).complete(unresolved("AWS::EC2::Volume", VOLUME))
    assert (result.verdict, result.unresolved) == (IntakeVerdict.ACCEPT, ())
    assert [f.instance_id for f in result.findings] == [INSTANCE]
    assert result.reason == f"AWS::EC2::Volume {VOLUME} is attached to {INSTANCE}"


def test_an_interface_leads_to_its_instance(ec2: Stubber) -> None:
    interfaces = [{"Attachment": {"InstanceId": INSTANCE}}]
    asked = {"NetworkInterfaceIds": [INTERFACE]}
    ec2.add_response("describe_network_interfaces", {"NetworkInterfaces": interfaces}, asked)
    result = resolver(ec2).complete(unresolved("AWS::EC2::NetworkInterface", INTERFACE))
    assert [f.instance_id for f in result.findings] == [INSTANCE]


def group_of(ec2: Stubber, *instances: str) -> None:
    interfaces = [{"Attachment": {"InstanceId": instance}} for instance in instances]
    asked = {"Filters": [{"Name": "group-id", "Values": [GROUP]}]}
    ec2.add_response("describe_network_interfaces", {"NetworkInterfaces": [*interfaces, {}]}, asked)


def test_a_group_leads_to_every_instance_once(ec2: Stubber) -> None:
    group_of(ec2, OTHER, INSTANCE, OTHER)
    result = resolver(ec2).complete(unresolved("AWS::EC2::SecurityGroup", GROUP))
    assert [f.instance_id for f in result.findings] == [INSTANCE, OTHER]
    assert len({f.key for f in result.findings}) == 2


def test_a_group_of_many_instances_is_a_matter_of_configuration(ec2: Stubber) -> None:
    group_of(ec2, *(f"i-{n:017x}" for n in range(MOST_INSTANCES + 1)))
    result = resolver(ec2).complete(unresolved("AWS::EC2::SecurityGroup", GROUP))
    assert (result.verdict, result.findings) == (IntakeVerdict.IGNORE, ())
    assert "is attached to 21 instances: a matter of configuration" in result.reason


@pytest.mark.parametrize("gone", [False, True])
def test_what_is_not_attached_or_gone_is_ignored_with_the_reason(ec2: Stubber, gone: bool) -> None:
    if gone:
        ec2.add_client_error("describe_volumes", "InvalidVolume.NotFound")
    else:
        ec2.add_response("describe_volumes", {"Volumes": [{"Attachments": []}]})
    result = resolver(ec2).complete(unresolved("AWS::EC2::Volume", VOLUME))
    assert (result.verdict, result.findings) == (IntakeVerdict.IGNORE, ())
    assert result.reason == f"AWS::EC2::Volume {VOLUME} is not attached to an instance"


NODE_NAME = "ip-192-0-2-17.eu-central-1.compute.internal"


@pytest.mark.parametrize("vpc", ["vpc-0123456789abcdef0", None])
def test_a_nodes_name_leads_to_its_instance_in_the_clusters_vpc(ec2: Stubber, vpc: str | None) -> None:
    filters = [{"Name": "private-dns-name", "Values": [NODE_NAME]}]
    filters += [{"Name": "vpc-id", "Values": [vpc]}] if vpc else []
    ec2.add_response(
        "describe_instances", {"Reservations": [{"Instances": [{"InstanceId": INSTANCE}]}]}, {"Filters": filters}
    )
    asked = unresolved(NODE, NODE_NAME)
    template = asked.unresolved[0].template.model_copy(update={"vpc_id": vpc})
    reference = asked.unresolved[0].model_copy(update={"template": template})
    result = resolver(ec2).complete(asked.model_copy(update={"unresolved": (reference,)}))
    assert [f.instance_id for f in result.findings] == [INSTANCE]
    assert result.reason == f"{NODE} {NODE_NAME} is {INSTANCE}"


def with_answer(*volumes: str) -> IntakeResult:
    """A finding about volumes, with what people are told when none is attached."""
    reference = unresolved("AWS::EC2::Volume", VOLUME).unresolved[0].model_copy(update={"otherwise": item()})
    references = tuple(reference.model_copy(update={"resource_id": volume}) for volume in volumes)
    return IntakeResult(verdict=IntakeVerdict.IGNORE, reason="no instance", unresolved=references)


def test_what_leads_nowhere_is_answered_once_with_the_reason(ec2: Stubber) -> None:
    for _ in range(2):
        ec2.add_response("describe_volumes", {"Volumes": [{"Attachments": []}]})
    result = resolver(ec2).complete(with_answer(VOLUME, "vol-0fedcba9876543210"))
    (told,) = result.without_instance
    assert (result.verdict, result.findings) == (IntakeVerdict.IGNORE, ())
    assert told.why == f"AWS::EC2::Volume {VOLUME} is not attached to an instance"


def test_what_leads_to_an_instance_needs_no_answer(ec2: Stubber) -> None:
    for attachments in ([], [{"InstanceId": INSTANCE}], []):
        ec2.add_response("describe_volumes", {"Volumes": [{"Attachments": attachments}]})
    result = resolver(ec2).complete(with_answer(VOLUME, "vol-0fedcba9876543210", "vol-0fedcba9876543211"))
    assert [f.instance_id for f in result.findings] == [INSTANCE] and result.without_instance == ()


def test_a_node_that_is_gone_is_answered(ec2: Stubber) -> None:
    ec2.add_response("describe_instances", {"Reservations": []})
    reference = unresolved(NODE, NODE_NAME).unresolved[0].model_copy(update={"otherwise": item()})
    asked = IntakeResult(verdict=IntakeVerdict.IGNORE, reason="no instance", unresolved=(reference,))
    (told,) = resolver(ec2).complete(asked).without_instance
    assert told.why == f"{NODE} {NODE_NAME} is no instance that EC2 knows"


def test_a_refusal_is_raised_so_that_the_message_is_processed_again(ec2: Stubber) -> None:
    ec2.add_client_error("describe_volumes", "UnauthorizedOperation")
    with pytest.raises(AccessDeniedError, match=f"find the instance of {VOLUME} in account {ACCOUNT}, {REGION}"):
        resolver(ec2).complete(unresolved("AWS::EC2::Volume", VOLUME))


def test_an_ordinary_result_costs_no_call(ec2: Stubber) -> None:
    result = IntakeResult(verdict=IntakeVerdict.ACCEPT, reason="1 accepted", findings=(finding(),))
    assert resolver(ec2).complete(result) is result


class Far:
    """EC2 of a Region whose name leads nowhere from the pipeline's network."""

    def describe_instances(self, **_: object) -> object:
        """What botocore raises."""
        raise EndpointConnectionError(endpoint_url="https://ec2.us-east-1.amazonaws.com/")


class Regions:
    """EC2 per Region: answers where the instance is; ``denied`` Regions refuse, to ``far`` ones there is no way."""

    def __init__(self, *, at: str | None, denied: tuple[str, ...] = (), far: tuple[str, ...] = ()) -> None:
        self._at, self._denied, self._far = at, denied, far
        self.asked: list[str] = []

    def client(self, account: str, region: str) -> object:
        import boto3

        client = boto3.session.Session(**KEYS).client("ec2")
        stub = Stubber(client)
        self.asked.append(region)
        if region in self._far:
            return Far()
        names = ("eu-central-1", "eu-west-1", "us-east-1")
        if len(self.asked) == 2:
            stub.add_response("describe_regions", {"Regions": [{"RegionName": name} for name in names]}, {})
        elif region in self._denied:
            stub.add_client_error("describe_instances", "UnauthorizedOperation")
        else:
            stub.add_response("describe_instances", {"Reservations": [{}] if region == self._at else []})
        stub.activate()
        return client


def stolen() -> IntakeResult:
    """Credentials of an instance that were used in us-east-1."""
    item = finding(region="us-east-1")
    return IntakeResult(verdict=IntakeVerdict.ACCEPT, reason="1 accepted", findings=(item,), unplaced=(item.key,))


def test_stolen_credentials_lead_to_the_region_of_their_instance() -> None:
    regions = Regions(at="eu-west-1", denied=("eu-central-1",))
    result = InstanceResolver(regions.client, ecs=no_ecs).complete(stolen())  # type: ignore[arg-type]
    assert [f.region for f in result.findings] == ["eu-west-1"]
    assert result.findings[0].key != stolen().findings[0].key and result.unplaced == ()
    assert regions.asked == ["us-east-1", "us-east-1", "eu-central-1", "eu-west-1"]


def test_an_instance_that_is_nowhere_keeps_the_findings_region() -> None:
    regions = Regions(at=None)
    (found,) = InstanceResolver(regions.client, ecs=no_ecs).complete(stolen()).findings  # type: ignore[arg-type]
    assert found.region == "us-east-1"


def test_a_region_out_of_reach_does_not_hide_the_instance_at_home() -> None:
    """Credentials of an instance at home are used from a Region that the network does not lead to (not among member_regions)."""
    regions = Regions(at="eu-central-1", far=("us-east-1",))
    (found,) = InstanceResolver(regions.client, ecs=no_ecs, home="eu-central-1").complete(stolen()).findings  # type: ignore[arg-type]
    assert found.region == "eu-central-1"
    assert regions.asked == ["us-east-1", "eu-central-1", "eu-central-1"]


def test_an_instance_that_is_in_no_region_in_reach_keeps_the_findings_region() -> None:
    regions = Regions(at=None, far=("us-east-1", "eu-west-1"))
    (found,) = InstanceResolver(regions.client, ecs=no_ecs, home="eu-central-1").complete(stolen()).findings  # type: ignore[arg-type]
    assert found.region == "us-east-1"
