"""The project's own SSM documents keep its rules; one that somebody adds keeps the contract (docs/architecture.md) alone."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, Literal

import pytest
import tree_sitter
import tree_sitter_powershell
import yaml
from pydantic import BaseModel, ConfigDict, Field, model_validator

from lab.scenarios.document_rules import problems
from tests.documents import documents

ALL = documents.names()
NAMES = [name for name in ALL if name in documents.OWN]
ADDED = [name for name in ALL if name not in documents.OWN]
LINUX = [name for name in NAMES if name.endswith("_linux")]
# Everything on the forensic instance but the tool of somebody else.
OWN_TOOLS = [n for n in NAMES if n.startswith("investigate_") and "_clamav_" not in n and "_symbols_" not in n]
ON_TARGETS = ["acquire_memory_linux", "live_response_linux", "probe_linux", "sweep_linux"]
WINDOWS = [name for name in NAMES if name.endswith("_windows")]
URL = "https://landing.s3.eu-central-1.amazonaws.com/a/b?X-Amz-Credential=AKIA%2F20261121&X-Amz-Signature=0f_~-+"
SAMPLES = {
    "CaseId": ("fc-20261121-0123456789", ["fc-20261121-0123456789\n", "fc-1-2", "x'; id; '"]),
    "EvidenceId": ("mem-i-0123456789abcdef0", ["UPPER", "a b", "a'b", "-abc"]),
    "VolumeId": ("vol-0123456789abcdef0", ["vol-xyz", "vol-0123", "/dev/sdf"]),
    "ManifestUrl": (
        URL,
        ["ftp://x/y", "https://x/$(id)", "https://x/'", 'https://x/"', "https://x/`id`", "https://x/ y"],
    ),
    "Hashes": ("a" * 64 + "," + "0" * 64, ["", "a" * 63, "A" * 64, "a" * 64 + ";id"]),
    "Names": ("dropper.sh,x-1_+@%=~.so", ["", "a b", "a'b", "$(id)", "x/y", "a*", "[a]"]),
    "Texts": ("updates.evil.example,203.0.113.7,2001:db8::1", ["", "a b", "a;id", "`id`", "a/b"]),
    "Addresses": ("203.0.113.7=077100CB", ["", "203.0.113.7", "203.0.113.7=x", "a b=00000000"]),
    "Users": ("deploy,svc_x", ["", "a b", "x;id", "a'b"]),
    "Files": ("200000", ["0", "-1", "1e3", "12345678"]),
    "Mib": ("10240", ["0", "-1", "1 ", "12345678"]),
    "Seconds": ("180", ["0", "1", "1m", "180; id", "100000"]),
    "ExecutionTimeout": ("3600", ["0", "5", "1h", "1e3", "-60", "3600; id", "10000000"]),
}
FORBIDDEN = re.compile(
    r"\b(yum|dnf|apt|apt-get|dpkg|rpm|pip|pip3|npm|git|gcc|make|cmake|insmod|modprobe|wget|eval|source|aws|sudo|nohup)\b"
)


# What is installed is asked for, nothing is changed by asking.
QUESTIONS = ("/var/lib/dpkg/status", "kernel/modprobe")
# The one module that may be loaded: prebuilt, from tmpfs, its SHA-256 checked (tests/documents/test_acquire_memory_lime.py).
LOADS = 'insmod "$work/lime" '


class Strict(BaseModel):
    """No field that is not named."""

    model_config = ConfigDict(extra="forbid")


class Parameter(Strict):
    """A parameter that a caller cannot fill with code."""

    type: Literal["String"]
    description: str = Field(min_length=10)
    allowedPattern: str | None = None
    allowedValues: list[str] | None = None
    default: str | None = None
    interpolationType: Literal["ENV_VAR"] | None = None

    @model_validator(mode="after")
    def bounded(self) -> Parameter:
        """Anchored pattern without quotes, or a list of values."""
        if self.allowedValues is None:
            pattern = self.allowedPattern or ""
            assert pattern.startswith("^") and pattern.endswith("$"), "the pattern is not anchored"
            assert not re.search(r"['\"`\\$]", pattern[1:-1]), "the pattern admits a character the shell reads"
        return self


class Inputs(Strict):
    """What the step runs."""

    timeoutSeconds: str = Field(pattern=r"^([1-9][0-9]{1,5}|\{\{ ExecutionTimeout \}\})$")
    runCommand: list[str] = Field(min_length=1, max_length=1)


class Step(Strict):
    """One step."""

    action: Literal["aws:runShellScript", "aws:runPowerShellScript"]
    name: str = Field(pattern=r"^[a-zA-Z0-9]{3,64}$")
    precondition: dict[Literal["StringEquals"], tuple[Literal["platformType"], Literal["Linux", "Windows"]]]
    inputs: Inputs


class Document(Strict):
    """A command document of schema 2.2."""

    schemaVersion: Literal["2.2"]
    description: str = Field(min_length=20)
    parameters: dict[str, Parameter]
    mainSteps: list[Step] = Field(min_length=1, max_length=1)


@pytest.mark.parametrize("name", NAMES)
def test_has_the_form_of_a_command_document(name: str) -> None:
    Document.model_validate(documents.load(name))


@pytest.mark.parametrize("name", NAMES)
def test_every_parameter_but_the_time_limit_reaches_the_script_as_a_variable(name: str) -> None:
    document = Document.model_validate(documents.load(name))
    spliced = {key for key, rule in document.parameters.items() if rule.interpolationType is None}
    assert spliced <= {"ExecutionTimeout"}
    if spliced:  # it is a number in an input of the step, and the script never sees it
        assert document.mainSteps[0].inputs.timeoutSeconds == "{{ ExecutionTimeout }}"
        assert document.parameters["ExecutionTimeout"].default


@pytest.mark.parametrize("name", NAMES)
def test_patterns_admit_what_they_should_and_nothing_else(name: str) -> None:
    for parameter, rule in documents.load(name)["parameters"].items():
        if "allowedValues" in rule:
            assert all(re.fullmatch(r"[a-z-]{1,20}", value) for value in rule["allowedValues"])
            continue
        good, bad = SAMPLES[parameter]
        # Go's regular expressions, which the service uses, know no "$" before a final newline.
        pattern = re.compile(rule["allowedPattern"].removesuffix("$") + r"\Z")
        assert pattern.match(good)
        assert not [text for text in bad if pattern.match(text)]


@pytest.mark.parametrize("name", NAMES)
def test_declared_parameters_are_the_ones_used(name: str) -> None:
    limit = {"ExecutionTimeout"}  # of the step; a script may know it too
    text, declared = documents.script(name), set(documents.load(name)["parameters"]) - limit
    assert set(re.findall(r"\{\{\s*(\w+)\s*\}\}", text)) - limit == declared
    assert set(re.findall(r"\bSSM_(\w+)", text)) - limit == declared


@pytest.mark.parametrize("name", LINUX)
def test_values_reach_the_shell_as_variables(name: str) -> None:
    parameters = documents.load(name)["parameters"]
    # The one that has to reach timeoutSeconds as well is digits only.
    spliced = {parameter for parameter, rule in parameters.items() if "interpolationType" not in rule}
    assert spliced <= {"ExecutionTimeout"}
    assert all(parameters[parameter]["allowedPattern"] == "^[1-9][0-9]{1,5}$" for parameter in spliced)
    for line in documents.script(name).splitlines():
        if "{{" in line and line != "SSM_ExecutionTimeout='{{ ExecutionTimeout }}'":
            # The fallback for agents that know no variables: one assignment in single quotes, nothing else.
            match = re.fullmatch(r"if \[ -z \"\$\{SSM_(\w+)\+x\}\" \]; then SSM_\1='\{\{ \1 \}\}'; fi", line)
            assert match, line


@pytest.mark.parametrize("name", LINUX)
def test_script_is_strict_and_honest(name: str) -> None:
    lines = documents.script(name).strip().splitlines()
    if name in ON_TARGETS:  # every shell reads them; that they end with a status line is tested by running them
        assert lines[0] == "#!/bin/sh"
        assert {"set -euo pipefail", "set -u"} & set(lines)
        assert any(line.startswith("trap ") and line.endswith(" EXIT") for line in lines)
    else:
        assert lines[0] == "#!/bin/bash"
        assert "set -euo pipefail" in lines
        assert "exit 0" not in documents.script(name)
    assert not re.search(r"\|\| true$|\bset -x\b", "\n".join(lines[-3:]))
    assert "set -x" not in documents.script(name)


@pytest.mark.parametrize("name", ON_TARGETS)
def test_what_two_documents_share_is_the_same_in_both(name: str) -> None:
    mine = shared_parts(name)
    assert mine.keys() >= {"environment, text, time"}
    for other in ON_TARGETS:
        theirs = shared_parts(other)
        assert {part: mine[part] for part in mine.keys() & theirs.keys()} == {
            part: theirs[part] for part in mine.keys() & theirs.keys()
        }


def shared_parts(name: str) -> dict[str, str]:
    """The parts of a script between ``# ---- shared: NAME`` and ``# ---- end``."""
    return dict(re.findall(r"(?ms)^# ---- shared: ([^\n]+)\n(.*?)^# ---- end$", documents.script(name)))


@pytest.mark.parametrize("name", NAMES)
def test_a_document_is_no_larger_than_the_service_takes(name: str) -> None:
    """SSM quotas: a document has at most 64 KB."""
    assert (documents.FOLDER / f"{name}.yaml").stat().st_size <= 64_000


@pytest.mark.parametrize("name", LINUX)
def test_nothing_is_installed_compiled_or_cloned(name: str) -> None:
    code = "\n".join(line for line in documents.script(name).splitlines() if not line.lstrip().startswith("#"))
    for question in (*QUESTIONS, LOADS):
        code = code.replace(question, "")
    assert not FORBIDDEN.findall(code)
    assert not re.findall(r">>?\s*/(?!dev/null)\S+", code), "a path outside the work directory is written"


@pytest.mark.parametrize("name", LINUX)
def test_shellcheck_has_nothing_to_say(name: str) -> None:
    program = shutil.which("shellcheck", path=str(Path(sys.executable).parent))
    assert program, "requirements/dev.lock brings it: run make setup"
    done = subprocess.run([program, "-"], input=documents.script(name), capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize("name", OWN_TOOLS)
def test_investigation_is_one_call_of_the_toolkit(name: str) -> None:
    last = documents.script(name).strip().splitlines()[-1]
    words = {"collect": "collect", "comparison": "compare", "disk": "disk", "memory": "memory"}
    command = next(command for word, command in words.items() if f"_{word}" in name)
    assert last.startswith(f'exec "$toolkit" {command} --case "$SSM_CaseId" --evidence "$SSM_EvidenceId"')
    assert "toolkit=/opt/forensic-toolkit/bin/forensic-toolkit" in documents.script(name)


def test_registry_names_every_document_once() -> None:
    registry: dict[str, Any] = yaml.safe_load((documents.FOLDER / "registry.yaml").read_text("utf-8"))
    entries = registry["documents"]
    assert registry["version"] == 1
    assert sorted(entry["document"].removesuffix(".yaml") for entry in entries) == ALL, (
        "make documents names what is missing"
    )
    for entry in entries:
        optional = {"os_version", "evidence", "tool", "finding_types", "output", "offers", "enabled", "follows"}
        assert set(entry) - optional == {"activity", "platform", "document", "description"}
        # What examines evidence runs on the forensic instance, which is Linux whatever the target is.
        runs_on = "linux" if "evidence" in entry else entry["platform"]
        assert entry["document"].startswith(f"{entry['activity']}_{runs_on}")
        examines = entry["activity"].startswith("investigate_") and entry["activity"] != "investigate_symbols"
        assert examines <= ("evidence" in entry)
        assert entry["description"].strip() and "\n" not in entry["description"], (
            f"{entry['document']}: one line of description"
        )


def test_documents_of_somebody_else_keep_the_contract() -> None:
    """The worked example is held to it too: it is what people copy."""
    for name in (*ADDED, "investigate_clamav_linux"):
        assert problems(documents.load(name), size=(documents.FOLDER / f"{name}.yaml").stat().st_size) == [], name


@pytest.mark.parametrize("name", WINDOWS)
def test_windows_values_come_from_variables_and_the_script_is_strict(name: str) -> None:
    step = Document.model_validate(documents.load(name)).mainSteps[0]
    assert (step.action, step.precondition["StringEquals"][1]) == ("aws:runPowerShellScript", "Windows")
    lines = documents.script(name).splitlines()
    assert lines[:2] == ["$ErrorActionPreference = 'Stop'", "Set-StrictMode -Version 2"]
    for line in lines:
        if "{{" in line:
            form = r"if \(\$null -eq \$env:SSM_(\w+)\) \{ \$env:SSM_\1 = '\{\{ \1 \}\}' \}"
            assert re.fullmatch(form, line), line


@pytest.mark.parametrize("name", WINDOWS)
def test_windows_installs_and_fetches_nothing_but_what_the_manifest_names(name: str) -> None:
    code = documents.script(name)
    forbidden = r"(?i)Invoke-WebRequest|Invoke-Expression|\biex\b|msiexec|Start-BitsTransfer|Install-|choco|Add-Type|DownloadString|Out-File"
    assert not re.findall(forbidden, code)
    assert len(re.findall(r"WriteAllBytes|Set-Content|Add-Content", code)) == (1 if name.startswith("acquire") else 0)
    assert "exit 0" not in code
    assert "DownloadData" not in code or code.count("DownloadData") == 1


@pytest.mark.parametrize("name", WINDOWS)
def test_windows_scripts_are_powershell(name: str) -> None:
    """By a grammar of PowerShell (tree-sitter-powershell): what it takes for an error may be none, what it takes is well-formed."""
    parser = tree_sitter.Parser(tree_sitter.Language(tree_sitter_powershell.language()))
    assert faults(parser, documents.script(name)) == []
    assert faults(parser, documents.script(name) + "\nif ($x { 1 }"), "the parser sees what is wrong"


def faults(parser: tree_sitter.Parser, text: str) -> list[str]:
    """Lines that the grammar cannot read."""
    found, waiting = [], [parser.parse(text.encode()).root_node]
    while waiting:
        node = waiting.pop()
        if node.type == "ERROR" or node.is_missing:
            found.append(text.splitlines()[node.start_point[0]])
        waiting += node.children
    return found


@pytest.mark.parametrize("name", WINDOWS)
def test_what_windows_documents_share_is_the_same_in_all(name: str) -> None:
    mine = shared_parts(name)
    assert "is this a place where the script can work?" in mine
    for other in WINDOWS:
        theirs = shared_parts(other)
        assert all(mine[part] == theirs[part] for part in mine.keys() & theirs.keys())


@pytest.mark.parametrize("name", WINDOWS)
def test_constrained_language_is_told_before_anything_that_it_bars(name: str) -> None:
    """In that mode no method of a type may be called (about_Language_Modes): the line is text and environment alone."""
    lines = documents.script(name).splitlines()
    (at,) = [n for n, line in enumerate(lines) if "LanguageMode -ne 'FullLanguage'" in line]
    assert not [line for line in lines[: at + 2] if re.search(r"\[\w.]+\]::|New-Object|\.\w+\(", line)]
    told = re.sub(r"' \+ \S+ \+ '", "x", lines[at + 1].strip())[1:-1].replace("''", "'")
    assert json.loads(told)["status"] == "failed"
    assert lines[at + 2].strip() == "exit 1"


@pytest.mark.parametrize("name", WINDOWS)
def test_windows_runs_as_powershell_where_there_is_one(name: str) -> None:
    program = shutil.which("pwsh")
    if program is None:
        pytest.skip(
            "pwsh is not installed, and neither PyPI, npm nor Debian has it: the script was read by a grammar, not run"
        )
    check = "$e = $null; [void][Management.Automation.Language.Parser]::ParseInput([Console]::In.ReadToEnd(), [ref]$null, [ref]$e); $e"
    done = subprocess.run(
        [program, "-NoProfile", "-Command", check],
        input=documents.script(name),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.strip() == ""


def items_of_windows() -> dict[str, bool]:
    """Items of the Windows live response in their order, and whether each is of the core set."""
    lines = documents.script("live_response_windows").splitlines()
    found = [re.match(r"\s+(?:Item|Note-Item) '([^']+)'(.*)", line) for line in lines]
    return {m[1]: "-Core $true" in m[2] for m in found if m}


def test_the_windows_live_response_asks_in_the_order_of_volatility() -> None:
    items = items_of_windows()
    assert list(items) == sorted(items, key=lambda name: name[:1]), (
        "connections and processes before what outlives them"
    )
    assert {name for name, core in items.items() if core} == {
        "00-clock", "10-tcp", "11-udp", "20-processes", "23-sessions", "40-drivers", "41-services",
    }  # fmt: skip
    assert {
        "12-routes", "24-modules", "25-environment", "29-handles", "43-dns-servers", "46-defender", "51-wmi-filters",
        "51-wmi-consumers", "51-wmi-bindings", "52-bits", "53-run-keys", "29-programs-sha256",
    } <= set(items)  # fmt: skip


def test_the_windows_live_response_bounds_each_item_and_sends_by_class() -> None:
    text = documents.script("live_response_windows")
    assert "AsyncWaitHandle.WaitOne($Seconds * 1000)" in text and "[int] $Seconds = 10" in text
    collect = text.split("function Collect")[1]
    first = collect.split("if ($env:SSM_Depth -eq 'first') { return }")[0]
    assert first.rstrip().endswith("Send-Class"), "the first pass has left the host before the rest begins"
    assert len(re.findall(r"(?m)^\s+Send-Class$", collect)) >= 4
    assert text.count("[Environment]::Exit($code)") == 1, "an item that hangs does not keep the process"


@pytest.mark.parametrize("name", ON_TARGETS)
def test_where_sigint_is_trapped_bash_4_ignores_it(name: str) -> None:
    """A new child of bash 4.3 and 4.4 may spin on it (tests/documents/test_live_response.py plays the signal)."""
    lines = (documents.FOLDER / f"{name}.yaml").read_text("utf-8").splitlines()
    (loop,) = [at for at, line in enumerate(lines) if "for name in HUP INT QUIT" in line]
    done = next(at for at in range(loop, len(lines)) if lines[at].strip() == "done")
    assert "case ${BASH_VERSION-} in 4.*) trap '' INT ;; esac" in lines[done + 1]
