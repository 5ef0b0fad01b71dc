"""What a scenario's `generate:` makes: logs, login records, histories, programs, archives."""

from __future__ import annotations

import base64
import hashlib
import io
import struct
import tarfile
import zlib
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from typing import Any

from lab.tools.disks.journal import Message, write_journal

_UTMP = struct.Struct("<hxxi32s4s32s256shhiii4s12x20x")
_LOGIN_KINDS = {"runlevel": 1, "boot": 2, "failed": 6, "login": 7, "logout": 8}
_STORED_MAX = 0xFFFF
Reader = Callable[[str], bytes]


class ContentError(ValueError):
    """A `generate:` that cannot be carried out; the message says which part."""


def generate(recipe: Mapping[str, Any], *, read: Reader) -> bytes:
    """The bytes for one recipe; `read` gives another path's content. ContentError if the recipe is bad."""
    kind = recipe.get("kind")
    maker = _MAKERS.get(str(kind))
    if maker is None:
        raise ContentError(f"unknown kind {kind!r}: one of {', '.join(sorted(_MAKERS))}")
    try:
        return maker(recipe, read)
    except (KeyError, TypeError, IndexError) as error:
        raise ContentError(f"{kind}: bad recipe: {error!r}") from error


def noise(seed: str, *, size: int) -> bytes:
    """`size` bytes that depend on the seed only: the body of a program nobody runs."""
    return hashlib.shake_128(seed.encode()).digest(size)


def elf(seed: str, *, size: int, strings: tuple[str, ...] = ()) -> bytes:
    """A file that is an x86-64 ELF program by its header, with given strings in it; its code is noise."""
    header = b"\x7fELF\x02\x01\x01" + b"\0" * 9
    header += struct.pack("<HHIQQQIHHHHHH", 3, 62, 1, 0x1000, 64, 0, 0, 64, 56, 1, 64, 0, 0)
    header += struct.pack("<IIQQQQQQ", 1, 5, 0, 0, 0, size, size, 0x1000)
    text = b"\0".join(string.encode() for string in strings) + b"\0"
    return (header + text + noise(seed, size=max(0, size - len(header) - len(text))))[:size]


def gzip_stored(data: bytes, *, mtime: int) -> bytes:
    """A gzip member without compression: the same bytes with any zlib. Source: RFC 1951, 1952."""
    body = b""
    pieces = [data[start : start + _STORED_MAX] for start in range(0, len(data), _STORED_MAX)] or [b""]
    for index, piece in enumerate(pieces):
        final = index == len(pieces) - 1
        body += struct.pack("<BHH", final, len(piece), len(piece) ^ 0xFFFF) + piece
    head = b"\x1f\x8b\x08\0" + struct.pack("<I", mtime) + b"\0\x03"
    return head + body + struct.pack("<II", zlib.crc32(data), len(data) & 0xFFFFFFFF)


def syslog_line(moment: datetime, *, host: str, program: str, message: str) -> str:
    """A line as rsyslog writes it in Debian 12: ISO time with microseconds."""
    micro = int.from_bytes(hashlib.sha256(f"{moment}{program}{message}".encode()).digest()[:3], "big") % 1_000_000
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{micro:06d}+00:00 {host} {program}: {message}\n"


def _syslog(recipe: Mapping[str, Any], _: Reader) -> bytes:
    """`events`: [time, program, message]; `cron` adds the hourly session lines of cron between two times."""
    events = [(_utc(time), str(program), str(message)) for time, program, message in recipe["events"]]
    if cron := recipe.get("cron"):
        start, end = (_utc(time) for time in cron)
        moment = start.replace(minute=17, second=1, microsecond=0)
        while moment < end:
            program = f"CRON[{1200 + int(moment.timestamp()) % 7919}]"
            if moment >= start:
                events.append(
                    (
                        moment,
                        program,
                        "pam_unix(cron:session): session opened for user root(uid=0) by (uid=0)",
                    )
                )
                events.append((moment, program, "pam_unix(cron:session): session closed for user root"))
            moment += timedelta(hours=1)
    events.sort(key=lambda event: event[0])
    host = str(recipe["host"])
    return "".join(syslog_line(at, host=host, program=program, message=text) for at, program, text in events).encode()


def _history(recipe: Mapping[str, Any], _: Reader) -> bytes:
    """bash history with times: a comment line of seconds since 1970 before each command."""
    lines = [f"#{int(_utc(time).timestamp())}\n{command}\n" for time, command in recipe["commands"]]
    return "".join(lines).encode()


def _logins(recipe: Mapping[str, Any], _: Reader) -> bytes:
    """utmp records (wtmp, btmp) as glibc lays them out on x86-64."""
    return b"".join(_login(record) for record in recipe["records"])


def _login(record: Mapping[str, Any]) -> bytes:
    address = str(record.get("host", ""))
    line = str(record.get("line", "~"))
    try:
        packed = IPv4Address(address).packed
    except ValueError:  # a kernel version stands there in boot records
        packed = b"\0" * 4
    ident = "~~" if line == "~" else line.removeprefix("pts/").removeprefix("ssh:")
    when = int(_utc(record["time"]).timestamp())
    kind, pid, user = _LOGIN_KINDS[record["type"]], int(record.get("pid", 0)), str(record.get("user", ""))
    names = (line.encode(), ident[:4].encode(), user.encode(), address.encode())
    return _UTMP.pack(kind, pid, *names, 0, 0, 0, when, 0, packed)


def _web_log(recipe: Mapping[str, Any], _: Reader) -> bytes:
    """nginx's combined format: `visits` harmless requests between two times, and `requests` as given."""
    start, end = (_utc(time) for time in recipe["between"])
    rows = [_visit(start, span=end - start, index=index, of=recipe["visits"]) for index in range(recipe["visits"])]
    for time, address, request, status, size, agent in recipe["requests"]:
        rows.append((_utc(time), f'{address} - - [{{}}] "{request}" {status} {size} "-" "{agent}"\n'))
    rows.sort(key=lambda row: row[0])
    return "".join(line.format(f"{moment:%d/%b/%Y:%H:%M:%S +0000}") for moment, line in rows).encode()


def _visit(start: datetime, *, span: timedelta, index: int, of: int) -> tuple[datetime, str]:
    dice = hashlib.sha256(f"visit {index}".encode()).digest()
    pages = (
        ("/", 612),
        ("/index.php", 1312),
        ("/style.css", 2048),
        ("/about.php", 1804),
        ("/img/logo.png", 8192),
    )
    page, size = pages[dice[0] % len(pages)]
    agents = (
        "Mozilla/5.0 (X11; Linux x86_64)",
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64)",
        "ELB-HealthChecker/2.0",
    )
    moment = start + span * index / of + timedelta(seconds=dice[1] % 20)
    visitor, agent = f"198.51.100.{dice[2] % 60 + 1}", agents[dice[3] % 3]
    line = f'{visitor} - - [{{}}] "GET {page} HTTP/1.1" 200 {size} "-" "{agent}"\n'
    return moment.replace(microsecond=0), line


def _program(recipe: Mapping[str, Any], _: Reader) -> bytes:
    return elf(str(recipe["seed"]), size=int(recipe["size"]), strings=tuple(recipe.get("strings", ())))


def _archive(recipe: Mapping[str, Any], read: Reader) -> bytes:
    """A tar.gz of paths of the image, as tar(1) would have packed them at `time`."""
    packed = io.BytesIO()
    moment = int(_utc(recipe["time"]).timestamp())
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for path in recipe["paths"]:
            data = read(path)
            member = tarfile.TarInfo(path.lstrip("/"))
            member.size, member.mtime, member.mode = len(data), moment, 0o640
            archive.addfile(member, io.BytesIO(data))
    return gzip_stored(packed.getvalue(), mtime=moment)


def _journal(recipe: Mapping[str, Any], read: Reader) -> bytes:
    """systemd's journal of what rsyslog wrote to `logs`, on the machine whose id lies in /etc/machine-id."""
    machine = read("/etc/machine-id").decode().strip()
    messages = []
    for line in b"".join(read(path) for path in recipe["logs"]).decode().splitlines():
        moment, host, program, text = line.split(" ", 3)
        name, _, pid = program.rstrip(":").partition("[")
        fields = [f"MESSAGE={text}", f"SYSLOG_IDENTIFIER={name}", f"_HOSTNAME={host}", f"_MACHINE_ID={machine}"]
        fields += [f"_PID={pid.rstrip(']')}"] if pid else ["_TRANSPORT=kernel"] if name == "kernel" else []
        since = datetime.fromisoformat(moment) - datetime(1970, 1, 1, tzinfo=UTC)
        messages.append(Message(since // timedelta(microseconds=1), tuple(field.encode() for field in fields)))
    return write_journal(messages, machine=machine, boot=hashlib.sha256(machine.encode()).hexdigest()[:32])


def _base64(recipe: Mapping[str, Any], _: Reader) -> bytes:
    """Bytes as given: what no recipe makes, such as damage."""
    return base64.b64decode(str(recipe["data"]), validate=True)


def _copy(recipe: Mapping[str, Any], read: Reader) -> bytes:
    return read(str(recipe["path"]))


def _zone_utc(_: Mapping[str, Any], __: Reader) -> bytes:
    """The compiled time zone UTC, version 2. Source: RFC 8536."""
    block = b"TZif2" + b"\0" * 15 + struct.pack(">6I", 0, 0, 0, 0, 1, 4) + struct.pack(">iBB", 0, 0, 0) + b"UTC\0"
    return block + block + b"\nUTC0\n"


def _utc(value: Any) -> datetime:
    if not isinstance(value, datetime) or value.tzinfo is None:
        raise ContentError(f"{value!r} is not a time with a zone: write 2026-11-21T02:06:12Z")
    return value.astimezone(UTC)


_MAKERS: dict[str, Callable[[Mapping[str, Any], Reader], bytes]] = {
    "syslog": _syslog,
    "history": _history,
    "logins": _logins,
    "web_log": _web_log,
    "program": _program,
    "archive": _archive,
    "base64": _base64,
    "copy": _copy,
    "journal": _journal,
    "zone_utc": _zone_utc,
}
