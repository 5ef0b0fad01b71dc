"""A vmlinux and the packages that distributions put it into, built byte by byte for the tests."""

from __future__ import annotations

import io
import lzma
import struct
import tarfile

from tests.toolkit import btf_blob

RODATA = 0xFFFFFFFF82100000
PLACE = "usr/lib/debug/boot/vmlinux-6.99.0-test"


def vmlinux(
    *,
    btf: bytes | None = None,
    kallsyms: bytes | None = None,
    version: bytes = btf_blob.VERSION,
    machine: int = 62,
    more: dict[str, bytes] | None = None,
) -> bytes:
    """An ELF file with the sections that matter: .rodata with the banner, .BTF, symbols."""
    symbols = [
        (int(line.split()[0], 16), line.split()[2])
        for line in (kallsyms or btf_blob.kallsyms()).decode().splitlines()
        if len(line.split()) == 3
    ]
    symbols = [(address, name) for address, name in symbols if name != "linux_banner"] + [(RODATA + 16, "linux_banner")]
    texts, table = b"\0", bytes(24)
    for address, name in symbols:
        table += struct.pack("<IBBHQQ", len(texts), 1, 0, 1, address, 0)
        texts += name.encode() + b"\0"
    # A file's and a section's symbol, and one that is not defined here: no addresses of the kernel.
    table += struct.pack("<IBBHQQ", 1, 4, 0, 0xFFF1, 0, 0) + struct.pack("<IBBHQQ", 1, 3, 0, 1, 0, 0)
    table += struct.pack("<IBBHQQ", 1, 1, 0, 0, 0x1234, 0)
    parts = {".rodata": bytes(16) + version + b"\0" + bytes(16), ".symtab": table, ".strtab": texts}
    if btf != b"":
        parts[".BTF"] = btf or btf_blob.small()
    return _elf({**parts, **(more or {})}, machine=machine)


def _elf(parts: dict[str, bytes], *, machine: int) -> bytes:
    names = b"\0" + b"".join(name.encode() + b"\0" for name in (*parts, ".shstrtab"))
    headers, body = [bytes(64)], b""
    for name, content in (*parts.items(), (".shstrtab", names)):
        address = RODATA if name == ".rodata" else 0
        place = names.index(b"\0" + name.encode() + b"\0") + 1
        headers.append(struct.pack("<IIQQQQIIQQ", place, 1, 0, address, 64 + len(body), len(content), 0, 0, 1, 0))
        body += content
    head = (
        b"\x7fELF\x02\x01\x01"
        + bytes(9)
        + struct.pack(
            "<HHIQQQIHHHHHH", 2, machine, 1, 0, 0, 64 + len(body), 0, 64, 0, 0, 64, len(headers), len(headers) - 1
        )
    )
    return head + body + b"".join(headers)


def deb(kernel: bytes, *, name: str = f"./{PLACE}") -> bytes:
    """A Debian package with the kernel behind another file."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:xz") as archive:
        for path, content in (("./usr/share/doc/vmlinux", b"text"), (name, kernel)):
            member = tarfile.TarInfo(path)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    made = b"!<arch>\n"
    for member_name, content in (
        ("debian-binary", b"2.0\n"),
        ("control.tar.xz", b"odd"),
        ("data.tar.xz", packed.getvalue()),
    ):
        made += f"{member_name:<16}{'0':<12}{'0':<6}{'0':<6}{'100644':<8}{len(content):<10}`\n".encode()
        made += content + b"\n" * (len(content) % 2)
    return made


def rpm(kernel: bytes, *, name: str = "./usr/lib/debug/lib/modules/6.99/vmlinux") -> bytes:
    """An RPM package: lead, signature, header, payload."""
    cpio = b""
    for path, content in (("./usr/share/a", b"odd"), (name, kernel), ("TRAILER!!!", b"")):
        text = path.encode() + b"\0"
        fields = [1, 0o100644, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(text), 0]
        cpio += b"070701" + b"".join(f"{field:08x}".encode() for field in fields) + text
        cpio += bytes(-len(cpio) % 4) + content
        cpio += bytes(-len(cpio) % 4)
    signature = b"\x8e\xad\xe8\x01" + bytes(4) + struct.pack(">II", 1, 3) + bytes(16) + b"abc"
    header = b"\x8e\xad\xe8\x01" + bytes(4) + struct.pack(">II", 1, 5) + bytes(16) + b"abcde"
    return b"\xed\xab\xee\xdb" + bytes(92) + signature + bytes(-19 % 8) + header + lzma.compress(cpio, preset=0)
