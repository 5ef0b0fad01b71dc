"""SSM: finding the document of a command, here or shared by another account, and checking its parameters."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from typing import Any

from moto.core.responses import ActionResult
from moto.ssm.exceptions import InvalidDocument, InvalidDocumentVersion, SSMException
from moto.ssm.models import Document, SimpleSystemManagerBackend, ssm_backends
from moto.ssm.responses import SimpleSystemManagerResponse

from lab.emulator.patches import accounts, state
from lab.emulator.patches.patching import add, replace

_ARN = re.compile(r"arn:aws[\w-]*:ssm:([\w-]+):(\d{12}):document/([\w.-]+)")
_SHELL_PARAMETERS = {
    "commands": {"type": "StringList"},
    "workingDirectory": {"type": "String", "default": ""},
    "executionTimeout": {"type": "String", "default": "3600", "allowedPattern": r"[1-9]\d{0,5}"},
}
AWS_DOCUMENTS: dict[str, dict[str, Any]] = {
    name: {
        "schemaVersion": "2.2",
        "description": f"Run commands ({step})",
        "parameters": _SHELL_PARAMETERS,
        "mainSteps": [
            {
                "action": f"aws:{step}",
                "name": step,
                "precondition": {"StringEquals": ["platformType", platform]},
                "inputs": {
                    "runCommand": "{{ commands }}",
                    "workingDirectory": "{{ workingDirectory }}",
                    "timeoutSeconds": "{{ executionTimeout }}",
                },
            }
        ],
    }
    for name, step, platform in (
        ("AWS-RunShellScript", "runShellScript", "Linux"),
        ("AWS-RunPowerShellScript", "runPowerShellScript", "Windows"),
    )
}


class InvalidParameters(SSMException):
    """A parameter that the document does not declare or allow."""

    code = "InvalidParameters"

    def __init__(self, message: str) -> None:
        super().__init__("InvalidParameters", message)


# SSM user guide, Command document plugin reference: the platforms on which each plugin runs
_PLATFORMS = {"aws:runShellScript": ("Linux", "MacOS"), "aws:runPowerShellScript": ("Windows",)}


def _platforms(content: dict[str, Any]) -> list[str]:
    actions = [str(step.get("action")) for step in content.get("mainSteps", []) if isinstance(step, dict)]
    return list(dict.fromkeys(platform for action in actions for platform in _PLATFORMS.get(action, ())))


def _with_platforms(original: Callable[..., None]) -> Callable[..., None]:
    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:
        original(self, *args, **kwargs)
        self.platform_types = _platforms(self.content_json)

    return __init__


@dataclasses.dataclass(frozen=True)
class ResolvedDocument:
    """One version of a document: `content` is parsed, `digest` is SHA-256 in hex of its text."""

    name: str
    version: str
    content: dict[str, Any]
    digest: str | None


def find_documents(account: str, region: str, name: str) -> Any:
    """moto's Documents for a name or a shared ARN. Raises InvalidDocument as AWS does."""
    arn = _ARN.fullmatch(name)
    owner, owner_region, short = (arn[2], arn[1], arn[3]) if arn else (account, region, name)
    documents = ssm_backends[owner][owner_region]._documents.get(short)
    shared = documents is not None and (owner == account or {account, "all"} & set(documents.permissions))
    if not shared or owner_region != region:
        raise InvalidDocument(f"Document with name {name} does not exist.")
    return documents


def resolve(
    account: str, region: str, name: str, *, version: str | None, digest: str | None, digest_type: str | None
) -> ResolvedDocument:
    """The document a command names. Raises InvalidDocument, InvalidDocumentVersion."""
    if name in AWS_DOCUMENTS:
        return ResolvedDocument(name=name, version="1", content=AWS_DOCUMENTS[name], digest=None)
    documents = find_documents(account, region, name)
    if version in (None, "", "$DEFAULT"):
        document = documents.get_default_version()
    elif version == "$LATEST":
        document = documents.get_latest_version()
    else:
        document = documents.find_by_version(version)
    if document is None:
        raise InvalidDocumentVersion(f"Version {version} of document {name} does not exist.")
    if document.status != "Active":
        # the code is AWS's, the message the lab's own
        raise InvalidDocument(f"Document {name} is {document.status}: it is not active.")
    if document.document_type != "Command":
        raise InvalidDocument(f"Document {name} is of type {document.document_type}; a command needs type Command.")
    if digest:
        if (digest_type or "Sha256") != "Sha256":
            raise InvalidDocument(f"Document hash type {digest_type} is not supported; use Sha256.")
        if digest.lower() != document.hash:
            raise InvalidDocument(f"The document hash does not match version {document.document_version} of {name}.")
    return ResolvedDocument(
        name=name, version=document.document_version, content=document.content_json, digest=document.hash
    )


def check_parameters(document: ResolvedDocument, given: dict[str, list[str]]) -> dict[str, Any]:
    """The values a command runs with, defaults filled in. Raises InvalidParameters."""
    declared: dict[str, dict[str, Any]] = document.content.get("parameters") or {}
    unknown = sorted(set(given) - set(declared))
    if unknown:
        raise InvalidParameters(f"Parameter(s) {', '.join(unknown)} are not defined in document {document.name}.")
    values: dict[str, Any] = {}
    for name, rule in declared.items():
        if name in given:
            values[name] = _checked(name, rule, given[name])
        elif "default" in rule:
            values[name] = rule["default"]
        else:
            raise InvalidParameters(f"Parameter {name} of document {document.name} is required.")
    return values


def _checked(name: str, rule: dict[str, Any], given: list[str]) -> Any:
    is_list = rule.get("type") in ("StringList", "StringMap")
    if not is_list and len(given) != 1:
        raise InvalidParameters(f"Parameter {name} is a single {rule.get('type')}; {len(given)} values were given.")
    for value in given:
        pattern, allowed = rule.get("allowedPattern"), rule.get("allowedValues")
        if pattern is not None and not re.fullmatch(pattern, value):
            raise InvalidParameters(f"Parameter {name} does not match the pattern {pattern}.")
        if allowed is not None and value not in [_text(item) for item in allowed]:
            raise InvalidParameters(f"Parameter {name} must be one of {', '.join(map(str, allowed))}.")
        if not int(rule.get("minChars", 0)) <= len(value) <= int(rule.get("maxChars", len(value))):
            raise InvalidParameters(f"Parameter {name} has a length that the document does not allow.")
    if rule.get("type") == "Boolean" and given[0].lower() not in ("true", "false"):
        raise InvalidParameters(f"Parameter {name} is neither true nor false.")
    if rule.get("type") == "Integer" and not re.fullmatch(r"-?\d+", given[0]):
        raise InvalidParameters(f"Parameter {name} is not a whole number.")
    return list(given) if is_list else given[0]


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _status(self: Any) -> str:
    """Creating or Updating at first, then Active; recorded by radkawar/stackd, testdata/aws/ssm/managed_execution_documents.json."""
    name, until = self.__dict__.get("_lab_becoming", ("", 0.0))
    return name if state.monotonic() < until else self.__dict__["_lab_status"]


def _set_status(self: Any, value: str) -> None:
    self.__dict__["_lab_status"] = value


def _becoming(name: str, *, answered: str) -> Callable[[Callable[[Any], Any]], Callable[[Any], Any]]:
    def build(original: Callable[[Any], Any]) -> Callable[[Any], Any]:
        def call(self: Any) -> Any:
            answer = original(self)
            config = state.current().config
            if accounts.from_outside(self.get_access_key()):
                return answer
            version = self.ssm_backend._get_documents(self._get_param("Name")).get_latest_version()
            version.__dict__["_lab_becoming"] = (name, state.monotonic() + config.ssm_document_seconds)
            return ActionResult({answered: {**answer.result[answered], "Status": version.status}})

        return call

    return build


def apply() -> None:
    """Let the document calls find shared documents by their ARN; documents take a moment to become active."""

    def build(_original: Any) -> Any:
        def _get_documents(self: Any, name: str) -> Any:
            return find_documents(self.account_id, self.region_name, name)

        return _get_documents

    replace(SimpleSystemManagerBackend, "_get_documents", build)
    add(Document, "status", property(_status, _set_status))
    replace(Document, "__init__", _with_platforms)
    replace(SimpleSystemManagerResponse, "create_document", _becoming("Creating", answered="DocumentDescription"))
    replace(SimpleSystemManagerResponse, "update_document", _becoming("Updating", answered="DocumentDescription"))
