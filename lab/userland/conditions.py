"""What a host may be like, or be made to be like by who is on it: shell text in the run's own namespaces, and what must be seen.

``R`` is the root that the script will see; ``PLANTED`` is a process's number on a line of its own in ``$R/run/planted``.
"""

from __future__ import annotations

import signal
from dataclasses import dataclass

# A program of the target's that prints nothing, leaves a child that holds its output, and does not end.
ENDED = "ended after"  # of a program that hangs, where it is run
_HANG = "printf '#!/bin/sh\\nsleep 300 &\\nsleep 300\\n' >$R/run/hang; chmod 755 $R/run/hang"
_HOLD = "printf '#!/bin/sh\\n(exec sleep 60) &\\necho fake\\n' >$R/run/hang; chmod 755 $R/run/hang"
_OVER = "for p in %s; do for d in bin usr/bin sbin usr/sbin; do [ -f $R/$d/$p ] && rm -f $R/$d/$p && cp $R/run/hang $R/$d/$p; done; done"
# The target's ls and ps are in the way: they leave out the planted process.
_FILTER = r"""mkdir $R/run/real
for p in ls ps; do
  for d in bin usr/bin; do [ -x $R/$d/$p ] && [ ! -e $R/run/real/$p ] && cp -L $R/$d/$p $R/run/real/$p; done
  [ -e $R/run/real/$p ] || continue
  echo '#!/bin/sh' >$R/run/real/$p.new
  echo "/run/real/$p \"\$@\" >/run/real/$p.\$\$; c=\$?; grep -vw $PLANTED /run/real/$p.\$\$; rm /run/real/$p.\$\$; exit \$c" >>$R/run/real/$p.new
  chmod 755 $R/run/real/$p.new
  for d in bin usr/bin; do [ -e $R/$d/$p ] && rm -f $R/$d/$p && cp $R/run/real/$p.new $R/$d/$p; done
done"""
PLANT = "cp /bin/sleep $R/run/zz-planted; $R/run/zz-planted 299 & PLANTED=$!\n"
_LISTEN = (
    "unshare -n sh -c 'ip link set lo up; exec python3 -c \"import socket,time; s=socket.socket();"
    's.bind((\\"127.0.0.1\\",44444)); s.listen(); time.sleep(99)"\' & sleep 1\n'
)


@dataclass(frozen=True)
class Condition:
    """One condition. ``finds``: text that the archive or the status line must have; ``may_fail``: no archive, with a reason.

    ``heavy``: run in two userlands only; ``collector``: a static collector is offered; ``not_in``: a release whose C library is older than what this machine links to.
    """

    name: str
    setup: str = ""
    finds: tuple[str, ...] = ("zz-planted",)
    may_fail: bool = False
    environment: tuple[tuple[str, str], ...] = ()
    namespaces: str = "-m"
    variables: bool = True
    end: tuple[signal.Signals, float] | None = None
    depth: str = "standard"
    refused: int = 0
    heavy: bool = False
    collector: bool = False
    not_in: str = ""


def _ends() -> tuple[Condition, ...]:
    numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
    return tuple(
        Condition(f"{number.name}-after-{at}-s", finds=(), may_fail=True, end=(number, at))
        for at, number in zip((0.3, 1.0, 2.0, 3.0, 4.0), (*numbers, *numbers), strict=False)
    )


CONDITIONS = (
    Condition("usual"),
    Condition("first-pass", depth="first"),
    Condition("processes", depth="processes"),
    Condition("dev-shm-full", "head -c 300M /dev/zero >$R/dev/shm/x 2>/dev/null"),
    Condition("run-full", "head -c 300M /dev/zero >$R/run/x 2>/dev/null"),
    Condition(
        "all-tmpfs-full", "head -c 300M /dev/zero >$R/dev/shm/x 2>/dev/null; head -c 300M /dev/zero >$R/run/x 2>/dev/null",
        finds=("KiB free",), may_fail=True,
    ),
    Condition("no-inodes", "mount -t tmpfs -o nr_inodes=2,size=64m tmpfs $R/dev/shm"),
    Condition("4-MiB-of-room", "for a in run dev/shm; do mount -t tmpfs -o size=4m tmpfs $R/$a; done", finds=()),
    Condition("noexec", "for a in run dev/shm; do mount -o remount,noexec $R/$a; done"),
    Condition("hidepid", "mount -o remount,hidepid=2 $R/proc"),
    Condition("fifo", "rm -f $R/run/utmp; mkfifo $R/run/utmp; rm -f $R/var/lib/dpkg/status; mkfifo $R/var/lib/dpkg/status"),
    Condition("hanging-programs", f"{_HANG}; {_OVER % 'ss ip who docker systemctl dmesg'}", finds=("zz-planted", ENDED)),
    Condition("stdout-held", f"{_HOLD}; {_OVER % 'ss ip who'}"),
    Condition("preload-variable", finds=("preload variable", "zz-planted"), environment=(("LD_PRELOAD", "/run/hide.so"),), not_in="bullseye"),
    Condition("preload-file", "echo /run/hide.so >$R/etc/ld.so.preload", finds=("/etc/ld.so.preload loads",), not_in="bullseye"),
    Condition("static-collector", finds=("what the collector sees", "zz-planted"), collector=True),
    Condition(
        "programs-that-hide", _FILTER, finds=("ls did not say: process", "(zz-planted)"), collector=True,
    ),
    Condition(
        "collector-not-runnable", "for a in run dev/shm; do mount -o remount,noexec $R/$a; done",
        finds=("28-second-opinion (no file system in memory",), collector=True,
    ),
    Condition("bind-over-proc", "mkdir $R/run/e; mount --bind $R/run/e $R/proc/$PLANTED", finds=("is covered",)),
    Condition("other-network-namespace", _LISTEN, finds=(":AD9C",)),
    Condition(
        "deleted-program", "cp /bin/sleep $R/run/zz-gone; $R/run/zz-gone 298 & sleep 0.2; rm $R/run/zz-gone",
        finds=("zz-gone (deleted)", "-program"),
    ),
    Condition(
        "flooded-arguments",
        "for n in 1 2 3 4 5; do python3 -c 'import os; os.execv(\"/bin/sh\",[\"sh\",\"-c\",\"sleep 60 # \"]+[\"A\"*131000]*15)' & done; sleep 1",
    ),
    Condition(
        "60000-sockets",
        "ip link set lo up; for k in 1 2 3; do python3 -c 'import socket,time,resource;"
        "resource.setrlimit(resource.RLIMIT_NOFILE,(20100,)*2);s=socket.socket();s.bind((\"127.0.0.'$k'\",7000));s.listen(4096);k=[]\n"
        "for i in range(10000):\n c=socket.socket();c.bind((\"127.\"+str(i//5000+1)+\".'$k'.2\",0));c.connect((\"127.0.0.'$k'\",7000));k+=[c,s.accept()[0]]\n"
        "time.sleep(200)' & done; sleep 12; python3 -c 'import socket,time; u=socket.socket(socket.AF_INET,socket.SOCK_DGRAM);"
        "u.bind((\"127.0.0.1\",5555)); time.sleep(200)' & sleep 0.5",
        finds=(":15B3", "zz-planted"), heavy=True,
    ),
    Condition(
        "5000-processes", "for i in $(seq 5000); do sleep 100 & done 2>/dev/null", namespaces="-m -p -f --mount-proc", heavy=True,
    ),
    Condition("little-memory", "ulimit -v 120000", finds=()),
    Condition("odd-locale", environment=(("LC_ALL", "tr_TR.UTF-8"), ("LANG", "tr_TR.UTF-8"), ("LANGUAGE", "tr"))),
    Condition(
        "proxies",
        environment=(("http_proxy", "http://127.0.0.1:9"), ("https_proxy", "http://127.0.0.1:9"), ("no_proxy", "127.0.0.1")),
    ),
    Condition("hijacked-path", environment=(("PATH", "/run/evil:/usr/bin:/bin"),), setup=f"mkdir $R/run/evil; {_HANG}; cp $R/run/hang $R/run/evil/ls"),
    Condition("odd-environment", environment=(("BASH_FUNC_cat%%", "() { echo evil; }"), ("POSIXLY_CORRECT", "1"), ("GREP_OPTIONS", "-v"), ("IFS", "a"))),
    Condition("old-agent", variables=False),
    Condition("uploads-refused-twice", refused=2),
    *_ends(),
)  # fmt: skip
