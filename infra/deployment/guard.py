"""cfn-guard over the templates: AWS Control Tower's proactive controls, and this project's own rules (``infra/guard``).

Program and controls come in one package (``requirements/guard.lock``); it is unpacked, nothing of it is imported. Guard does not resolve
parameters, so each is replaced by its default or by its own name first: what a template says beyond them is judged.
"""

from __future__ import annotations

import io
import json
import platform
import re
import subprocess
import tarfile
from pathlib import Path
from typing import Any

from infra.deployment import templates
from infra.deployment.suppressions import Finding

PACKAGE = templates.ROOT / ".venv-guard"
OWN_RULES = templates.ROOT / "infra" / "guard"
SYSTEMS = {"Linux": "ubuntu", "Darwin": "macos"}
MACHINES = {"x86_64": "x86_64", "amd64": "x86_64", "aarch64": "aarch64", "arm64": "aarch64"}
_CONTROL = re.compile(r"\[(CT\.[A-Z0-9]+\.PR\.\d+)\]")
_ATTRIBUTE = re.compile(r"^\$\{(\w+)\.(\w+)\}([^$]+)$")
_RESOURCE = re.compile(r"^/Resources/([A-Za-z0-9]+)/")


class GuardError(RuntimeError):
    """cfn-guard could not run; the message says why."""


def unpack(target: Path) -> tuple[Path, Path]:
    """Unpack program and controls; returns their paths. Raises :class:`GuardError`."""
    archives = sorted(PACKAGE.glob("lib/python3.*/site-packages/cdklabs/cdk_validator_cfnguard/_jsii/*.tgz"))
    system, machine = SYSTEMS.get(platform.system()), MACHINES.get(platform.machine().lower())
    if not archives or system is None or machine is None:
        msg = (
            f"cfn-guard is not there for {platform.system()} {platform.machine()} (package in {PACKAGE}); "
            "run `make lint-templates` on Linux or macOS"
        )
        raise GuardError(msg)
    with tarfile.open(fileobj=io.BytesIO(archives[0].read_bytes())) as tar:
        tar.extractall(target, filter="data")
    program = target / "package" / "bin" / system / machine / "cfn-guard"
    program.chmod(0o700)
    return program, target / "package" / "rules" / "control-tower" / "cfn-guard"


def filled(template: dict[str, Any]) -> dict[str, Any]:
    """The template with every reference to a parameter replaced by a value."""
    values = {n: p.get("Default", n) for n, p in template.get("Parameters", {}).items()}

    def fill(node: Any) -> Any:
        if isinstance(node, dict):
            if set(node) == {"Ref"} and node["Ref"] in values:
                return values[node["Ref"]]
            if set(node) == {"Fn::Sub"} and (match := _ATTRIBUTE.match(str(node["Fn::Sub"]))):
                # controls know the longer way to say the same
                return {"Fn::Join": ["", [{"Fn::GetAtt": [match[1], match[2]]}, match[3]]]}
            return {name: fill(value) for name, value in node.items()}
        return [fill(item) for item in node] if isinstance(node, list) else node

    return dict(fill({k: v for k, v in template.items() if k != "Conditions"}))


def check(folder: Path) -> list[Finding]:
    """Every control and rule that a template does not meet, one finding for each resource. ``folder`` is empty and temporary."""
    program, controls = unpack(folder / "guard")
    data = folder / "data"
    data.mkdir()
    for name, template in templates.committed().items():
        (data / f"{name}.json").write_text(json.dumps(filled(template)), "utf-8")
    command = [str(program), "validate", "--structured", "--show-summary", "none", "--output-format", "json",
               "--rules", str(controls), "--rules", str(OWN_RULES), "--data", str(data)]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
    # 19: some template does not meet some rule (cfn-guard, "exit codes")
    if done.returncode not in (0, 19):
        msg = f"cfn-guard ended with {done.returncode}: {done.stderr.strip()[-1500:]}"
        raise GuardError(msg)
    return [finding for report in json.loads(done.stdout) for finding in _findings(report)]


def _findings(report: dict[str, Any]) -> list[Finding]:
    found = {}
    for item in report["not_compliant"]:
        rule, text = item["Rule"], json.dumps(item)
        control = _CONTROL.search(text)
        name = control[1] if control else rule["name"]
        for resource in sorted(_resources(rule["checks"])) or [""]:
            found[name, resource] = Finding(
                tool="cfn-guard", id=name, template=Path(report["name"]).stem, resource=resource, text=rule["name"]
            )
    return list(found.values())


def _resources(node: Any) -> set[str]:
    """Logical ids in the paths of a report."""
    if isinstance(node, dict):
        match = _RESOURCE.match(node["path"] + "/") if isinstance(node.get("path"), str) else None
        return {match[1]} if match else set().union(*map(_resources, node.values()))
    return set().union(*map(_resources, node)) if isinstance(node, list) else set()
