"""What every SSM document has to keep, whoever wrote it: the contract of docs/architecture.md, in sentences. Pure.

The project's own documents keep more (``tests/documents``): how their scripts are written is nobody else's business.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

# "documents … up to 64 KB" (AWS Systems Manager quotas).
LARGEST = 64_000
# What the pipeline gives to a document that examines evidence, and which kind of evidence it is then for.
GIVEN = {"CaseId", "EvidenceId", "ManifestUrl", "VolumeId", "ExecutionTimeout"}
NEEDED = {"CaseId", "EvidenceId", "ManifestUrl"}
_TIME_LIMIT = re.compile(r"([1-9][0-9]{1,5}|\{\{ ExecutionTimeout \}\})")
_PLACE = re.compile(r"\{\{\s*(\w+)\s*\}\}")
_FALLBACK = r"""\s*(if \[ -z "\$\{{SSM_{0}\+x\}}" \]; then )?SSM_{0}='\{{\{{ {0} \}}\}}'(; fi)?\s*"""


def problems(document: object, *, size: int = 0) -> list[str]:
    """What is wrong with a document that examines evidence on the forensic instance; empty when nothing is.

    :param document: the parsed YAML
    :param size: bytes of the file
    """
    if not isinstance(document, Mapping):
        return ["the file is no mapping: a document begins with schemaVersion, description, parameters and mainSteps"]
    return [*_form(document, size), *_parameters(document), *_step(document)]


def _form(document: Mapping[str, Any], size: int) -> Iterator[str]:
    if size > LARGEST:
        yield f"the file has {size} bytes; Systems Manager takes {LARGEST}"
    if str(document.get("schemaVersion")) != "2.2":
        yield 'schemaVersion has to be "2.2" (a command document)'
    if not str(document.get("description") or "").strip():
        yield "description is missing: people read it when they wonder what ran"
    if unknown := set(document) - {"schemaVersion", "description", "parameters", "mainSteps"}:
        yield f"unknown at the top: {', '.join(sorted(map(str, unknown)))}"


def _parameters(document: Mapping[str, Any]) -> Iterator[str]:
    declared = document.get("parameters")
    if not isinstance(declared, Mapping):
        yield "parameters are missing: declare CaseId, EvidenceId and ManifestUrl, and for disks VolumeId"
        return
    for name in sorted(NEEDED - set(declared)):
        yield f"parameter {name} is missing: the pipeline gives it to every document"
    for name in sorted(map(str, set(declared) - GIVEN)):
        yield f"parameter {name} is given by nobody: the pipeline knows {', '.join(sorted(GIVEN))}"
    for name, rule in declared.items():
        if not isinstance(rule, Mapping) or rule.get("type") != "String":
            yield f"parameter {name} has to be of type String"
            continue
        pattern = str(rule.get("allowedPattern") or "")
        if not (pattern.startswith("^") and pattern.endswith("$")):
            yield f"parameter {name} needs an allowedPattern from ^ to $: it bounds what reaches the script"
        elif re.search(r"['\"`\\$]", pattern[1:-1]):
            yield f"parameter {name}: its allowedPattern admits a quote, a backslash or a dollar sign, which a shell reads"
        if name != "ExecutionTimeout" and rule.get("interpolationType") != "ENV_VAR":
            yield f"parameter {name} needs interpolationType: ENV_VAR, so that its value never becomes part of the script"


def _step(document: Mapping[str, Any]) -> Iterator[str]:
    steps = document.get("mainSteps")
    step = steps[0] if isinstance(steps, list) and len(steps) == 1 and isinstance(steps[0], Mapping) else None
    if step is None:
        yield "mainSteps has to be one step"
        return
    if step.get("action") != "aws:runShellScript":
        yield "the step's action has to be aws:runShellScript: the forensic instance is Linux whatever the target was"
    inputs = step.get("inputs")
    inputs = inputs if isinstance(inputs, Mapping) else {}
    if not _TIME_LIMIT.fullmatch(str(inputs.get("timeoutSeconds", ""))):
        yield 'inputs.timeoutSeconds has to be a number of seconds in quotes, or "{{ ExecutionTimeout }}"'
    lines = inputs.get("runCommand")
    if not (isinstance(lines, list) and lines and all(isinstance(line, str) for line in lines)):
        yield "inputs.runCommand has to be the script, as a list with one text"
        return
    for line in "\n".join(lines).splitlines():
        for name in _PLACE.findall(line):
            if not re.fullmatch(_FALLBACK.format(re.escape(name)), line):
                yield f"the script has {{{{ {name} }}}} in the middle of a line: use $SSM_{name} (its text would become code): {line.strip()[:80]}"
