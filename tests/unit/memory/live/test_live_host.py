"""The forms of /proc, read: rows of the kernel's documentation, names with every byte, numbers beyond all bounds."""

from __future__ import annotations

import struct
from datetime import UTC, datetime

from forensics.memory.live.forms import heads, open_files, programs
from forensics.memory.live.host import read
from forensics.memory.live.process_rules import Maker
from forensics.memory.live.sockets import sockets
from forensics.memory.live.state_rules import containers, modules, preload, second_opinion, settings, sniffers
from forensics.models.addresses import public

# Documentation/networking/proc_net_tcp.rst of the Linux kernel has this row: 172.16.3.1:40012 with 172.16.3.3:6000, established
ROW = b"   46: 010310AC:9C4C 030310AC:1770 01 00000150:00000000 01:00000019 00000000  1000        0 54165785 4 cd1e6040 25 4 27 3 -1\n"
ROW6 = (
    b"   0: B80D0120000000000000000001000000:0016 B80D0120000000000000000002000000:D431 01 00000000:00000000 02:000A7214 00000000"
    b"     0        0 33333 2 0000000000000000 20 4 31 10 -1\n"
)
MAPPED = (
    b"   1: 0000000000000000FFFF00000100007F:0050 0000000000000000FFFF00000A0200C0:A000 01 00000000:00000000 00:00000000 00000000"
    b"    33        0 44444 1 0000000000000000 20 4 31 10 -1\n"
)
STAT = b"%d (%s) S %d 1 1 0 -1 4194560 0 0 0 0 0 0 0 0 20 0 1 0 %d 0 0\n"


def stat(*processes: tuple[int, bytes, int, int]) -> bytes:
    """What ``head -c 512 /proc/*/stat`` prints."""
    return b"\n".join(
        b"==> /proc/%d/stat <==\n" % pid + STAT % (pid, name, ppid, start) for pid, name, ppid, start in processes
    )


def test_rows_of_the_kernel_s_documentation() -> None:
    (found,) = sockets({"10-network-tcp": b"  sl  local_address rem_address   st\n" + ROW})
    assert (found.local, found.port, found.peer, found.peer_port) == ("172.16.3.1", 40012, "172.16.3.3", 6000)
    assert (found.state, found.uid, found.inode, found.foreign) == ("ESTABLISHED", 1000, 54165785, False)
    six, mapped = sockets({"10-network-tcp6": ROW6 + MAPPED})
    assert (six.local, six.peer) == ("2001:db8::1", "2001:db8::2") and six.foreign
    assert (mapped.local, mapped.peer, mapped.foreign) == ("127.0.0.1", "192.0.2.10", True)


def test_connections_of_other_namespaces_keep_their_namespace() -> None:
    data = b"## namespace 4026532281 by process 812\n== tcp\n" + ROW + b"== arp\nIP address\n== tcp6\n" + ROW6
    assert [(s.namespace, s.local) for s in sockets({"23-connections-elsewhere": data})] == [
        (4026532281, "172.16.3.1"), (4026532281, "2001:db8::1"),
    ]  # fmt: skip


def test_documentation_ranges_are_foreign_and_local_ones_are_not() -> None:
    assert all(map(public, ("198.51.100.7", "8.8.8.8", "2001:db8::1", "::ffff:203.0.113.9")))
    assert not any(map(public, ("10.0.0.1", "169.254.169.254", "::1", "fe80::1", "::ffff:10.1.2.3", "100.64.0.1")))


def test_a_process_name_may_have_every_byte_and_the_start_is_dated() -> None:
    clock = b"10.00 20.00\n0.1 0.1 0.1 1/2 3\ncpu 1 2\nbtime 1700000000\nprocesses 5\n"
    host = read({"00-clock": clock, "20-process-states": stat((7, b"a) R (b\n", 1, 4250), (8, b"c", 7, 10**30))})
    assert host.processes[7].name == "a) R (b\n" and host.processes[7].ppid == 1
    assert host.processes[7].started == datetime.fromtimestamp(1700000042.5, UTC)
    assert host.processes[8].started is None


def test_a_process_that_a_list_names_twice_is_told_and_the_first_counts() -> None:
    found = heads(
        b"==> /proc/1/cmdline <==\n/sbin/init\0\n==> /proc/2/cmdline <==\n\n==> /proc/1/cmdline <==\nharmless\0"
    )
    assert found.of[1].startswith(b"/sbin/init") and found.twice == {1}


def test_links_of_ls() -> None:
    exe = b"lrwxrwxrwx 1 0 0 0 Nov 29 12:00 /proc/1/exe -> /tmp/a -> b (deleted)\nls: cannot read /proc/2/exe\n"
    assert programs(exe) == {1: "/tmp/a -> b (deleted)"}
    fds = b"/proc/9/fd:\ntotal 0\nlr-x------ 1 0 0 64 Nov 29 12:00 0 -> pipe:[1]\nlrwx------ 1 0 0 64 Nov 29 12:00 3 -> socket:[77]\n"
    assert open_files(fds) == {9: {0: "pipe:[1]", 3: "socket:[77]"}}


def test_sessions_in_both_sizes_of_utmp() -> None:
    head = struct.pack("<hxxi32s4s32s256s", 7, 99, b"pts/0", b"ts/0", b"alice", b"198.51.100.7")
    short = head + bytes(8) + struct.pack("<i", 5) + struct.pack("<ii", 1700000000, 0) + bytes(36)
    long = (head + bytes(4) + struct.pack("<q", 5) + struct.pack("<qq", 1700000000, 0)).ljust(400, b"\0")
    assert (len(short), len(long)) == (384 + 4, 400)
    for record in (short[: 340 - 4] + short[340:], long):
        (found,) = read({"23-utmp": record}).sessions
        assert (found.user, found.line, found.peer) == ("alice", "pts/0", "198.51.100.7")
        assert found.since == datetime.fromtimestamp(1700000000, UTC)


def rules_of(members: dict[str, bytes], *rules: object) -> dict[str, str]:
    """Titles by rule."""
    make, host = Maker(), read(members)
    for rule in rules:
        rule(host, make)  # type: ignore[operator]
    return {f.id: f.title for f in make.made}


def test_state_that_no_honest_host_has() -> None:
    members = {
        "23-preload": b"environment of the agent: no preload variable\n== /etc/ld.so.preload\n/lib/libjynx.so\n0abc  /lib/libjynx.so\n",
        "42-modules-compared": b"ext4 999424 1 - Live 0x0\nonly in /sys/module: diamorphine\n",
        "41-modules": b"ext4 999424 1 - Live 0xffffffffc0a00000\nnvidia 1 0 - Live 0xffffffffc0a00000 (OE)\n",
        "42-kernel": b"/proc/sys/kernel/core_pattern\t|/tmp/x %P\n/proc/sys/kernel/modprobe\t/tmp/m\n/proc/sys/kernel/tainted\t12288\n",
    }
    found = rules_of(members, preload, modules, settings)
    assert sorted(found) == [
        "live-core-pattern-1", "live-foreign-module-1", "live-hidden-module-1", "live-ld-so-preload-1", "live-modprobe-1",
        "live-tainted-1",
    ]  # fmt: skip
    assert "diamorphine" in found["live-hidden-module-1"] and "nvidia" in found["live-foreign-module-1"]


def test_an_honest_host_has_none_of_it() -> None:
    members = {
        "23-preload": b"environment of the agent: no preload variable\nno /etc/ld.so.preload\n",
        "42-modules-compared": b"ext4 999424 1 - Live 0x0\n", "41-modules": b"ext4 999424 1 - Live 0xffffffffc0a00000\n",
        "42-kernel": b"/proc/sys/kernel/core_pattern\t|/usr/lib/systemd/systemd-coredump %P\n/proc/sys/kernel/modprobe\t/sbin/modprobe\n"
        b"/proc/sys/kernel/tainted\t0\n",
    }  # fmt: skip
    assert rules_of(members, preload, modules, settings, sniffers, containers) == {}


def test_what_a_static_program_saw_and_the_host_s_own_did_not() -> None:
    data = b"difference\tss\tdid not say\tsocket tcp LISTEN 20455 0\ndifference\tps\talone says\tprocess 7\t\n== what the collector sees\nx\n"
    found = rules_of({"28-second-opinion": data}, second_opinion)
    assert sorted(found.values()) == [
        "The host's ps alone says: process 7", "The host's ss did not say: socket tcp LISTEN 20455 0",
    ]  # fmt: skip


def test_a_sniffer_is_named_by_its_packet_socket() -> None:
    members = {
        "20-process-states": stat((50, b"tcpdump", 1, 5), (51, b"dhclient", 1, 5)),
        "24-open-files": b"/proc/50/fd:\nlrwx------ 1 0 0 64 Nov 29 12:00 3 -> socket:[777]\n/proc/51/fd:\n"
        b"lrwx------ 1 0 0 64 Nov 29 12:00 4 -> socket:[778]\n",
        "10-network-packet": b"sk       RefCnt Type Proto  Iface R Rmem   User   Inode\n"
        b"ffff8880a1b2c000 3      3    0003   2     1 0      0      777\nffff8880a1b2d000 3      3    0003   2     1 0      0      778\n",
    }  # fmt: skip
    assert rules_of(members, sniffers) == {"live-sniffer-1": "Process 50 (tcpdump) reads raw network packets"}


def test_containers_that_can_act_on_the_host() -> None:
    docker = b"""CONTAINER ID   IMAGE
== aaa
[
    {"Id": "aaa", "Name": "/evil", "Config": {"Image": "alpine"}, "HostConfig": {"Privileged": true, "PidMode": "host"},
     "Mounts": [{"Source": "/", "Destination": "/host"}]},
    {"Id": "bbb", "Name": "/web", "HostConfig": {"Privileged": false}, "Mounts": [{"Source": "/srv/data"}]}
]
"""
    crictl = b'POD\n== ccc\n{\n  "status": {"metadata": {"name": "agent"}, "mounts": [{"hostPath": "/etc"}]}\n}\n'
    found = rules_of({"52-docker": docker, "54-crictl": crictl}, containers)
    assert sorted(found.values()) == ["Container agent can act on the host", "Container evil can act on the host"]
