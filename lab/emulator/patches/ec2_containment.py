"""EC2: what containment changes besides groups: attachments, connection tracking, metadata, profile, shutdown, recovery."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from moto.core.responses import ActionResult, EmptyResult
from moto.ec2.exceptions import EC2ClientError
from moto.ec2.models.elastic_network_interfaces import NetworkInterface
from moto.ec2.models.iam_instance_profile import IamInstanceProfileAssociationBackend
from moto.ec2.models.instances import Instance, InstanceBackend, MetadataOptions
from moto.ec2.responses import EC2Response

from lab.emulator.patches.ec2_instances import check_instance_ids
from lab.emulator.patches.patching import add, replace

IDLE_SECONDS = range(60, 432_001)
RECOVERY = ("default", "disabled")


def _modify_interface(original: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def modify_network_interface_attribute(self: Any) -> Any:
        attachment = self._get_param("Attachment")
        tracking = self._get_param("ConnectionTrackingSpecification")
        given = [g for g in (attachment, tracking, self._get_param("Groups")) if g]
        if len(given) > 1:
            raise EC2ClientError("InvalidParameterCombination", "Only one attribute can be modified in a call")
        if not attachment and not tracking:
            return original(self)
        interface = self.ec2_backend.get_network_interface(self._get_param("NetworkInterfaceId"))
        self.error_on_dryrun()
        if attachment:
            if attachment.get("AttachmentId") != interface.attachment_id:
                raise EC2ClientError(
                    "InvalidAttachmentID.NotFound",
                    f"The attachment '{attachment.get('AttachmentId')}' does not exist",
                )
            interface.delete_on_termination = _true(attachment.get("DeleteOnTermination"))
        if tracking:
            seconds = int(tracking["TcpEstablishedTimeout"])
            if seconds not in IDLE_SECONDS:
                raise EC2ClientError(
                    "InvalidParameterValue", f"TcpEstablishedTimeout {seconds} must be between 60 and 432000"
                )
            interface.__dict__["_lab_idle_seconds"] = seconds
        return EmptyResult()

    return modify_network_interface_attribute


def _true(value: Any) -> bool:
    return value is True or str(value).lower() == "true"


def _tracking(self: Any) -> dict[str, int] | None:
    seconds = self.__dict__.get("_lab_idle_seconds")
    return None if seconds is None else {"TcpEstablishedTimeout": seconds}


def _modify_attribute(original: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def modify_instance_attribute(self: Any) -> Any:
        behavior = self._get_param("InstanceInitiatedShutdownBehavior.Value")
        stop = self._get_param("DisableApiStop.Value")
        termination = self._get_param("DisableApiTermination.Value")
        instance_id = self._get_param("InstanceId")
        check_instance_ids([instance_id])
        instance = self.ec2_backend.get_instance(instance_id)
        if instance.state in ("terminated", "shutting-down"):
            raise EC2ClientError(
                "IncorrectInstanceState", f"The instance '{instance_id}' is not in a state in which it can be modified."
            )
        if (stop or termination) and instance.lifecycle == "spot":
            raise EC2ClientError("UnsupportedOperation", "This operation is not supported for Spot instances.")
        if behavior is None:
            return original(self)
        self.error_on_dryrun()
        instance.instance_initiated_shutdown_behavior = behavior
        return EmptyResult()

    return modify_instance_attribute


def _ask_metadata(original: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def modify_instance_metadata_options(self: Any) -> Any:
        check_instance_ids([self._get_param("InstanceId")])
        # stock moto makes the change although this is a dry run
        self.error_on_dryrun()
        return original(self)

    return modify_instance_metadata_options


def _modify_metadata(original: Callable[..., Any]) -> Callable[..., Any]:
    def modify_instance_metadata_options(self: Any, instance_id: str, *args: Any, **kwargs: Any) -> Any:
        # stock moto forgets every option that the call does not name
        before = self.get_instance(instance_id).metadata_options
        original(self, instance_id, *args, **kwargs)
        after = self.get_instance(instance_id).metadata_options
        names = [name for name in vars(MetadataOptions()) if name != "state"]
        given = {
            "http_tokens": kwargs.get("http_tokens"),
            "http_put_response_hop_limit": kwargs.get("hop_limit"),
            "http_endpoint": kwargs.get("http_endpoint"),
            "http_protocol_ipv6": kwargs.get("http_protocol"),
            "instance_metadata_tags": kwargs.get("metadata_tags"),
        }
        for name in names:
            if given.get(name) is None:
                setattr(after, name, getattr(before, name))
        return after

    return modify_instance_metadata_options


def _replace_profile(original: Callable[..., Any]) -> Callable[..., Any]:
    def replace_iam_instance_profile_association(self: Any, association_id: str, *args: Any, **kwargs: Any) -> Any:
        association = original(self, association_id, *args, **kwargs)
        # stock moto continues to describe the instance with its old profile
        association.instance.iam_instance_profile = association.iam_instance_profile
        return association

    return replace_iam_instance_profile_association


def _associate_profile(original: Callable[..., Any]) -> Callable[..., Any]:
    def associate_iam_instance_profile(self: Any, instance_id: str, *args: Any, **kwargs: Any) -> Any:
        association = original(self, instance_id, *args, **kwargs)
        association.instance.iam_instance_profile = association.iam_instance_profile
        return association

    return associate_iam_instance_profile


def _maintenance(self: Any) -> dict[str, str]:
    return {"AutoRecovery": self.__dict__.get("_lab_recovery", "default")}


def _modify_maintenance(self: Any) -> ActionResult:
    instance_id, value = self._get_param("InstanceId"), self._get_param("AutoRecovery")
    check_instance_ids([instance_id])
    instance = self.ec2_backend.get_instance(instance_id)
    if value not in RECOVERY:
        raise EC2ClientError("InvalidParameterValue", f"Value ({value}) for parameter autoRecovery is invalid.")
    self.error_on_dryrun()
    instance.__dict__["_lab_recovery"] = value
    return ActionResult({"InstanceId": instance_id, "AutoRecovery": value})


def apply() -> None:
    """Install the patch."""
    replace(EC2Response, "modify_network_interface_attribute", _modify_interface)
    replace(EC2Response, "modify_instance_attribute", _modify_attribute)
    add(NetworkInterface, "connection_tracking_configuration", property(_tracking))
    replace(EC2Response, "modify_instance_metadata_options", _ask_metadata)
    replace(InstanceBackend, "modify_instance_metadata_options", _modify_metadata)
    replace(IamInstanceProfileAssociationBackend, "replace_iam_instance_profile_association", _replace_profile)
    replace(IamInstanceProfileAssociationBackend, "associate_iam_instance_profile", _associate_profile)
    add(Instance, "maintenance_options", property(_maintenance))
    add(EC2Response, "modify_instance_maintenance_options", _modify_maintenance)
