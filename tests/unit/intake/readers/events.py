"""Findings of the event files, and one about stolen credentials in each format."""

from __future__ import annotations

from forensics.models.intake import IntakeVerdict

INSTANCE = "i-0aaaaaaaaaaaaaaa1"
OTHER = "i-0bbbbbbbbbbbbbbb2"
FORMATS = ["guardduty_ec2_c2", "asff_imported_guardduty_c2", "ocsf_imported_guardduty_c2"]


def only(intake):
    """The only finding of a result."""
    assert intake.verdict is IntakeVerdict.ACCEPT, intake.reason
    (finding,) = intake.findings
    return finding


def stolen(event, name):
    """A finding about credentials of an instance, used elsewhere, in each shape."""
    kind, principal = "UnauthorizedAccess:IAMUser/InstanceCredentialExfiltration.OutsideAWS", f"AROA4EXAMPLE:{INSTANCE}"
    body = event(name)
    if name == "guardduty_ec2_c2":
        body["detail"]["type"] = kind
        body["detail"]["resource"] = {"resourceType": "AccessKey", "accessKeyDetails": {"principalId": principal}}
    elif name.startswith("asff"):
        finding = body["detail"]["findings"][0]
        finding["Types"] = ["TTPs/Credential Access/" + kind.replace("/", "-")]
        details = {"AwsIamAccessKey": {"PrincipalId": principal, "PrincipalType": "AssumedRole"}}
        finding["Resources"] = [{"Type": "AwsIamAccessKey", "Id": "AWS::IAM::AccessKey:x", "Details": details}]
    else:
        finding = body["detail"]["findings"][0]
        finding["finding_info"]["types"] = ["Threats", kind]
        finding["resources"] = [{**finding["resources"][0], "type": "AWS::IAM::AccessKey", "uid": "x", "name": "x",
                                 "data": {"principal_id": principal}}]  # fmt: skip
    # Nothing in such a finding confirms the account: it must come in an envelope of its own.
    body["account"] = "333344445555"
    return body
