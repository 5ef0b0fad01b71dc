"""Texts from outside: each is one visible line wherever a model holds it, and no model can be forgotten."""

from __future__ import annotations

import importlib
import json
import pkgutil
from collections.abc import Iterator
from enum import Enum
from typing import Any, Literal, get_args, get_origin

import pytest
from pydantic import BaseModel, BeforeValidator, Field, StringConstraints, ValidationError

import forensics
from forensics.models.base import Model
from forensics.models.outside import HostText, Outside, holds_models
from forensics.models.results import ToolFinding, ToolResults
from forensics.models.status_lines import CaptureStatus, InvestigationStatus, Probe

# Models with texts that stay as they are, and why. Whoever shows one of these goes through the page's, the mail's or the
# question's own last stop (report/page.py, aws/sns.py, containment/question_text.py).
SIGNED = "signed or hashed byte for byte; made visible before it is written (custody/ledger.py)"
CALLED = "names and values that EC2, IAM and Auto Scaling get back as parameters"
SHIPPED = "rules of this package or of the deployment, compared with other texts"
OURS = "written by this package or by the deployment, of ids and words of AWS"
EXACT = {
    **dict.fromkeys(["CustodyEvent", "CustodyFacts", "Digest", "RequestSignature", "SignedEntry", "SymbolTable", "SignedHead", "SigningKey"], SIGNED),
    **dict.fromkeys(["Signature", "ApprovalStatement", "SignedApproval", "RestoreSeal", "LedgerHead", "HoldLift", "AuditPlan", "AuditState", "BundleEntry", "ExportOrder"], SIGNED),
    **dict.fromkeys(["DsseEnvelope", "DsseSignature"], SIGNED),
    **dict.fromkeys(["AddressFacts", "InterfaceFacts", "VolumeFacts", "MetadataFacts", "ProfileFacts", "ScalingFacts", "MembershipFacts"], CALLED),
    **dict.fromkeys(["OwnGroup", "OtherContainment", "EndpointFacts", "InstanceFacts", "ApiCall", "PlanStep", "ContainmentPlan", "RestoreIdentity", "RestorePoint"], CALLED),
    **dict.fromkeys(["InterfaceRestorePoint", "NetworkInterface", "Volume", "Person", "Snapshot", "Drift", "DriftItem", "KeyFacts", "Answer"], CALLED),
    **dict.fromkeys(["StoredObject", "StoredVersion", "StoredFact", "StoredArtifact", "StoredSegment", "AuditedObject", "AuditedSnapshot"], OURS),
    **dict.fromkeys(["AuditReport", "AuditSummary", "AuditedCase", "BlockManifest", "BuildJob", "BuiltImage", "PublishedAmi", "ObjectLock"], OURS),
    **dict.fromkeys(["DiskDigest", "DiskEvidence", "MemoryOrigin", "ManifestSegment", "ReadState", "SnapshotLock", "Transport", "CopyRoute"], OURS),
    **dict.fromkeys(["CaptureOptions", "ProbeRecord", "SentDocument", "Difference", "IntakeCounts", "Notified", "Resumption", "Retention"], OURS),
    **dict.fromkeys(["PlanPreflight", "RunProgress", "TaskStay", "PreflightReport", "RefusedMethod", "MethodChoice", "WatchedTarget", "CaseView", "Asked", "DrillRun", "DrillReport", "Undelivered"], OURS),
    **dict.fromkeys(["AnswerRule", "AnswerRules", "ArtifactRule", "Weights", "Document", "Question"], SHIPPED),
    **dict.fromkeys(["NeverIsolateEntry", "NeverIsolateList", "Playbook", "Policy", "Rule", "ScopeEntry", "TagRules", "TrustedProduct"], SHIPPED),
    "WebhookAccess": "a secret of the deployment, compared with and shown nowhere",
    "ChannelAccess": "a secret of the deployment, used as it is and shown nowhere",
    "PushAccess": "a secret of the deployment, used as it is and shown nowhere",
    "ImageOrder": "what an image is compared with byte for byte; what comes back of it is an ImageJudgement",
    "CaseLabel": "names of an account's owner: case/messages.py takes letters, digits and three signs of them",
    "Invocation": "a host's output as SSM shows it: status_line() and cause() are its readers, and make it visible",
}  # fmt: skip


def _models() -> list[type[Model]]:
    for module in pkgutil.walk_packages(forensics.__path__, "forensics."):
        if ".web" not in module.name and "triggers" not in module.name:
            importlib.import_module(module.name)

    def below(kind: type[Model]) -> Iterator[type[Model]]:
        for sub in kind.__subclasses__():
            if sub.__module__.startswith("forensics."):
                yield sub
                yield from below(sub)

    return sorted(set(below(Model)), key=lambda m: m.__name__)


def _free_text(annotation: object, metadata: tuple[object, ...] | list[object] = ()) -> bool:
    """Whether any text fits somewhere in an annotation: a ``str`` without a pattern, or JSON."""
    if any((isinstance(m, StringConstraints) and m.pattern) or getattr(m, "pattern", None) for m in metadata):
        return False
    if any(isinstance(m, BeforeValidator) for m in metadata) and annotation is str:
        return False  # HostText, and what makes a text of its own
    if annotation is str or annotation is Any or annotation is object:
        return True
    if get_origin(annotation) is Literal or (isinstance(annotation, type) and issubclass(annotation, BaseModel | Enum)):
        return False
    if metadata_of := getattr(annotation, "__metadata__", None):
        return _free_text(get_args(annotation)[0], metadata_of)
    return any(_free_text(inner) for inner in get_args(annotation))


def _uncovered(model: type[Model]) -> list[str]:
    fields = model.model_fields.items()
    if issubclass(model, Outside):
        # What holds models is left to them: a text beside them, such as a key, has to be a HostText.
        return [name for name, f in fields if holds_models(f.annotation) and _free_text(f.annotation, f.metadata)]
    return [name for name, f in fields if _free_text(f.annotation, f.metadata)]


MODELS = _models()


@pytest.mark.parametrize("model", MODELS, ids=lambda m: m.__name__)
def test_a_model_with_texts_makes_them_visible_or_says_why_not(model: type[Model]) -> None:
    uncovered = _uncovered(model)
    assert not uncovered or model.__name__ in EXACT, (
        f"{model.__name__} has texts that anybody may have written ({', '.join(uncovered)}): derive it from Outside, or say in "
        "EXACT why they stay as they are"
    )


def test_the_list_of_exceptions_names_models_that_need_it() -> None:
    needed = {m.__name__ for m in MODELS if _uncovered(m)}
    assert not set(EXACT) - needed


class Inner(Outside):
    """Holds a text."""

    text: str


class Sample(Outside):
    """Every place in which a text may stand."""

    text: str = Field(default="", max_length=8)
    maybe: str | None = None
    many: tuple[str, ...] = ()
    named: dict[str, object] = Field(default_factory=dict)
    inner: dict[HostText, Inner] = Field(default_factory=dict)


HOSTILE = "a\ud800\u202e\n\x1b[31m"
SHOWN = "a[U+D800][U+202E]⏎␛[31m"


def test_every_place_of_a_text_shows_what_would_hide() -> None:
    made = Sample.model_validate(
        {"maybe": HOSTILE, "many": [HOSTILE], "named": {HOSTILE: [HOSTILE, 1]}, "inner": {HOSTILE: {"text": HOSTILE}}}
    )
    assert (made.maybe, made.many, made.named) == (SHOWN, (SHOWN,), {SHOWN: [SHOWN, 1]})
    assert made.inner == {SHOWN: Inner(text=SHOWN)}
    assert made.model_copy(update={"maybe": HOSTILE}).maybe == SHOWN
    assert Sample.model_validate_json(made.model_dump_json()) == made, "read again it is the same"


def test_a_text_that_grew_by_being_shown_is_cut_and_one_that_was_too_long_is_refused() -> None:
    made = Sample(text="\u202e" * 8)
    assert made.text == "[U+202E]" and Sample.model_validate(made.model_dump()) == made
    with pytest.raises(ValidationError, match="at most 8"):
        Sample(text="x" * 9)


def test_what_nests_too_deeply_is_refused() -> None:
    deep: object = "x"
    for _ in range(500):
        deep = [deep]
    with pytest.raises(ValidationError, match="nested more than"):
        Sample(named={"a": deep})


def test_status_lines_and_results_hold_no_hidden_character() -> None:
    capture = CaptureStatus.model_validate(
        {"status": "ok", "bytes": 1, "list_sha256": "0" * 64, "encoding": "none", "reason": HOSTILE,
         "symbols": {HOSTILE: {"sha256": HOSTILE}}}
    )  # fmt: skip
    artifacts = InvestigationStatus.model_validate({"status": "ok", "artifacts": {HOSTILE: {"sha256": HOSTILE}}})
    finding = ToolFinding(id="x", title=HOSTILE, data={HOSTILE: HOSTILE})
    probe = Probe(os_id=HOSTILE)
    said = json.dumps([m.model_dump(mode="json") for m in (capture, artifacts, finding, probe)], ensure_ascii=False)
    assert said.encode() and said.isprintable() and said.count(SHOWN) == 9
    assert ToolResults.model_fields["schema_"].alias == "schema", "an alias names the same text"
