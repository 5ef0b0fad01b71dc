"""How a DNS firewall is made: moto has none, so that lab.emulator.network.names keeps its lists and rules."""

from __future__ import annotations

import uuid
from typing import Any

from lab.emulator.cloudformation.makers import Made, Maker, Place
from lab.emulator.network import names


def _arn(place: Place, kind: str, made: str) -> str:
    return f"arn:aws:route53resolver:{place.region}:{place.account}:{kind}/{made}"


def domain_list(place: Place, _name: str, given: dict[str, Any]) -> Made:
    made = f"rslvr-fdl-{uuid.uuid4().hex[:17]}"
    names.keep_list(made, given["Domains"])
    return Made(made, {"Id": made, "Arn": _arn(place, "firewall-domain-list", made)})


def rule_group(place: Place, _name: str, given: dict[str, Any]) -> Made:
    made = f"rslvr-frg-{uuid.uuid4().hex[:17]}"
    rules = [(int(r["Priority"]), str(r["FirewallDomainListId"]), str(r["Action"])) for r in given["FirewallRules"]]
    names.keep_group(made, rules)
    return Made(made, {"Id": made, "Arn": _arn(place, "firewall-rule-group", made)})


def association(place: Place, _name: str, given: dict[str, Any]) -> Made:
    made = f"rslvr-frgassoc-{uuid.uuid4().hex[:17]}"
    names.associate(given["VpcId"], given["FirewallRuleGroupId"], priority=int(given["Priority"]))
    return Made(made, {"Id": made, "Arn": _arn(place, "firewall-rule-group-association", made)})


MAKERS: dict[str, Maker] = {
    "AWS::Route53Resolver::FirewallDomainList": domain_list,
    "AWS::Route53Resolver::FirewallRuleGroup": rule_group,
    "AWS::Route53Resolver::FirewallRuleGroupAssociation": association,
}
