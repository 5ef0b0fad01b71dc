"""KMS: grants with a name are made once, and are in effect after a moment; a foreign key is described by who it was granted to."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from moto.core.exceptions import JsonRESTError
from moto.kms.models import kms_backends
from moto.kms.responses import KmsResponse

from lab.emulator.patches import state
from lab.emulator.patches.patching import replace
from lab.emulator.patches.spreading import grants_in_effect, in_effect_at


def _create(original: Callable[[Any], str]) -> Callable[[Any], str]:
    def create_grant(self: Any) -> str:
        key = self.kms_backend.describe_key(self._get_param("KeyId"))
        name = self._get_param("Name")
        asked = (name, self._get_param("GranteePrincipal"), self._get_param("Operations"))
        for grant in list(key.grants.values()):
            # KMS API reference, CreateGrant, Name: a request that is repeated with it makes no second grant
            if name and (grant.name, grant.grantee_principal, grant.operations) == asked:
                return json.dumps({"GrantId": grant.id, "GrantToken": grant.token})
        answer = original(self)
        made = key.grants[json.loads(answer)["GrantId"]]
        most = state.current().config.kms_grant_seconds
        made.__dict__["_lab_from"] = in_effect_at("grant", most, access_key=self.get_access_key())
        return answer

    return create_grant


def _describe(original: Callable[[Any], str]) -> Callable[[Any], str]:
    def describe_key(self: Any) -> str:
        parts = str(self._get_param("KeyId")).split(":")
        if len(parts) == 6 and parts[4] != self.current_account:
            key = kms_backends[parts[4]][parts[3]].keys.get(parts[5].removeprefix("key/"))
            if key is not None and _is_waiting(key, self.current_account, self._get_param("GrantTokens")):
                raise JsonRESTError(
                    "AccessDeniedException",
                    f"User: arn:aws:iam::{self.current_account}:root is not authorized to perform: kms:DescribeKey on resource: "
                    f"{key.arn} because no resource-based policy allows the kms:DescribeKey action",
                )
        return original(self)

    return describe_key


def _list(original: Callable[[Any], str]) -> Callable[[Any], str]:
    def list_grants(self: Any) -> str:
        answer = json.loads(original(self))
        # no member of ListGrantsResponse (botocore's model, kms 2014-11-01)
        answer.pop("GrantCount", None)
        return json.dumps(answer)

    return list_grants


def _is_waiting(key: Any, account: str, tokens: list[str] | None) -> bool:
    """Whether only a grant lets this account use the key, and that is not in effect yet."""
    mine = [g for g in list(key.grants.values()) if f":{account}:" in g.grantee_principal]
    effective = {g.id for g in grants_in_effect(key, tokens=tokens)}
    return bool(mine) and account not in str(key.policy) and not any(g.id in effective for g in mine)


def apply() -> None:
    """Install the patch."""
    replace(KmsResponse, "create_grant", _create)
    replace(KmsResponse, "describe_key", _describe)
    replace(KmsResponse, "list_grants", _list)
