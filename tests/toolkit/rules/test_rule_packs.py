"""A user's packs: read from archives, run by the same engine, every rule accounted for."""

from __future__ import annotations

import io
import json
import tarfile
import zipfile
from pathlib import Path

import pytest

from forensic_toolkit.results import Results
from forensic_toolkit.rules import linux_records, rule_packs
from forensic_toolkit.times import now
from tests.toolkit.examined import NO_TOOLS, TOOLS, run


def rule(title: str, source: str, detection: str, *, number: int = 1) -> str:
    """A Sigma rule."""
    return (
        f"title: {title}\nid: 9c2f6a11-4c07-4a5e-8a6e-2f0d51b0{number:04d}\nstatus: test\nlogsource: {{{source}}}\n"
        f"detection: {{sel: {detection}, condition: sel}}\nlevel: high\ntags: [attack.t1105]\n"
    )


RULES = {
    "rules/linux/process.yml": rule(
        "Fetch by curl",
        "product: linux, category: process_creation",
        '{Image|endswith: /curl, CommandLine|contains: "--insecure"}',
        number=1,
    ),
    "rules/linux/auditd.yml": rule(
        "Audit of curl", "product: linux, service: auditd", "{type: EXECVE, a0: curl}", number=2
    ),
    "rules/linux/keyword.yml": rule(
        "Words of sshd", "product: linux, service: sshd", "['Accepted password for deploy']", number=3
    ),
    "rules/web/traversal.yml": rule(
        "Traversal", "category: webserver", "{cs-method: GET, cs-uri-query|contains: ../../}", number=4
    ),
    "rules/windows/start.yml": rule(
        "Start of x", "product: windows, category: process_creation", "{Image|endswith: \\x.exe}", number=5
    ),
    "rules/windows/file_access.yml": rule(
        "Seen by no log", "product: windows, category: file_access", "{FileName: x}", number=6
    ),
    "rules/linux/placeholder.yml": rule(
        "Not translatable", "product: linux, service: sshd", "{a|expand: '%unknown%'}", number=7
    ),
    "rules/linux/broken.yml": "title: [",
    "deprecated/old.yml": rule("Old", "product: linux, service: sshd", "['x']", number=8),
}
AUDIT = 'type=SYSCALL msg=audit(1772359200.123:1): auid=1000 uid=0 exe="/usr/bin/curl" comm="curl"\ntype=EXECVE msg=audit(1772359200.123:1): argc=3 a0="curl" a1="--insecure" a2="https://198.51.100.7/x"\n'
FILES = {
    "/var/log/audit/audit.log": AUDIT,
    "/var/log/auth.log": "2026-03-01T10:00:00+00:00 web sshd[1]: Accepted password for deploy from 192.0.2.7 port 5 ssh2\n",
    "/var/log/nginx/access.log": '198.51.100.7 - - [01/Mar/2026:10:00:00 +0000] "GET /a?f=../../etc/passwd HTTP/1.1" 200 5 "-" "x"\n',
    "/home/a/.bash_history": "sudo curl --insecure https://198.51.100.7/y\n",
}
_RUN = """
import json, sys
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from forensic_toolkit.results import Results
from forensic_toolkit.rules import linux_records, rule_packs, sigma_engine, windows_events
from forensic_toolkit.times import now
from tests.toolkit.fake_tree import Builder
results = Results("fc-20260101-0123456789", "disk-1", "disk", started=now())
packs = rule_packs.load({"rules_sigma": Path(sys.argv[2])}, results=results)
builder = Builder()
for path, text in json.loads(sys.argv[3]).items():
    builder.add(path, text.encode())
linux = [[item.title, item.source] for item in linux_records.findings(builder.tree(), packs, results=results)]
rules = rule_packs.sigma(packs, product="windows", results=results)
table = sigma_engine.Table(rules.rules, keys=windows_events.KEYS)
event = {"Channel": "Security", "EventID": 4688, "NewProcessName": "C:\\\\x.exe", "ts": "2026-03-01T10:00:00+00:00"}
table.fill([windows_events.prepared(event)])
windows = [item.title for item in windows_events.examined(rules, table, results=results)]
rule_packs.account(rules, unplaced=windows_events.unplaced(rules), results=results)
print(json.dumps({"linux": linux, "windows": windows, "gaps": results.gaps, "notes": results.notes}))
"""


def zipped(path: Path) -> Path:
    """The rules as a zip archive."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in RULES.items():
            archive.writestr(f"sigma-release/{name}", text)
    return path


@pytest.mark.skipif(not TOOLS.exists(), reason=NO_TOOLS)
def test_every_rule_of_a_pack_runs_or_is_accounted_for(tmp_path: Path) -> None:
    root = str(Path(__file__).parents[3])
    answer = json.loads(run(_RUN, root, str(zipped(tmp_path / "pack.zip")), json.dumps(FILES)))
    assert {(title.split(" (")[0], source) for title, source in answer["linux"]} == {
        ("Fetch by curl", "/var/log/audit/audit.log"),
        ("Fetch by curl", "/home/a/.bash_history"),
        ("Audit of curl", "/var/log/audit/audit.log"),
        ("Words of sshd", "/var/log/auth.log"),
        ("Traversal", "/var/log/nginx/access.log"),
    }
    assert [title.split(" (")[0] for title in answer["windows"]] == ["Start of x"]
    notes = [why for what, why in answer["notes"] if what == "rule packs"]
    assert (
        notes[0].startswith("4 Sigma rules ran; 2 are for other log sources") and "windows/process_creation" in notes[0]
    )
    assert "1 windows/file_access" in notes[1]
    gap = next(why for what, why in answer["gaps"] if what == "rule packs")
    assert gap.startswith("2 rules could not be used") and "placeholder.yml" in gap and "broken.yml" in gap


_PADDED = """
import json, sys
from forensic_toolkit.results import Results
from forensic_toolkit.rules import sigma_engine, windows_events
from forensic_toolkit.times import now
results = Results("fc-20260101-0123456789", "disk-1", "disk", started=now())
rules = sigma_engine.translated([("two.yml", sys.argv[1])], results=results, product="windows")
table = sigma_engine.Table(rules.rules, keys=windows_events.KEYS)
text = "# " + "x" * 12_000 + sys.argv[2]
event = {"Channel": "Microsoft-Windows-PowerShell/Operational", "EventID": 4104, "ScriptBlockText": text}
table.fill([windows_events.prepared({**event, "ts": "2026-03-01T10:00:00+00:00"})])
found = [[item.title, len(item.detail), sys.argv[2] in item.detail] for item in windows_events.examined(rules, table, results=results)]
print(json.dumps({"found": found, "refused": rules.refused, "elsewhere": rules.elsewhere}))
"""


@pytest.mark.skipif(not TOOLS.exists(), reason=NO_TOOLS)
def test_one_bad_rule_costs_no_other_of_its_file_and_padding_hides_no_command() -> None:
    source = "product: windows, category: ps_script"
    good = rule("Good", source, "{ScriptBlockText|contains: Invoke-Evil}", number=21)
    bad = rule("Bad", source, "{ScriptBlockText|expand: '%unknown%'}", number=22)
    other = rule("Other", "product: linux, service: sshd", "['x']", number=23)
    answer = json.loads(run(_PADDED, f"{bad}---\n{good}---\n{other}", "; Invoke-Evil -Now"))
    assert [(title.split(" (")[0], shown) for title, _, shown in answer["found"]] == [("Good", True)]
    assert all(length <= 4000 for _, length, _ in answer["found"])
    assert [name for name, _ in answer["refused"]] == ["two.yml (Bad)"]
    assert answer["elsewhere"] == {"linux/sshd": 1}


def test_packs_are_read_from_archives_of_every_kind_and_bad_ones_are_named(tmp_path: Path) -> None:
    tar = tmp_path / "pack.tar.gz"
    with tarfile.open(tar, "w:gz") as archive:
        for name, text in RULES.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(text.encode())
            archive.addfile(entry, io.BytesIO(text.encode()))
    single, bad = tmp_path / "one", tmp_path / "bad.zip"
    single.write_text("rule a { condition: true }")
    bad.write_bytes(b"PK\x03\x04" + bytes(100))
    results = Results("fc-20260101-0123456789", "disk-1", "disk", started=now())
    packs = rule_packs.load(
        {"rules_sigma": tar, "rules_yara_own": single, "rules_sigma_2": bad, "device": tmp_path}, results=results
    )
    assert len(packs.sigma) == len(RULES) - 1, "what the release marks as deprecated stays out"
    assert [text for _, text in packs.yara] == ["rule a { condition: true }"]
    assert len(rule_packs.load({"rules_sigma": zipped(tmp_path / "p.zip")}, results=results).sigma) == len(RULES) - 1


def test_linux_sources_of_sigma_are_mapped() -> None:
    from forensic_toolkit.rules.sigma_engine import Rule

    def within(category: str = "", service: str = "", product: str = "linux") -> str | None:
        made = Rule("n", "t", "i", "low", None, "1", (), product, category, service)
        return linux_records.within(made)

    assert within("process_creation") == "kind = 'process'" and within(service="auditd") == "kind = 'audit'"
    assert within("webserver", product="") == "kind = 'web'" and within(service="sshd") == "kind = 'log'"
    assert within("network_connection") is None and within("antivirus", product="") is None


_YARA = """
import json, sys
from forensic_toolkit.results import Results
from forensic_toolkit.rules import yara_rules
from forensic_toolkit.times import now
results = Results("fc-20260101-0123456789", "disk-1", "disk", started=now())
more = [("a.yar", 'rule mine { strings: $a = "needle" condition: $a }'), ("b.yar", "rule broken {"), ("c.yar", "rule mine { condition: false }")]
made = yara_rules.scanner(results, more=more)
said = [rule.identifier for rule in yara_rules.matches(made, b"a needle", place="x", results=results)]
print(json.dumps({"said": said, "gaps": results.gaps}))
"""


@pytest.mark.skipif(not TOOLS.exists(), reason=NO_TOOLS)
def test_yara_rules_of_a_pack_run_and_broken_files_are_listed() -> None:
    answer = json.loads(run(_YARA))
    assert answer["said"] == ["mine"]
    ((what, why),) = answer["gaps"]
    assert what == "rule packs" and why.startswith("1 YARA files could not be compiled: b.yar")
