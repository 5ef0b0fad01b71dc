"""What a person does about a containment that is not complete: what fits what is open, and nothing else. Pure."""

from __future__ import annotations

from forensics.models.containment import ContainmentResult

CLEAR = "clear containment.isolate_target in the case's run"
ISOLATE = f"isolate the instance manually now, then {CLEAR}"
END_CREDENTIALS = (
    "leave the network as it is, it is closed; end the credentials that are named: in IAM, on the role of the instance profile,"
    " “Revoke active sessions”, or an inline policy that denies everything to aws:userid *:<instance id>; open the path to IAM"
    f" where it is missing (docs/deployment.md), then {CLEAR}"
)
SEAL = (
    "leave the target as it is, it is isolated; when KMS and the evidence store answer again,"
    f" {CLEAR}: it seals the restore point, without which nothing is released"
)
FINISH = f"leave the network as it is, it is closed; remove the cause of what is named as open, then {CLEAR}"


def next_action(result: ContainmentResult) -> str:
    """The next action for a result that is not complete: isolating manually is asked for only while the network is open."""
    if not result.network_closed:
        return ISOLATE
    if result.credentials_open:
        return END_CREDENTIALS
    return SEAL if result.unsealed and result.reason == result.unsealed else FINISH
