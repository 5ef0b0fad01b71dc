"""What cfn-guard is given and what is read from it; the program itself runs in `make lint-templates`."""

from __future__ import annotations

from typing import Any

from infra.deployment import guard


def test_parameters_are_filled_and_references_to_resources_stay() -> None:
    template: dict[str, Any] = {
        "Parameters": {"Days": {"Type": "Number", "Default": 365}, "KeyArn": {"Type": "String"}},
        "Conditions": {"C": {"Fn::Equals": [1, 1]}},
        "Resources": {
            "B": {"Properties": {"Days": {"Ref": "Days"}, "Key": [{"Ref": "KeyArn"}], "Own": {"Ref": "Other"}}},
            "P": {"Resource": {"Fn::Sub": "${B.Arn}/*"}, "Name": {"Fn::Sub": "x-${AWS::AccountId}"}},
        },
    }
    found = guard.filled(template)
    assert "Conditions" not in found
    assert found["Resources"]["B"]["Properties"] == {"Days": 365, "Key": ["KeyArn"], "Own": {"Ref": "Other"}}
    assert found["Resources"]["P"] == {
        "Resource": {"Fn::Join": ["", [{"Fn::GetAtt": ["B", "Arn"]}, "/*"]]},
        "Name": {"Fn::Sub": "x-${AWS::AccountId}"},
    }


def test_a_report_becomes_one_finding_for_each_resource_named_by_its_control() -> None:
    def clause(path: str) -> dict[str, Any]:
        return {"Clause": {"Binary": {"check": {"Resolved": {"from": {"path": path, "value": {}}}}}}}

    rule = {
        "name": "bucket_check", "messages": {"custom_message": "[CT.S3.PR.10]: Require"},
        "checks": [clause("/Resources/Logs/Properties/X"), clause("/Resources/Logs/Properties/Y"), clause("/Resources/B/Z")],
    }  # fmt: skip
    own = {"name": "buckets_are_kept", "checks": [clause("")]}
    report = {"name": "/tmp/x/evidence-store.json", "not_compliant": [{"Rule": rule}, {"Rule": own}]}
    assert [(f.id, f.template, f.resource) for f in guard._findings(report)] == [
        ("CT.S3.PR.10", "evidence-store", "B"),
        ("CT.S3.PR.10", "evidence-store", "Logs"),
        ("buckets_are_kept", "evidence-store", ""),
    ]
