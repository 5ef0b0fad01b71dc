"""The target's account in memory: containment's gateway on facts that every call changes as AWS would."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Mapping
from typing import Any

from forensics.containment.call_runner import ContainmentGateway
from forensics.containment.calls import ALL_V4, DEFAULT_EGRESS
from forensics.containment.facts_reader import FactsReader
from forensics.errors import AccessDeniedError, ResourceGoneError, UnreachableError
from forensics.models.containment import ApiCall, Permission
from forensics.models.target_facts import (
    InstanceFacts,
    InterfaceFacts,
    MetadataFacts,
    OtherContainment,
    OwnGroup,
    ProfileFacts,
)
from forensics.naming import TAG_PROTECTED
from tests.unit.builders import ACCOUNT, REGION
from tests.unit.containment.targets import everything

ROLE_ARN = f"arn:aws:iam::{ACCOUNT}:role/forensics-contain"


class Account:
    """One target. ``refused`` are operations that AWS refuses; ``calls`` are those that it carried out."""

    def __init__(self, target: InstanceFacts | None = None) -> None:
        self.target = target or everything()
        self.original = self.target
        self.refused: set[str] = set()
        self.calls: list[ApiCall] = []
        self.gone = False
        # why IAM does not answer; None: it does
        self.iam_down: str | None = None
        # what was asked and changed, in order: "iam" for each question to IAM, else the operation
        self.order: list[str] = []
        self.reads = 0
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()

    def change(self, **changes: Any) -> None:
        """Change what AWS says about the target."""
        self.target = self.target.model_copy(update=changes)

    def change_interface(self, interface_id: str, **changes: Any) -> None:
        """Change one interface."""
        self.change(
            interfaces=tuple(
                i.model_copy(update=changes) if i.id == interface_id else i for i in self.target.interfaces
            )
        )

    def change_group(self, group_id: str, **changes: Any) -> None:
        """Change one of the case's groups."""
        if group_id not in {g.id for g in self.target.own_groups}:
            raise ResourceGoneError(f"{group_id} does not exist")
        self.change(
            own_groups=tuple(g.model_copy(update=changes) if g.id == group_id else g for g in self.target.own_groups)
        )

    def group(self, group_id: str) -> OwnGroup:
        """One of the case's groups."""
        return next(g for g in self.target.own_groups if g.id == group_id)

    def interface(self, interface_id: str) -> InterfaceFacts:
        """One interface."""
        return next(i for i in self.target.interfaces if i.id == interface_id)

    def carry_out(self, call: ApiCall, params: Mapping[str, Any]) -> str | None:
        """Make one call; returns the id of a new group."""
        with self._lock:
            if call.operation in self.refused:
                raise AccessDeniedError(f"{call}: refused by the test")
            self.order.append(call.operation)
            if call.service == "iam" and self.iam_down:
                raise UnreachableError(self.iam_down)
            self.calls.append(call)
            made: str | None = getattr(self, f"_{call.operation}")(params)
            return made

    @property
    def operations(self) -> list[str]:
        """What was carried out, in order."""
        return [c.operation for c in self.calls]

    # ------------------------------------------------------------------ what the calls do
    def _modify_instance_attribute(self, params: Mapping[str, Any]) -> None:
        fields = {
            "DisableApiTermination": "termination_protected",
            "DisableApiStop": "stop_protected",
            "InstanceInitiatedShutdownBehavior": "shutdown_behavior",
        }
        for attribute, field in fields.items():
            if attribute in params:
                self.change(**{field: params[attribute]["Value"]})
        wanted = {m["DeviceName"]: m["Ebs"]["DeleteOnTermination"] for m in params.get("BlockDeviceMappings", [])}
        self.change(
            volumes=tuple(
                v.model_copy(update={"delete_on_termination": wanted.get(v.device, v.delete_on_termination)})
                for v in self.target.volumes
            )
        )

    def _modify_network_interface_attribute(self, params: Mapping[str, Any]) -> None:
        changes: dict[str, Any] = {}
        if "Groups" in params:
            changes["group_ids"] = tuple(params["Groups"])
        if "Attachment" in params:
            changes["delete_on_termination"] = params["Attachment"]["DeleteOnTermination"]
        if "ConnectionTrackingSpecification" in params:
            changes["idle_timeout"] = params["ConnectionTrackingSpecification"]["TcpEstablishedTimeout"]
        self.change_interface(params["NetworkInterfaceId"], **changes)

    def _tag(self, params: Mapping[str, Any], value: str | None) -> None:
        ids = params["Resources"]
        if params["Tags"][0]["Key"] == TAG_PROTECTED:
            self.change(guarded=value)
            return
        if self.target.instance_id in ids:
            self.change(contained=value)
        for interface in self.target.interfaces:
            if interface.id in ids:
                self.change_interface(interface.id, contained=value)

    def _create_tags(self, params: Mapping[str, Any]) -> None:
        self._tag(params, params["Tags"][0]["Value"])

    def _delete_tags(self, params: Mapping[str, Any]) -> None:
        self._tag(params, None)

    def _modify_instance_maintenance_options(self, params: Mapping[str, Any]) -> None:
        self.change(auto_recovery=params["AutoRecovery"])

    def _modify_instance_metadata_options(self, params: Mapping[str, Any]) -> None:
        known = self.target.metadata or MetadataFacts(endpoint="enabled", tokens="optional")
        self.change(
            metadata=known.model_copy(update={"endpoint": params["HttpEndpoint"], "tokens": params["HttpTokens"]})
        )

    def _create_security_group(self, params: Mapping[str, Any]) -> str:
        made = OwnGroup(
            id=f"sg-new-{next(self._numbers)}",
            name=params["GroupName"],
            vpc_id=params["VpcId"],
            egress=tuple(DEFAULT_EGRESS),
        )
        self.change(own_groups=(*self.target.own_groups, made))
        return made.id

    def _delete_security_group(self, params: Mapping[str, Any]) -> None:
        self.change(own_groups=tuple(g for g in self.target.own_groups if g.id != params["GroupId"]))

    def _authorize_security_group_ingress(self, params: Mapping[str, Any]) -> None:
        self.change_group(params["GroupId"], ingress=tuple(params["IpPermissions"]))

    def _authorize_security_group_egress(self, params: Mapping[str, Any]) -> None:
        known = self.group(params["GroupId"]).egress
        self.change_group(params["GroupId"], egress=(*known, *params["IpPermissions"]))

    def _revoke_security_group_ingress(self, params: Mapping[str, Any]) -> None:
        self.change_group(params["GroupId"], ingress=())

    def _revoke_security_group_egress(self, params: Mapping[str, Any]) -> None:
        self.change_group(params["GroupId"], egress=())

    def _disassociate_address(self, params: Mapping[str, Any]) -> None:
        for interface in self.target.interfaces:
            left = tuple(a for a in interface.addresses if a.association_id != params["AssociationId"])
            self.change_interface(interface.id, addresses=left)

    def _associate_address(self, params: Mapping[str, Any]) -> None:
        given = [a for i in self.original.interfaces for a in i.addresses if a.allocation_id == params["AllocationId"]]
        renewed = given[0].model_copy(update={"association_id": "eipassoc-new"})
        self.change_interface(params["NetworkInterfaceId"], addresses=(renewed,))

    def _profile(self, name: str) -> None:
        self.change(profile=ProfileFacts(association_id="iip-new", name=name, arn="arn", role=name))

    def _replace_iam_instance_profile_association(self, params: Mapping[str, Any]) -> None:
        self._profile(params["IamInstanceProfile"]["Name"])

    def _associate_iam_instance_profile(self, params: Mapping[str, Any]) -> None:
        self._profile(params["IamInstanceProfile"]["Name"])

    def _disassociate_iam_instance_profile(self, params: Mapping[str, Any]) -> None:
        self.change(profile=None)

    def _put_role_policy(self, params: Mapping[str, Any]) -> None:
        self.change(role_policies=(*self.target.role_policies, params["PolicyName"]))

    def _delete_role_policy(self, params: Mapping[str, Any]) -> None:
        self.change(role_policies=tuple(p for p in self.target.role_policies if p != params["PolicyName"]))

    def _scaling(self, **changes: Any) -> None:
        assert self.target.scaling is not None
        self.change(scaling=self.target.scaling.model_copy(update=changes))

    def _set_instance_protection(self, params: Mapping[str, Any]) -> None:
        self._scaling(protected=params["ProtectedFromScaleIn"])

    def _enter_standby(self, params: Mapping[str, Any]) -> None:
        self._scaling(lifecycle="Standby")

    def _exit_standby(self, params: Mapping[str, Any]) -> None:
        self._scaling(lifecycle="InService")

    def _set_desired_capacity(self, params: Mapping[str, Any]) -> None:
        self._scaling(desired=params["DesiredCapacity"])

    def _update_auto_scaling_group(self, params: Mapping[str, Any]) -> None:
        self._scaling(maximum=params["MaxSize"])

    def _deregister_targets(self, params: Mapping[str, Any]) -> None:
        self.change(memberships=())

    def _register_targets(self, params: Mapping[str, Any]) -> None:
        self.change(memberships=self.original.memberships)


class Ec2InMemory:
    """What the reader's two EC2 gateways answer."""

    account_id, region = ACCOUNT, REGION

    def __init__(self, account: Account) -> None:
        self._account = account

    def own_groups(self, *, case_id: str, token: str) -> tuple[OwnGroup, ...]:
        """The case's groups."""
        return tuple(g for g in self._account.target.own_groups if case_id in g.name and g.name.endswith(token))

    def rule_count(self, group_id: str) -> int:
        """Rules of a group."""
        group = self._account.group(group_id)
        return len(group.ingress) + len(group.egress)


class IamInMemory:
    """IAM's answers: ``answers`` by action, allowed when nothing else is said."""

    def __init__(self) -> None:
        self.answers: dict[str, tuple[bool | None, str]] = {}
        self.profiles: dict[str, dict[str, str]] = {
            "forensics-isolated": {"Arn": f"arn:aws:iam::{ACCOUNT}:role/forensics-isolated"}
        }

    def simulate(self, role_arn: str, permission: Permission) -> tuple[bool | None, str]:
        """One answer."""
        assert role_arn == ROLE_ARN
        return self.answers.get(permission.action, (True, f"IAM would allow {permission}"))

    def profile_role(self, profile: str) -> dict[str, str] | None:
        """The role of a profile."""
        return self.profiles.get(profile)


class ReaderInMemory(FactsReader):
    """Reads the account's target."""

    def __init__(self, account: Account) -> None:
        ec2 = Ec2InMemory(account)
        for name, value in {"ec2": ec2, "facts": ec2, "iam": IamInMemory(), "_account": account}.items():
            object.__setattr__(self, name, value)

    def read(self, instance_id: str, *, case_id: str, token: str = "", **given: Any) -> InstanceFacts:
        """The target as it is now, with what IAM says."""
        facts = self.network(instance_id, case_id=case_id, token=token)
        original = given.get("original")
        return self.with_identity(facts, deny_profile=str(given.get("deny_profile", "")), original=original)

    def network(self, instance_id: str, *, case_id: str, token: str = "", **_: Any) -> InstanceFacts:
        """The target as EC2 knows it now."""
        account: Account = self._account  # type: ignore[attr-defined]
        account.reads += 1
        if account.gone:
            raise ResourceGoneError(f"{instance_id} does not exist")
        assert instance_id == account.target.instance_id
        account.order.append("network")
        profile = account.target.profile
        unread = profile and profile.model_copy(update={"role": None, "role_unread": True, "shared_with": ()})
        groups = self.facts.own_groups(case_id=case_id, token=token)
        return account.target.model_copy(
            update={"own_groups": groups, "profile": unread, "role_policies": (), "deny_profile_exists": False}
        )

    def begun_elsewhere(self, instance_id: str) -> tuple[OtherContainment, ...]:
        """What other deployments have closed or begun to move."""
        account: Account = self._account  # type: ignore[attr-defined]
        return (*account.target.elsewhere, *account.target.under_way)

    def with_identity(
        self, facts: InstanceFacts, *, deny_profile: str, original: InstanceFacts | None, fresh: bool = False
    ) -> InstanceFacts:
        """The target with what IAM says of it, or does not say."""
        account: Account = self._account  # type: ignore[attr-defined]
        account.order.append("iam")
        if account.iam_down:
            before = original.profile if original else None
            known = before if before and facts.profile and before.name == facts.profile.name else facts.profile
            return facts.model_copy(update={"profile": known, "iam_unknown": (account.iam_down,)})
        now, target = facts.profile, account.target
        return facts.model_copy(
            update={
                "profile": now and self.resolve(now, instance_id=facts.instance_id),
                "role_policies": target.role_policies,
                "deny_profile_exists": target.deny_profile_exists,
                "iam_unknown": target.iam_unknown,
            }
        )

    def resolve(self, profile: ProfileFacts, *, instance_id: str) -> ProfileFacts:
        """The profile with its role, which in this account has the profile's name."""
        account: Account = self._account  # type: ignore[attr-defined]
        account.order.append("iam")
        if account.iam_down:
            raise UnreachableError(account.iam_down)
        known = next(
            (p for p in (account.target.profile, account.original.profile) if p and p.name == profile.name), None
        )
        return known.model_copy(update={"association_id": profile.association_id}) if known else profile


class GatewayInMemory(ContainmentGateway):
    """Containment's gateway on an account in memory."""

    def __init__(self, account: Account, *, role_arn: str = ROLE_ARN) -> None:
        super().__init__(facts=ReaderInMemory(account), clients={}, role_arn=role_arn)
        object.__setattr__(self, "account", account)

    def perform(self, call: ApiCall, *, ids: Mapping[str, str]) -> str | None:
        """Make a call, its placeholders filled."""
        account: Account = self.account  # type: ignore[attr-defined]
        params: dict[str, Any] = dict(call.params)
        for name in ("GroupId", "Groups"):
            value = params.get(name)
            if isinstance(value, str):
                params[name] = ids.get(value, value)
            elif value:
                params[name] = [ids.get(v, v) for v in value]
        return account.carry_out(call, params)

    def has_dry_run(self, call: ApiCall) -> bool:
        """Nothing here has one: IAM is asked about every call."""
        return False

    def api_name(self, call: ApiCall) -> str:
        """The name as the API spells it."""
        return "".join(part.capitalize() for part in call.operation.split("_"))


EVERYWHERE: tuple[dict[str, object], ...] = ({"IpProtocol": "tcp", "IpRanges": [{"CidrIp": ALL_V4}]},)
