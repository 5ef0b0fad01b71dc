"""Carries out the calls of containment and release plans, and nothing else: every allowed operation is listed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self, cast

from forensics.aws.error_map import aws_errors, error_code
from forensics.aws.session import AwsSession
from forensics.aws.visibility import GONE_AFTER, when_visible
from forensics.containment.facts_reader import FactsReader
from forensics.containment.quarantine_groups import CaseGroups
from forensics.errors import AwsError, ContainmentError, ResourceGoneError
from forensics.models.containment import ApiCall

if TYPE_CHECKING:
    from mypy_boto3_autoscaling import AutoScalingClient
    from mypy_boto3_ec2 import EC2Client
    from mypy_boto3_elb import ElasticLoadBalancingClient
    from mypy_boto3_elbv2 import ElasticLoadBalancingv2Client
    from mypy_boto3_iam import IAMClient

    ApiClient = EC2Client | AutoScalingClient | ElasticLoadBalancingClient | ElasticLoadBalancingv2Client | IAMClient

ALLOWED = {
    "ec2": frozenset(
        {
            "modify_instance_attribute", "modify_instance_maintenance_options", "modify_instance_metadata_options",
            "modify_network_interface_attribute", "create_security_group", "delete_security_group",
            "authorize_security_group_ingress", "authorize_security_group_egress",
            "revoke_security_group_ingress", "revoke_security_group_egress",
            "associate_address", "disassociate_address",
            "associate_iam_instance_profile", "disassociate_iam_instance_profile",
            "replace_iam_instance_profile_association", "create_tags", "delete_tags",
        }
    ),
    "autoscaling": frozenset(
        {
            "set_instance_protection", "enter_standby", "exit_standby", "detach_instances", "attach_instances",
            "set_desired_capacity", "update_auto_scaling_group",
        }
    ),
    "elb": frozenset(
        {"deregister_instances_from_load_balancer", "register_instances_with_load_balancer"}
    ),
    "elbv2": frozenset({"deregister_targets", "register_targets"}),
    "iam": frozenset({"put_role_policy", "delete_role_policy"}),
}  # fmt: skip
# Codes that say that the change is there already, by operation: an earlier try made it and its answer was lost.
ALREADY = {
    "disassociate_address": frozenset({"InvalidAssociationID.NotFound"}),
    "disassociate_iam_instance_profile": frozenset({"NoSuchAssociation", "InvalidAssociationID.NotFound"}),
    "delete_security_group": frozenset({"InvalidGroup.NotFound"}),
    "delete_role_policy": frozenset({"NoSuchEntity"}),
    "deregister_targets": frozenset({"InvalidTarget"}),
    "deregister_instances_from_load_balancer": frozenset({"InvalidInstance"}),
    "authorize_security_group_ingress": frozenset({"InvalidPermission.Duplicate"}),
    "authorize_security_group_egress": frozenset({"InvalidPermission.Duplicate"}),
    "revoke_security_group_ingress": frozenset({"InvalidPermission.NotFound"}),
    "revoke_security_group_egress": frozenset({"InvalidPermission.NotFound"}),
}
# What EC2 answers about a group that it has just made and does not know everywhere (EC2 developer guide, "Eventual
# consistency"), and for how many seconds it is asked again: the target is open until then.
NEW_GROUP = frozenset({"InvalidGroup.NotFound", "InvalidGroupId.NotFound"})
GROUP_SECONDS = 30.0


@dataclass(frozen=True)
class ContainmentGateway:
    """The target's account for containment and release: what is read and what is changed.

    ``clients`` are boto3's, by its names of the services. ``role_arn`` is the role whose permissions these are; empty:
    there is no role that IAM could be asked about.
    """

    facts: FactsReader
    clients: Mapping[str, ApiClient]
    role_arn: str = ""

    @classmethod
    def of(cls, session: AwsSession) -> Self:
        """What containment and release read and change, under the session's role (``contain`` or ``release``)."""
        clients: dict[str, ApiClient] = {
            "ec2": session.ec2,
            "autoscaling": session.autoscaling,
            "elb": session.elb,
            "elbv2": session.elbv2,
            "iam": session.iam,
        }
        return cls(facts=FactsReader.of(session), clients=clients, role_arn=session.role_arn)

    def api_name(self, call: ApiCall) -> str:
        """A call's name in the API: ``EnterStandby``."""
        return str(self.clients[call.service].meta.method_to_api_mapping[call.operation])

    def has_dry_run(self, call: ApiCall) -> bool:
        """Whether AWS can be asked about this call without making it."""
        model = self.clients[call.service].meta.service_model
        shape = model.operation_model(self.api_name(call)).input_shape
        return shape is not None and "DryRun" in shape.members

    def perform(self, call: ApiCall, *, ids: Mapping[str, str]) -> str | None:
        """Carry out one call; ``ids`` are what placeholders stand for, and groups of the case. Returns the id of a group that it made, else None.

        Raises :class:`AwsError`. A change that is there already is not an error.
        """
        if call.operation not in ALLOWED.get(call.service, ()):
            msg = f"{call} is not a call that containment may make"
            raise ContainmentError(msg, next_action="this is a defect of the plan: isolate the target manually")
        where = f"in account {self.facts.ec2.account_id}, {self.facts.ec2.region}"
        params = {name: _filled(value, ids) for name, value in call.params.items()}

        def send() -> Mapping[str, object]:
            with aws_errors(f"{call} {_short(params)} {where}"):
                return cast("Mapping[str, object]", getattr(self.clients[call.service], call.operation)(**params))

        # a placeholder or an id of ``ids`` stands for a group that this case made, a moment ago perhaps
        of_a_new_group = any(name in str(call.params) for name in ids)
        # one that is deleted may also be gone by an earlier try: it is not waited for as long
        patience = GONE_AFTER if call.operation == "delete_security_group" else GROUP_SECONDS
        try:
            answer = when_visible(send, codes=NEW_GROUP, seconds=patience) if of_a_new_group else send()
        except AwsError as error:
            if error_code(error) in ALREADY.get(call.operation, ()) or _has_a_profile(call, error):
                return None
            if call.operation == "create_security_group" and error_code(error) == "InvalidGroup.Duplicate":
                return self._made_before(params)
            raise
        return str(answer["GroupId"]) if call.operation == "create_security_group" else None

    def _made_before(self, params: Mapping[str, object]) -> str:
        """The id of the group of exactly this name: an earlier call made it and its answer was lost.

        EC2 may show the group or its tags late; one without the case's tags is somebody else's.
        """
        name, vpc_id = str(params["GroupName"]), params["VpcId"]
        groups = CaseGroups.named(name)

        def look() -> str:
            for group in self.facts.facts.own_groups(case_id=groups.case_id, token=groups.token):
                if group.name == name and group.vpc_id == vpc_id:
                    return group.id
            raise ResourceGoneError(f"no group of this case is called {name}")

        try:
            return when_visible(look, seconds=GROUP_SECONDS)
        except ResourceGoneError as error:
            msg = f"a security group {name} exists in {vpc_id} and was not made for this case: it is not used"
            raise ContainmentError(msg) from error


def _has_a_profile(call: ApiCall, error: AwsError) -> bool:
    """Whether the instance has a profile already, perhaps by an earlier try whose answer was lost; which one is read back afterwards.

    IncorrectState alone says less: an instance that is terminated answers it as well.
    """
    wanted = call.operation == "associate_iam_instance_profile" and error_code(error) == "IncorrectState"
    return wanted and "existing association" in str(error)


def _filled(value: object, ids: Mapping[str, str]) -> object:
    if isinstance(value, dict):
        return {k: _filled(v, ids) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_filled(v, ids) for v in value]
    if isinstance(value, str) and value.startswith("${"):
        if value not in ids:
            msg = f"{value} does not exist: the step that makes it failed"
            raise ContainmentError(msg)
        return ids[value]
    return value


def _short(params: Mapping[str, object]) -> str:
    """What a call is about, for messages: its ids, without documents and rules."""
    ids = {k: v for k, v in params.items() if isinstance(v, str) and k != "PolicyDocument"}
    return ", ".join(f"{k}={v}" for k, v in ids.items())
