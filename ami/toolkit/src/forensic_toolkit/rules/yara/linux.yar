// Rules on the content of files with a suspicious place or origin. meta: title, severity, technique.

rule script_reverse_shell
{
    meta:
        title = "Script that opens a shell to another host"
        severity = "critical"
        technique = "T1059.004"
    strings:
        $dev_tcp = /\/dev\/(tcp|udp)\/[^\/ \n]{1,64}\/[0-9]{1,5}/
        $python = /socket\.socket\([^\n]{0,200}(dup2|pty\.spawn)/
        $netcat = /\bn(c|cat)\b[^\n]{0,40} -[a-z]{0,3}e ?\/bin\/(ba)?sh/
        $perl = /use Socket;[^\n]{0,300}exec\s*\{?\s*["']\/bin\/(ba)?sh/
    condition:
        filesize < 1MB and any of them
}

rule program_carries_commands_of_an_intruder
{
    meta:
        title = "Program with strings of a remote-control tool"
        severity = "high"
        technique = "T1059"
    strings:
        $a = "/bin/sh -i" ascii
        $b = "HISTFILE=/dev/null" ascii
        $c = "LD_PRELOAD" ascii
        $d = "/etc/ld.so.preload" ascii
        $e = "authorized_keys" ascii
        $f = "/proc/self/exe" ascii
        $g = "kworker/" ascii
    condition:
        uint32(0) == 0x464c457f and filesize < 32MB and (4 of them or ($d and $b))
}

rule miner
{
    meta:
        title = "Mining software"
        severity = "critical"
        technique = "T1496"
    strings:
        $pool = /stratum\+(tcp|ssl|tls):\/\/[a-z0-9.\-]{3,80}/ nocase
        $a = "xmrig" nocase ascii
        $b = "donate-level" ascii
        $c = "cryptonight" nocase ascii
        $d = "randomx" nocase ascii
    condition:
        $pool or 3 of ($a, $b, $c, $d)
}

rule packed_with_upx
{
    meta:
        title = "Program packed with UPX"
        severity = "medium"
        technique = "T1027.002"
    strings:
        $info = "UPX!" ascii
    condition:
        uint32(0) == 0x464c457f and #info >= 2
}

rule web_shell_php
{
    meta:
        title = "PHP that executes input from a request"
        severity = "critical"
        technique = "T1505.003"
    strings:
        $open = "<?" ascii
        $run = /\b(system|exec|shell_exec|passthru|popen|proc_open|eval|assert)\s*\([^;]{0,200}\$_(GET|POST|REQUEST|COOKIE)/ nocase
        $hidden = /\beval\s*\(\s*@?(base64_decode|gzinflate|str_rot13)\s*\(/ nocase
    condition:
        filesize < 1MB and $open and ($run or $hidden)
}

rule kernel_module_that_hides
{
    meta:
        title = "Kernel module that hooks or hides"
        severity = "critical"
        technique = "T1014"
    strings:
        $module = "vermagic=" ascii
        $a = "kallsyms_lookup_name" ascii
        $b = "sys_call_table" ascii
        $c = "getdents64" ascii
        $d = "ftrace_set_filter_ip" ascii
        $e = "kobject_del" ascii
        $f = "list_del" ascii
    condition:
        uint32(0) == 0x464c457f and $module and 2 of ($a, $b, $c, $d, $e, $f)
}
