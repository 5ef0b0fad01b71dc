"""STS: a role is assumed only by whom its trust policy names, under the conditions it sets."""

from __future__ import annotations

import base64
import fnmatch
import json
import secrets
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from xml.sax.saxutils import escape

from moto.core.responses import ActionResult
from moto.iam.models import iam_backends
from moto.sts import models
from moto.sts.exceptions import STSValidationError
from moto.sts.models import sts_backends
from moto.sts.responses import TokenResponse
from moto.utilities.utils import get_partition
from werkzeug.exceptions import HTTPException

from lab.emulator.iam import sessions
from lab.emulator.patches import accounts, state
from lab.emulator.patches.patching import replace

CHAINED_SECONDS = 3600
ROLE_SECONDS = 6 * 3600
TOKEN_BYTES = (1500, 4097)


class AccessDenied(HTTPException):
    """AWS's answer to a caller whom the trust policy does not allow: 403 with its code and message."""

    code = 403

    def __init__(self, principal: str, action: str, role_arn: str) -> None:
        text = escape(f"User: {principal} is not authorized to perform: {action} on resource: {role_arn}")
        super().__init__(
            f"<ErrorResponse><Error><Type>Sender</Type><Code>AccessDenied</Code><Message>{text}</Message></Error>"
            f"<RequestId>lab</RequestId></ErrorResponse>"
        )

    def get_headers(self, *_args: Any, **_kwargs: Any) -> list[tuple[str, str]]:
        return [("Content-Type", "text/xml"), ("X-Amzn-ErrorType", "AccessDenied")]


def caller_arns(access_key: str, account: str) -> list[str]:
    """Every ARN by which a trust policy can name the caller, the one AWS shows in messages first."""
    root = f"arn:aws:iam::{account}:root"
    found = accounts.find_key(access_key)
    if found is None:
        return [root]
    key = found[1]
    if key.role_arn:
        session = sts_backends[account]["aws"].get_assumed_role_from_access_key(access_key)
        shown = [session.arn] if session is not None else []
        return [*shown, key.role_arn, root]
    return [f"arn:aws:iam::{account}:user/{key.user_name}", root]


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _names_caller(statement: dict[str, Any], names: list[str], account: str) -> bool:
    principal = statement.get("Principal", {})
    if principal == "*":
        return True
    wanted = _listed(principal.get("AWS", [])) if isinstance(principal, dict) else []
    return any(p in ("*", account) or p in names for p in wanted)


def _allows_action(statement: dict[str, Any], action: str) -> bool:
    return any(fnmatch.fnmatchcase(action.lower(), pattern.lower()) for pattern in _listed(statement.get("Action", [])))


def _condition_holds(operator: str, wanted: list[str], actual: str | None) -> bool:
    if_exists = operator.endswith("IfExists")
    base = operator.removesuffix("IfExists")
    if actual is None:
        return if_exists or base in ("StringNotEquals", "StringNotLike", "ArnNotEquals", "ArnNotLike")
    if base in ("StringEquals", "ArnEquals"):
        return actual in wanted
    if base in ("StringLike", "ArnLike"):
        return any(fnmatch.fnmatchcase(actual, pattern) for pattern in wanted)
    if base in ("StringNotEquals", "ArnNotEquals"):
        return actual not in wanted
    if base in ("StringNotLike", "ArnNotLike"):
        return not any(fnmatch.fnmatchcase(actual, pattern) for pattern in wanted)
    if base == "StringEqualsIgnoreCase":
        return actual.lower() in [w.lower() for w in wanted]
    # an operator that the lab does not know never allows anything
    return False


def _conditions_hold(statement: dict[str, Any], context: dict[str, str | None]) -> bool:
    known = {name.lower(): value for name, value in context.items()}
    for operator, tests in (statement.get("Condition") or {}).items():
        for name, value in tests.items():
            wanted = [str(item) for item in _listed(value)]
            if operator == "Null":
                if (known.get(name.lower()) is None) != (wanted[0].lower() == "true"):
                    return False
            elif not _condition_holds(operator, wanted, known.get(name.lower())):
                return False
    return True


def _matching(policy: dict[str, Any], action: str, names: list[str], context: dict[str, Any]) -> Iterator[str]:
    for statement in _listed(policy.get("Statement", [])):
        if (
            _allows_action(statement, action)
            and _names_caller(statement, names, str(context["aws:PrincipalAccount"]))
            and _conditions_hold(statement, context)
        ):
            yield statement.get("Effect", "Allow")


def _find_role(role_arn: str, partition: str) -> Any:
    parts = role_arn.split(":")
    if len(parts) != 6 or not parts[5].startswith("role/"):
        raise STSValidationError(f"{role_arn} is invalid")
    roles = iam_backends[parts[4]][partition].roles.values()
    return next((role for role in roles if role.arn == role_arn), None)


def _check(response: Any, role_arn: str) -> None:
    account, partition = response.current_account, get_partition(response.region)
    names = caller_arns(response.get_access_key(), account)
    role = _find_role(role_arn, partition)
    policy = json.loads(role.assume_role_policy_document) if role is not None else {}
    context = {
        "sts:ExternalId": response._get_param("ExternalId"),
        "sts:SourceIdentity": response._get_param("SourceIdentity"),
        "sts:RoleSessionName": response._get_param("RoleSessionName"),
        "aws:PrincipalArn": names[1] if len(names) == 3 else names[0],
        "aws:PrincipalAccount": account,
        "aws:PrincipalOrgID": sessions.ORGANIZATION,
    }
    actions = ["sts:AssumeRole"]
    actions += ["sts:SetSourceIdentity"] if context["sts:SourceIdentity"] else []
    actions += ["sts:TagSession"] if response._get_param("Tags") else []
    for action in actions:
        effects = set(_matching(policy, action, names, context))
        if "Allow" not in effects or "Deny" in effects:
            # AWS answers the same whether the role is missing or does not trust the caller
            raise AccessDenied(names[0], action, role_arn)
    duration = int(response._get_param("DurationSeconds") or CHAINED_SECONDS)
    if ":assumed-role/" in names[0] and duration > CHAINED_SECONDS:
        raise STSValidationError(
            "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining",
        )
    if duration > int(role.max_session_duration or CHAINED_SECONDS):
        raise STSValidationError(
            "The requested DurationSeconds exceeds the MaxSessionDuration set for this role.",
        )


def _assume_role(original: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def assume_role(self: Any) -> Any:
        _check(self, self._get_param("RoleArn"))
        result = original(self)
        source_identity = self._get_param("SourceIdentity")
        caller = sessions.find(self.get_access_key())
        # the service keeps who the session is; lab.emulator.iam evaluates its calls by that
        sessions.remember(
            result.result["Credentials"].access_key_id,
            role_arn=self._get_param("RoleArn"),
            name=self._get_param("RoleSessionName"),
            source_identity=source_identity,
            policy=self._get_param("Policy"),
            place=caller.place if caller else "",
        )
        if not source_identity:
            return result
        return ActionResult({**result.result, "SourceIdentity": source_identity})

    return assume_role


def service_session(role_arn: str, *, service: str, name: str, place: str = "") -> dict[str, str]:
    """A session as an AWS service gets it for a role that trusts the service (MWAA for its execution role).

    ``place`` is where the service uses it (:mod:`lab.emulator.network`). Raises ``ValueError`` when the role does not exist or does not trust the service.
    """
    account = role_arn.split(":")[4]
    role = _find_role(role_arn, "aws")
    policy = json.loads(role.assume_role_policy_document) if role is not None else {}
    trusted = [
        p
        for statement in _listed(policy.get("Statement", []))
        for p in _listed(statement.get("Principal", {}).get("Service", []))
        if statement.get("Effect") == "Allow"
    ]
    if service not in trusted:
        msg = f"{role_arn} does not trust {service} (it trusts {trusted or 'no service'})"
        raise ValueError(msg)
    backend: Any = sts_backends[account]["aws"]
    made = backend.assume_role(
        region_name="us-east-1", role_session_name=name, role_arn=role_arn, policy=None,
        duration=int(role.max_session_duration or CHAINED_SECONDS), external_id="",
    )  # fmt: skip
    sessions.remember(made.access_key_id, role_arn=role_arn, name=name, source_identity=None, policy=None, place=place)
    return {
        "access_key_id": made.access_key_id,
        "secret_access_key": made.secret_access_key,
        "session_token": made.session_token,
    }


_held: dict[str, tuple[dict[str, str], float]] = {}
ROTATES_AT = 5 / 6


def container_credentials(role_arn: str, *, service: str, name: str) -> dict[str, str]:
    """What a task asks its agent for (Amazon ECS developer guide, "Task IAM role"): the set that the agent holds.

    It is not made for the one who asks: the first has only ``role_seconds_left`` left. Asking again gives the same set until
    a sixth of that has passed; then the agent has another, which lives for six hours.
    """
    now, left = state.monotonic(), state.current().config.role_seconds_left
    made, ends = _held.get(role_arn, ({}, 0.0))
    if not made or ends - now <= left * ROTATES_AT:
        ends = now + (ROLE_SECONDS if made else left)
        made = service_session(role_arn, service=service, name=name)
        sessions.end_at(made["access_key_id"], ends)
        _held[role_arn] = (made, ends)
    end = datetime.now(UTC) + timedelta(seconds=ends - now)
    return {
        "RoleArn": role_arn,
        "AccessKeyId": made["access_key_id"],
        "SecretAccessKey": made["secret_access_key"],
        "Token": made["session_token"],
        "Expiration": end.strftime("%Y-%m-%dT%H:%M:%SZ"),
    }


def session_token() -> str:
    """A session token: base64 of 1.5 to 4 KiB (STS API reference: the size is not fixed, "make no assumptions")."""
    size = secrets.choice(range(*TOKEN_BYTES))
    return base64.b64encode(secrets.token_bytes(size)).decode()[:size]


def apply() -> None:
    """Install the patch."""
    replace(TokenResponse, "assume_role", _assume_role)
    vars(models)["random_session_token"] = session_token
