"""SSM: pinned commands, honest invocations."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.stub import Stubber

from forensics.aws.ssm import MOST_VERSIONS, TERMINAL, ExpectedCommand, FoundCommand, Invocation, SsmGateway
from forensics.errors import AwsError, ResourceGoneError
from tests.unit.builders import INSTANCE
from tests.unit.moto_store import make_client

COMMAND = "11111111-2222-3333-4444-555555555555"
SHA = "a" * 64


@pytest.fixture
def stub() -> Iterator[Stubber]:
    """SSM that answers what a test has put down."""
    with Stubber(make_client("ssm")) as stubber:
        yield stubber
        stubber.assert_no_pending_responses()


@pytest.fixture
def ssm(stub: Stubber) -> SsmGateway:
    """The gateway."""
    return SsmGateway(stub.client, account_id="333344445555", region="eu-central-1")


def invocation(**changes: Any) -> Invocation:
    """A finished command."""
    values = {"command_id": COMMAND, "instance_id": INSTANCE, "status": "Success", "exit_code": 0}
    return Invocation(**{**values, **changes})


def test_a_command_is_pinned_by_version_and_hash_and_carries_only_the_documents_parameters(
    stub: Stubber, ssm: SsmGateway
) -> None:
    stub.add_response(
        "send_command",
        {"Command": {"CommandId": COMMAND}},
        {
            "InstanceIds": [INSTANCE],
            "DocumentName": "forensics-acquire_memory_linux",
            "DocumentVersion": "3",
            "DocumentHash": SHA,
            "DocumentHashType": "Sha256",
            "Parameters": {"CaseId": ["fc-1"], "ManifestUrl": ["https://s3/m"]},
            "Comment": "c" * 100,
            "TimeoutSeconds": 120,
        },
    )
    sent = ssm.send(
        document="forensics-acquire_memory_linux",
        version="3",
        sha256=SHA,
        instance_id=INSTANCE,
        parameters={"CaseId": "fc-1", "ManifestUrl": "https://s3/m"},
        comment="c" * 150,
        timeout_seconds=3600,
    )
    assert sent == COMMAND


def test_the_version_is_a_number_and_never_default(stub: Stubber, ssm: SsmGateway) -> None:
    version(stub, "7", SHA)
    assert ssm.document_version("forensics-x", SHA) == "7"


def version(stub: Stubber, number: str, digest: str, *, latest: str = "7", asked: bool = False, **more: str) -> None:
    """SSM describes a version: the default one, unless it was asked for."""
    shown = {"DocumentVersion": number, "LatestVersion": latest, "Hash": digest.upper(), "Status": "Active", **more}
    wanted = {"Name": "forensics-x"} | ({"DocumentVersion": number} if asked else {})
    stub.add_response("describe_document", {"Document": shown}, wanted)


OTHER = "b" * 64


def test_an_account_with_newer_documents_still_runs_this_releases(stub: Stubber, ssm: SsmGateway) -> None:
    """CloudFormation's UpdateMethod NewVersion makes the new version the default one; the earlier ones stay beside it."""
    version(stub, "7", OTHER)
    version(stub, "7", OTHER, asked=True)
    stub.add_client_error("describe_document", "InvalidDocumentVersion")  # 6 was deleted
    version(stub, "5", SHA, asked=True)
    assert ssm.document_version("forensics-x", SHA) == "5"


def test_a_newer_version_that_is_not_the_default_is_found(stub: Stubber, ssm: SsmGateway) -> None:
    version(stub, "2", OTHER, latest="3")
    version(stub, "3", SHA, latest="3", asked=True)
    assert ssm.document_hash("forensics-x", SHA) == (SHA, "Active")


def test_a_release_whose_document_is_in_no_version_is_said_so(stub: Stubber, ssm: SsmGateway) -> None:
    for _ in range(2):
        version(stub, "1", OTHER, latest="1")
        version(stub, "1", OTHER, latest="1", asked=True)
    assert ssm.document_hash("forensics-x", SHA)[0] == OTHER
    with pytest.raises(
        AwsError, match=r"no version with the SHA-256 of this release, \w+…: its default version 1 has bbb"
    ) as error:
        ssm.document_version("forensics-x", SHA)
    assert "deploy the stack that has forensics-x of this release" in error.value.next_action


def test_documents_do_not_have_all_their_versions_looked_at(stub: Stubber, ssm: SsmGateway) -> None:
    newest = str(MOST_VERSIONS + 5)
    version(stub, newest, OTHER, latest=newest)
    for number in range(int(newest), 5, -1):
        version(stub, str(number), OTHER, latest=newest, asked=True)
    assert ssm.document_hash("forensics-x", SHA)[0] == OTHER


def test_an_unmanaged_instance_is_an_answer(stub: Stubber, ssm: SsmGateway) -> None:
    wanted = {"Filters": [{"Key": "InstanceIds", "Values": [INSTANCE]}]}
    stub.add_response("describe_instance_information", {"InstanceInformationList": []}, wanted)
    status = ssm.status(INSTANCE)
    assert not status.managed and not status.online


def test_the_status_of_another_instance_is_not_taken(stub: Stubber, ssm: SsmGateway) -> None:
    others = {"InstanceInformationList": [{"InstanceId": "i-0123456789abcdef1", "PingStatus": "Online"}]}
    stub.add_response("describe_instance_information", others)
    assert not ssm.status(INSTANCE).managed


def test_an_invocation_that_ssm_does_not_show_yet_is_none(stub: Stubber, ssm: SsmGateway) -> None:
    stub.add_client_error("get_command_invocation", "InvocationDoesNotExist")
    assert ssm.invocation(command_id=COMMAND, instance_id=INSTANCE) is None


def test_another_error_of_the_invocation_is_raised(stub: Stubber, ssm: SsmGateway) -> None:
    stub.add_client_error("get_command_invocation", "InternalServerError")
    with pytest.raises(AwsError, match=f"read command {COMMAND}"):
        ssm.invocation(command_id=COMMAND, instance_id=INSTANCE)


@pytest.mark.parametrize(
    ("status", "finished"),
    [
        ("Pending", False),
        ("InProgress", False),
        ("Delayed", False),
        ("Cancelling", False),
        ("Success", True),
        ("Failed", True),
        ("TimedOut", True),
        ("Cancelled", True),
    ],
)
def test_which_states_are_final(stub: Stubber, ssm: SsmGateway, status: str, finished: bool) -> None:
    stub.add_response("get_command_invocation", {"Status": status, "ResponseCode": -1})
    found = ssm.invocation(command_id=COMMAND, instance_id=INSTANCE)
    assert found and found.finished is finished


def test_every_state_of_the_api_is_known_to_be_final_or_not(ssm: SsmGateway) -> None:
    shape = make_client("ssm").meta.service_model.shape_for("CommandInvocationStatus")
    assert set(shape.enum) - TERMINAL == {"Pending", "InProgress", "Delayed", "Cancelling"}


@pytest.mark.parametrize(
    ("stdout", "line"),
    [
        ('noise\n{"status": "ok", "bytes": 3}\n', {"status": "ok", "bytes": 3}),
        ('{"status": "ok"}\ntrailing words', {"status": "ok"}),
        ('{"status": "ok"}\n{"status": "failed"}', {"status": "failed"}),
        ('{"status": "ok"}\n{"cut', {}),
        ("[1]", {}),
        ("", {}),
        ("no json", {}),
    ],
)
def test_the_status_line_is_the_last_json_line_or_nothing(stdout: str, line: dict[str, Any]) -> None:
    assert invocation(stdout=stdout).status_line() == line


@pytest.mark.parametrize("levels", [11, 900, 2_100, 100_000])
def test_a_line_that_nests_as_deep_as_its_host_likes_is_no_status_line(levels: int) -> None:
    """SSM keeps 24,000 characters of output: enough for thousands of levels, more than can be written as text again."""
    line = '{"reason":' * levels + "1" + "}" * levels
    assert invocation(stdout=line).status_line() == {}
    assert "no output" in invocation(status="Failed", exit_code=1, stdout=line).cause()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"stdout": '{"status": "failed", "reason": "no space in tmpfs"}'}, "no space in tmpfs"),
        ({"stderr": "one\nlast words\n\n"}, "last words"),
        ({"detail": "DeliveryTimedOut"}, "ended DeliveryTimedOut (exit 1): no output"),
    ],
)
def test_the_cause_is_what_the_host_said(changes: dict[str, str], words: str) -> None:
    assert words in invocation(status="Failed", exit_code=1, **changes).cause()


@pytest.mark.parametrize("where", ["stdout", "stderr"])
def test_a_presigned_url_in_the_output_never_reaches_the_case(where: str) -> None:
    url = "https://landing.s3.amazonaws.com/case/part?partNumber=1&X-Amz-Credential=A&X-Amz-Signature=5ec2e7"
    said = f'{{"status": "failed", "reason": "GET {url} failed: 403"}}' if where == "stdout" else f"curl: {url}: 403"
    cause = invocation(status="Failed", exit_code=1, **{where: said}).cause()
    assert "5ec2e7" not in cause and "X-Amz" not in cause
    assert "https://landing.s3.amazonaws.com/case/part" in cause and "403" in cause


EXPECTED = ExpectedCommand("fc-1 memory", "forensics-acquire", "a" * 64, "https://landing.example/fc-1/manifest.txt")
SIGNED = f"{EXPECTED.manifest}?X-Amz-Signature=1"


def command(number: int, **changes: Any) -> dict[str, Any]:
    """A line of ListCommands."""
    values = {
        "CommandId": COMMAND[:-1] + str(number),
        "Comment": "fc-1 memory",
        "Status": "InProgress",
        "DocumentName": EXPECTED.document,
        "DocumentVersion": "7",
        "Parameters": {"ManifestUrl": [SIGNED]},
        "RequestedDateTime": datetime(2026, 11, 24, 8, number, tzinfo=UTC),
    }
    return {**values, **changes}


def hashed(stub: Stubber, digest: str, version: str = "7") -> None:
    """EC2 is asked once for the content of a version."""
    asked = {"Name": EXPECTED.document, "DocumentVersion": version}
    stub.add_response("describe_document", {"Document": {"Hash": digest}}, asked)


def test_the_newest_living_command_that_is_the_cases_own_is_found(stub: Stubber, ssm: SsmGateway) -> None:
    pages = [
        [command(1), command(5, Status="Success")],
        [command(3, Status="Pending"), command(4, Comment="fc-2 memory")],
    ]
    stub.add_response("list_commands", {"Commands": pages[0], "NextToken": "more"}, {"InstanceId": INSTANCE})
    stub.add_response("list_commands", {"Commands": pages[1]}, {"InstanceId": INSTANCE, "NextToken": "more"})
    hashed(stub, "A" * 64)
    assert ssm.find_command(instance_id=INSTANCE, expected=EXPECTED) == FoundCommand(COMMAND[:-1] + "3")


def test_no_living_command_is_none(stub: Stubber, ssm: SsmGateway) -> None:
    stub.add_response("list_commands", {"Commands": [command(1, Status="Failed")]})
    assert ssm.find_command(instance_id=INSTANCE, expected=EXPECTED) == FoundCommand()


@pytest.mark.parametrize(
    ("listed", "looked_at", "found"),
    [
        ([command(3, Status="Success"), command(2, Status="Failed")], 1, "3"),
        ([command(3, Status="Success", Parameters={}), command(2, Status="Failed")], 2, "2"),
        ([command(1, Status="Success")], 0, None),  # from before the try began
        ([command(4, Status="Success"), command(3, Status="Success")], 0, None),  # 4 is the one that was recorded
    ],
)
def test_a_command_that_ended_before_its_id_was_written_down_is_found(
    stub: Stubber, ssm: SsmGateway, listed: list[dict[str, Any]], looked_at: int, found: str | None
) -> None:
    """Found by tests/crash: its sender died, and the next try sent a second one to the target."""
    stub.add_response("list_commands", {"Commands": listed})
    for _ in range(looked_at):
        hashed(stub, "a" * 64)
    since = datetime(2026, 11, 24, 8, 2, 30, tzinfo=UTC)  # clocks may differ by a minute
    expected = replace(EXPECTED, unrecorded_since=since, recorded=COMMAND[:-1] + "4")
    answer = ssm.find_command(instance_id=INSTANCE, expected=expected)
    assert answer == FoundCommand(COMMAND[:-1] + found if found else None)
    stub.assert_no_pending_responses()


@pytest.mark.parametrize(
    ("changes", "digest", "why"),
    [
        ({"DocumentName": "AWS-RunShellScript"}, None, "it runs the document AWS-RunShellScript"),
        ({"DocumentVersion": "$LATEST"}, None, "it names no version of forensics-acquire ($LATEST)"),
        ({"DocumentVersion": ""}, None, "it names no version of forensics-acquire (none)"),
        ({}, "b" * 64, "version 7 of forensics-acquire has SHA-256 bbb"),
        ({"Parameters": {"ManifestUrl": ["https://evil.example/fc-1/manifest.txt?x"]}}, "a" * 64, "its manifest is https://evil"),
        ({"Parameters": {}}, "a" * 64, "its manifest is none"),
    ],
)  # fmt: skip
def test_a_command_that_only_carries_the_comment_is_not_the_cases(
    stub: Stubber, ssm: SsmGateway, changes: dict[str, Any], digest: str | None, why: str
) -> None:
    """The newest is planted; the case's own, which is older, is still found."""
    stub.add_response("list_commands", {"Commands": [command(1), command(2, **changes)]})
    if digest:
        hashed(stub, digest)
    hashed(stub, "a" * 64)
    found = ssm.find_command(instance_id=INSTANCE, expected=EXPECTED)
    assert found.command_id == COMMAND[:-1] + "1"
    ((planted, said),) = found.strange
    assert planted == COMMAND[:-1] + "2" and said.startswith(why)


def test_a_missing_parameter_is_named(stub: Stubber, ssm: SsmGateway) -> None:
    stub.add_client_error("get_parameter", "ParameterNotFound")
    with pytest.raises(ResourceGoneError, match="/forensics/ami/current"):
        ssm.parameter("/forensics/ami/current")


# ---------------------------------------------------------------------- documents that are becoming, commands that nobody took
def described(stub: Stubber, *states: str) -> None:
    for state in states:
        shown = {"Document": {"DocumentVersion": "3", "Hash": SHA, "Status": state, "StatusInformation": "because"}}
        stub.add_response("describe_document", shown, {"Name": "forensics-x"})


def test_a_document_is_waited_for_until_it_is_active(stub: Stubber, ssm: SsmGateway) -> None:
    """Creating for some hundred milliseconds: radkawar/stackd, testdata/aws/ssm/managed_execution_documents.json."""
    described(stub, "Creating", "Updating", "Active")
    assert ssm.document_version("forensics-x", SHA) == "3"


def test_the_wait_for_a_document_has_an_end(stub: Stubber, ssm: SsmGateway, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("forensics.aws.ssm.ACTIVE_WITHIN", 0.0)
    described(stub, "Creating")
    with pytest.raises(AwsError, match=r"forensics-x .* is Creating: because") as error:
        ssm.document_version("forensics-x", SHA)
    assert "deploy the stack" in error.value.next_action and error.value.retryable


def test_a_document_that_failed_is_not_waited_for(stub: Stubber, ssm: SsmGateway) -> None:
    described(stub, "Failed")
    with pytest.raises(AwsError, match="is Failed"):
        ssm.document_version("forensics-x", SHA)


@pytest.mark.parametrize(
    ("shown", "undelivered"),
    [
        ({"status": "TimedOut", "detail": "DeliveryTimedOut"}, True),
        ({"status": "TimedOut", "detail": "Delivery Timed Out"}, True),
        ({"status": "Failed", "detail": "Undeliverable"}, True),
        ({"status": "TimedOut", "detail": "ExecutionTimedOut", "exit_code": 137}, False),
        ({"status": "Failed", "detail": "Undeliverable", "exit_code": 137}, False),
        ({"status": "Delayed", "detail": "Delayed"}, False),
        ({"status": "Cancelled", "detail": "Cancelled"}, False),
    ],
)
def test_only_what_no_agent_answered_is_undelivered(shown: dict[str, Any], undelivered: bool) -> None:
    assert Invocation(command_id="c", instance_id=INSTANCE, **shown).undelivered is undelivered


@pytest.mark.parametrize(
    "said",
    [
        {"stderr": "Plugin with name aws:runShellScript not found. Step name: probe"},
        {"stderr": "Plugin with name aws:runPowerShellScript is not found. Step name: probe"},
        {"stdout": "Step execution skipped due to unsupported plugin: aws:runShellScript. Step name: probe"},
    ],
)
def test_an_agent_without_plugins_means_a_full_disk(said: dict[str, str]) -> None:
    found = Invocation(command_id="c", instance_id=INSTANCE, status="Failed", detail="Failed", exit_code=1, **said)
    assert found.without_plugin and "full or read-only" in found.cause()
    assert "free space" in found.next_action("look at the output")
    told = found.model_copy(update={"stdout": '{"status":"failed","reason":"other"}'})
    assert not told.without_plugin, "a script that ran and printed the words has run"


def test_the_service_answers_as_versions_are_looked_for() -> None:
    """botocore's model: the error of a version that is not there, and the field that counts them."""
    operation = make_client("ssm").meta.service_model.operation_model("DescribeDocument")
    assert "InvalidDocumentVersion" in {shape.name for shape in operation.error_shapes}
    assert "LatestVersion" in operation.output_shape.members["Document"].members
