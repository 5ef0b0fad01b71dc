"""Reach: does every service answer in every Region that a role's work needs, from where cases run?"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from forensics import partitions
from forensics.aws.denials import Cause
from forensics.aws.reach import Answer, ReachGateway
from forensics.aws.session import AwsSession
from forensics.errors import ForensicsError
from forensics.preflight.check import BrokenError, Check, NotTriedError
from forensics.preflight.explain import action_for
from forensics.preflight.scope import PreflightScope
from forensics.settings import Settings

# A snapshot that cannot be: EBS direct answers that it does not exist, or that it is not this case's.
NO_SNAPSHOT = "snap-00000000000000000"


# The way out of the home Region (infra/cloudformation/network.yaml, Profile; infra/deployment/reach.py makes the list of names).
ABROAD = (
    "open a way to {service} in {region}: in the deployment file `parameters: {{Profile: standard}}` (or economy; closed leads nowhere) and, for "
    "a Region of targets, {region} under `member_regions`, then deploy forensics-network; in a VPC of your own, its NAT gateway or firewall"
)


@dataclass(frozen=True)
class Question:
    """A call that reads next to nothing and that a phase has for its work; ``fine`` are refusals that show the way is open."""

    service: str
    phase: str
    operation: str
    params: Mapping[str, object] = field(default_factory=dict)
    fine: frozenset[Cause] = frozenset()
    region: str = ""


MEMBER_QUESTIONS = (
    Question("ec2", "triage", "describe_volumes", {"MaxResults": 5}),
    Question("ssm", "triage", "describe_instance_information", {"MaxResults": 5}),
    Question("autoscaling", "triage", "describe_auto_scaling_instances", {"MaxRecords": 1}),
    Question("elbv2", "triage", "describe_target_groups", {"PageSize": 1}),
    Question("cloudtrail", "logs", "describe_trails"),
    # a group without the tag is refused by the role's own policy, one that is not there by Logs: both show the way
    Question(
        "logs",
        "logs",
        "filter_log_events",
        {"logGroupName": "fc-preflight", "limit": 1},
        fine=frozenset({Cause.ROLE_POLICY}),
    ),
    Question(
        "ebs",
        "acquire",
        "list_snapshot_blocks",
        {"SnapshotId": NO_SNAPSHOT, "MaxResults": 100},
        fine=frozenset({Cause.ROLE_POLICY}),
    ),
)
SECURITY_QUESTIONS = (
    Question("securityhub", "triage", "get_findings", {"MaxResults": 1}),
    Question("guardduty", "triage", "list_detectors"),
)


class ReachCheck(Check):
    """One service in one Region, asked in the name of the role that needs it."""

    name = "reach"
    limit = 30.0

    def __init__(
        self, question: Question, *, region: str, home: str, session: Callable[[], AwsSession], who: str
    ) -> None:
        super().__init__(f"{question.service} in {region}, {question.phase or 'execution'}")
        self._question = question
        self._region = region
        self._home = home
        self._session = session
        self._who = who

    def attempt(self) -> str:
        """Make the call."""
        q = self._question
        try:
            session = self._session()
        except ForensicsError as error:
            why = f"{self._who} could not be assumed, so {q.service} was not asked"
            raise NotTriedError(why, next_action="repair what the lines of `roles` say, then run it again") from error
        answer = ReachGateway.of(session).ask(q.service, q.operation, q.params)
        # "it does not exist" is an answer; the line that owns the thing says so
        if answer.cause is None or answer.cause is Cause.MISSING or answer.cause in q.fine:
            return f"{q.service} answers {self._who}"
        raise self._broken(answer)

    def _broken(self, answer: Answer) -> BrokenError:
        q = self._question
        what = f"{q.service}:{q.operation} as {self._who}: {answer.cause}: {answer.code} {answer.text}".strip()
        action = action_for(answer.cause) if answer.cause else ""
        if answer.cause is Cause.UNREACHABLE and self._region != self._home:
            action = ABROAD.format(service=q.service, region=self._region)
        return BrokenError(what, next_action=action)


def own_questions(settings: Settings) -> Iterator[Question]:
    """What Airflow's own role needs at home; STS comes first, because nothing works without it."""
    key = {"PK": {"S": "CASE#fc-preflight"}, "SK": {"S": "REACH"}}
    yield Question("sts", "", "get_caller_identity")
    yield Question("dynamodb", "", "get_item", {"TableName": settings.case_table, "Key": key})
    for url in filter(None, (settings.queue_url, settings.urgent_queue_url)):
        yield Question("sqs", "", "get_queue_attributes", {"QueueUrl": url, "AttributeNames": ["QueueArn"]})
    yield Question("sns", "", "get_topic_attributes", {"TopicArn": settings.topic_arn})
    # S3 does not say "not there" to who may not list; a HEAD would not say whose policy refused
    get = {"Bucket": settings.tools_bucket, "Key": settings.capture_tool_key, "Range": "bytes=0-0"}
    yield Question("s3", "", "get_object", get, fine=frozenset({Cause.ROLE_POLICY, Cause.KEY}))


def forensic_questions(settings: Settings) -> Iterator[Question]:
    """What the roles of the forensic account need at home."""
    yield Question("kms", "custodian", "get_public_key", {"KeyId": settings.signing_key_id})
    yield Question("ec2", "analyse", "describe_volumes", {"MaxResults": 5})
    yield Question("ssm", "analyse", "describe_instance_information", {"MaxResults": 5})


def member_questions(settings: Settings) -> Iterator[Question]:
    """What the member accounts' roles need in each Region, and IAM in its one Region."""
    yield from MEMBER_QUESTIONS
    # any answer about the alias shows the way; the line of `keys` says whether the key is there
    fine = frozenset({Cause.ROLE_POLICY, Cause.RESOURCE_POLICY, Cause.KEY})
    yield Question("kms", "acquire", "describe_key", {"KeyId": settings.member_key_alias}, fine=fine)
    role = f"{settings.role_prefix}contain"
    yield Question(
        "iam",
        "contain",
        "list_role_policies",
        {"RoleName": role, "MaxItems": 1},
        region=partitions.of(settings.region).iam_region,
    )


def reach_checks(scope: PreflightScope) -> Iterator[ReachCheck]:
    """Every (service, Region) once for each role that needs it, in the first account that has the role."""
    s = scope.settings
    seen: set[str] = set()
    places = [("", s.region, q) for q in [*own_questions(s), *forensic_questions(s)]]
    places += [(a, s.region, q) for a in scope.security_accounts[:1] for q in SECURITY_QUESTIONS]
    places += [(a, r, q) for a in scope.members[:1] for r in scope.regions for q in member_questions(s)]
    for account, region, question in places:
        where = question.region or region
        who = f"role {s.role_prefix}{question.phase or 'execution'} of {account or s.forensic_account_id}"
        subject = f"{question.service} {where} {question.phase}"
        if subject in seen:
            continue
        seen.add(subject)
        session = _session(scope, account, region, question.phase)
        yield ReachCheck(question, region=where, home=s.region, session=session, who=who)


def _session(scope: PreflightScope, account: str, region: str, phase: str) -> Callable[[], AwsSession]:
    return lambda: scope.phase(phase, account_id=account, region=region) if phase else scope.own()
