"""From the cause of an error to what a person changes: the template, the account, the policy. Pure."""

from __future__ import annotations

from forensics.aws.denials import Cause, cause_of
from forensics.errors import ForensicsError

ACTIONS = {
    Cause.UNREACHABLE: "give the control subnets a way there and deploy forensics-endpoints: the service's endpoint in "
    "infra/cloudformation/endpoints.yaml, its security group, private DNS",
    Cause.ENDPOINT_POLICY: "add the action that the message names to the endpoint's policy (infra/cloudformation/endpoints.yaml) and deploy "
    "forensics-endpoints again",
    Cause.ORGANIZATION: "exempt the product's roles in the service control policy that forbids this, in the management account "
    "(infra/cloudformation/organization-policies.yaml shows how)",
    Cause.SESSION_POLICY: "the product's own session policy refuses it: tell the maintainers, with this line",
    Cause.ROLE_POLICY: "run drift detection on the stack of the role that the message names and deploy it again "
    "(infra/permissions.yaml lists what it needs); a permissions boundary may refuse it too",
    Cause.RESOURCE_POLICY: "compare the policy of the resource that the message names with its template and deploy its stack again",
    Cause.KEY: "look at the KMS key that the message names: it must be enabled, and its policy must allow the role "
    "(stacks forensics-keys and forensics-member-region)",
    Cause.EXPIRED: "run it again; when it stays, the identity that Airflow has is not renewed: restart the environment",
    Cause.REGION: "enable the Region in that account, or take it out of member_regions; the organization's policy may close it",
    Cause.MISSING: "deploy the stack that makes it again: the message names what is missing",
    Cause.THROTTLED: "run it again later; when it stays, raise the quota that the message names",
}


def action_for(cause: Cause) -> str:
    """What a person does about a cause."""
    return ACTIONS.get(cause, "read the message: AWS's own words say what it refused")


def next_action_for(error: ForensicsError) -> str:
    """What a person does about one of our errors: what the error itself knows of the way (``aws/remedies.py``), else by its cause."""
    cause = cause_of(error)
    knows = error.next_action != type(error).default_action
    return error.next_action if knows or cause is Cause.OTHER else action_for(cause)
