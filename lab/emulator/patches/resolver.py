"""Route 53 Resolver: query logging can be taken from a VPC again (API reference, *DisassociateResolverQueryLogConfig*), which moto lacks."""

from __future__ import annotations

import json
from typing import Any

from moto.route53resolver.exceptions import ResourceNotFoundException
from moto.route53resolver.responses import Route53ResolverResponse

from lab.emulator.patches.patching import add


def _disassociate_resolver_query_log_config(self: Any) -> str:
    config, resource = self._get_param("ResolverQueryLogConfigId"), self._get_param("ResourceId")
    kept = self.route53resolver_backend.resolver_query_log_config_associations
    for name, found in list(kept.items()):
        if (found.resolver_query_log_config_id, found.resource_id) == (config, resource):
            del kept[name]
            return json.dumps({"ResolverQueryLogConfigAssociation": {**found.description(), "Status": "DELETING"}})
    raise ResourceNotFoundException(f"Resolver query log config '{config}' is not associated with '{resource}'")


def apply() -> None:
    """Install the patch."""
    add(Route53ResolverResponse, "disassociate_resolver_query_log_config", _disassociate_resolver_query_log_config)
