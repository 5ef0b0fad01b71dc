"""People sign documents with a key of their own; whoever has taken over the pipeline cannot."""

from __future__ import annotations

import base64
import hashlib
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from forensics.triage.policy import packaged
from infra.deployment import sign, templates
from infra.deployment.intrinsics import Resolver
from lab.emulator.iam.policy import Request, decide
from tests.unit.signing import ARN, SigningKms, signing_key

ACCOUNT = "222233334444"
ROLE = f"arn:aws:iam::{ACCOUNT}:role"
SIGNER = f"{ROLE}/DocumentSigner"
LIST = 'schema: forensics.never-isolate/1\nversion: "1"\nentries:\n  - {id: dc, kind: vpc, value: vpc-1, reason: why}\n'
MODULES = json.dumps({"version": 1, "modules": []})
PIPELINE = ["custodian", "reader", "analyse", "execution", "holds", "triage"]


def key_policy(key: str, *, signer: str = SIGNER) -> dict[str, Any]:
    """A key's policy as CloudFormation makes it."""
    body = templates.committed()["document-key" if key == "DocumentKey" else "keys"]
    names = {
        "AWS::Partition": "aws", "AWS::AccountId": ACCOUNT, "AWS::Region": "eu-central-1", "RolePrefix": "forensics-",
        "KeyAdministratorArn": f"{ROLE}/KeyAdministrator", "DocumentSignerRoleArn": signer,
    }  # fmt: skip
    resolver = Resolver(names=names, conditions={"PeopleSign": bool(signer)}, ref=lambda n: n, attribute=lambda n, a: n)
    return dict(resolver.value(body["Resources"][key]["Properties"]["KeyPolicy"]))


def may(role: str, action: str, policy: dict[str, Any]) -> bool:
    """Whether the key's policy lets a role's session do it."""
    principals = [role, f"arn:aws:iam::{ACCOUNT}:root", ACCOUNT]
    return decide({"key": policy}, Request(action, "*", {"aws:PrincipalArn": role}), principals=principals).allowed


@pytest.mark.parametrize("signer", [SIGNER, ""], ids=["a role signs", "nobody signs"])
def test_the_pipeline_signs_no_document_and_people_sign_no_ledger(signer: str) -> None:
    documents, ledger = key_policy("DocumentKey", signer=signer), key_policy("SigningKey", signer=signer)
    for name in PIPELINE:
        assert not may(f"{ROLE}/forensics-{name}", "kms:Sign", documents), name
    for anybody in (f"{ROLE}/Admin", f"{ROLE}/KeyAdministrator", f"arn:aws:iam::{ACCOUNT}:root"):
        assert not may(anybody, "kms:Sign", documents), anybody
    assert may(f"{ROLE}/forensics-custodian", "kms:Verify", documents)
    assert may(f"{ROLE}/forensics-custodian", "kms:Sign", ledger)
    assert not may(SIGNER, "kms:Sign", ledger)
    assert may(SIGNER, "kms:Sign", documents) is bool(signer)


@pytest.mark.parametrize(
    ("name", "text", "kind"),
    [
        ("policy.yaml", None, "policy"),
        ("never-isolate.yaml", LIST, "never-isolate"),
        ("modules.json", MODULES, "lime-modules"),
    ],
)
def test_a_document_is_signed_as_the_product_verifies_it(
    tmp_path: Path, name: str, text: str | None, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    file, kms = tmp_path / name, SigningKms()
    source = Path(str(templates.ROOT / "plugins/forensics/triage/policy.yaml")).read_bytes()
    file.write_bytes(source if text is None else text.encode())
    assert sign.main([str(file)], kms=kms) == 0
    value = base64.b64decode((tmp_path / f"{name}.sig").read_text().strip(), validate=True)
    assert signing_key(kms).verify(hashlib.sha384(file.read_bytes()).digest(), value)
    assert f"is a {kind} document" in capsys.readouterr().out
    assert packaged().policy


def test_what_the_product_would_refuse_is_not_signed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file, kms = tmp_path / "never-isolate.yaml", SigningKms()
    file.write_text(LIST.replace("kind: vpc", "kind: vcp"))
    assert sign.main([str(file)], kms=kms) == 1
    assert kms.calls == [] and not (tmp_path / "never-isolate.yaml.sig").exists()
    assert "as never-isolate: " in capsys.readouterr().err


def test_a_request_is_printed_with_its_signature(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    expires = datetime.now(UTC) + timedelta(minutes=10)
    detail = {"account_id": "333344445555", "region": "eu-central-1", "instance_id": "i-0aaaaaaaaaaaaaaa1", "reason": "t",
              "requester": "a@example.com", "actions": ["disk"], "nonce": "n-1", "expires_at": expires.isoformat()}  # fmt: skip
    file, kms = tmp_path / "request.json", SigningKms()
    file.write_text(json.dumps(detail))
    assert sign.main([str(file)], kms=kms) == 0
    signed = json.loads(capsys.readouterr().out)
    assert signed["signature"]["key_id"] == ARN
    digest = hashlib.sha384(sign.signed_text(detail).encode()).digest()
    assert signing_key(kms).verify(digest, base64.b64decode(signed["signature"]["value"]))


def test_a_file_that_is_not_there_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert sign.main([str(tmp_path / "none.yaml")], kms=SigningKms()) == 1
    assert "none.yaml" in capsys.readouterr().err
