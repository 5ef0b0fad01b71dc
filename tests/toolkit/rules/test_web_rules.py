"""Web shells and requests to them."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from forensic_toolkit.readers.coverage import Artifact
from forensic_toolkit.results import Event, Finding
from forensic_toolkit.rules import web_rules
from tests.toolkit.fake_tree import Builder


def test_web_shell_below_a_configured_root() -> None:
    builder = Builder().add("/data/site/a.php", b"<?php system($_GET['c']); ?>")
    assert web_rules.web_shells(builder.tree()) == {}
    builder.add("/etc/nginx/sites-enabled/site", b"server {\n  root /data/site;\n}\n")
    assert [finding.severity for finding in web_rules.web_shells(builder.tree()).values()] == ["critical"]


@pytest.mark.parametrize(
    "content",
    [
        '<?php system($_POST["x"]); ?>',
        "<?php @eval(base64_decode($_REQUEST['z'])); ?>",
        "<?php $c = $_GET['c']; echo shell_exec($c); ?>",
        "<?php $_GET['f']($_GET['a']); ?>",
        "<?php echo `$_GET[c]`; ?>",
        '<% Runtime.getRuntime().exec(request.getParameter("c")); %>',
    ],
)
def test_web_shells(content: str) -> None:
    assert web_rules.what_it_does(content)


@pytest.mark.parametrize(
    "content",
    [
        "<?php echo htmlspecialchars($_GET['q']); ?>",
        "<?php exec('/usr/bin/convert a b'); $x = $_POST['y']; ?>",
        "<?php $page = $_GET['p']; include 'header.php'; ?>",
    ],
)
def test_ordinary_scripts(content: str) -> None:
    assert web_rules.what_it_does(content) is None


def test_requests_to_a_shell_and_attacks() -> None:
    line = '198.51.100.7 - - [01/Mar/2026:10:00:00 +0100] "{}" 200 5 "-" "curl/8"\n'
    text = line.format("POST /up/x.php?a=1 HTTP/1.1") + line.format("GET /?q=../../../etc/passwd HTTP/1.1")
    text += line.format("GET /index.html HTTP/1.1") + "broken line\n"
    log = Artifact("web log", "access.log", len(text))
    items = list(web_rules.requests(text, artifact=log, shells={"/up/x.php": "/var/www/html/up/x.php"}))
    findings = [item for item in items if isinstance(item, Finding)]
    assert [(finding.severity, finding.technique) for finding in findings] == [
        ("critical", "T1505.003"),
        ("medium", "T1190"),
    ]
    assert sum(isinstance(item, Event) for item in items) == 3
    assert (log.lines, log.parsed) == (4, 3)
    assert log.shortfalls() == ["3 of 4 lines were parsed"]
    assert findings[0].time == datetime(2026, 3, 1, 9, tzinfo=UTC)


def test_urls_of_files_below_web_roots() -> None:
    urls = web_rules.urls_of(["/var/www/html/a/x.php", "/srv/http/y.php"], served=("/var/www", "/srv/http"))
    assert urls["/a/x.php"] == "/var/www/html/a/x.php"
    assert urls["/y.php"] == "/srv/http/y.php"
