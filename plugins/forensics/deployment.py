"""Which deployment this process belongs to: the first part of every name that it makes or looks for.

Two deployments can stand in one organization, and in the same accounts: roles, tags, documents, groups, keys' aliases, event sources and
metrics of each begin with its own id (docs/deployment.md, "Two deployments"). The id has no hyphen, so that ``prod-*`` in a policy never
means what belongs to ``prodeu``.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping

OPTION = "AIRFLOW__FORENSICS__DEPLOYMENT_ID"
DEFAULT = "forensics"
# 13: Security Hub's ids of custom actions have 20 characters (CreateActionTarget). Names may not begin with AWS's own words: S3's
# bucket naming rules (sthree, amzn-s3-demo), Systems Manager's CreateDocument (aws, amazon, amzn).
FORM = r"^[a-z][a-z0-9]{1,12}$"
RESERVED = ("aws", "amazon", "amzn", "sthree")
# Names of the product's own stacks and resources in sentences for people; the programs `forensics-verify` and the like keep theirs.
_NAMED = re.compile(r"(?<![\w.-])forensics-(?=[a-z])(?!verify\b)")


def is_id(text: str) -> bool:
    """Whether names may begin with this. ``default`` is the name of every account's own event bus."""
    return re.fullmatch(FORM, text) is not None and not text.startswith(RESERVED) and text != "default"


def deployment_id(environment: Mapping[str, str]) -> str:
    """The id of an environment's deployment. Raises ``ValueError`` for one that cannot be the beginning of a name."""
    found = environment.get(OPTION) or DEFAULT
    if not is_id(found):
        msg = (
            f"option forensics.deployment_id: {found!r} is not 2 to 13 lower-case letters and digits (docs/configuration.md): "
            "give what parameters.DeploymentId of the deployment says"
        )
        raise ValueError(msg)
    return found


DEPLOYMENT = deployment_id(os.environ)


def named(text: str, deployment: str = DEPLOYMENT) -> str:
    """A sentence for people with the names that this deployment's stacks and resources really have."""
    return text if deployment == DEFAULT else _NAMED.sub(f"{deployment}-", text)


def action_name(action: str, deployment: str = DEPLOYMENT) -> str:
    """Id and name of a custom action in Security Hub: ``ForensicTriage``, of the deployment ``blue`` ``Triageblue``."""
    return action if deployment == DEFAULT else action.removeprefix("Forensic") + deployment
