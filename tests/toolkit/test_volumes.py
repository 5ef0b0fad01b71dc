"""Logical volumes, mount points and superblocks: what lies where on a disk."""

from __future__ import annotations

import io
import struct

import pytest

from forensic_toolkit import lvm, volumes
from forensic_toolkit.conversation import Conversation
from forensic_toolkit.dissect_runner import freed_names
from forensic_toolkit.errors import EvidenceError
from forensic_toolkit.filesystem import Entry, Identity, Partition, Times
from forensic_toolkit.mounts import Walked, arrange
from forensic_toolkit.results import Results
from forensic_toolkit.stretches import Stretches
from forensic_toolkit.times import now
from lab.tools.disks.lvm import EXTENT, write_lvm
from tests.toolkit.fake_tree import Contents

SIZE = 12 * EXTENT


def physical_volume(change: tuple[bytes, bytes] | None = None) -> lvm.Read:
    """A reader of a physical volume as the lab writes it, with some bytes of its metadata replaced."""
    out = io.BytesIO(bytes(SIZE))
    write_lvm(out, offset=0, size=SIZE, seed="test", made=1_700_000_000)
    image = out.getvalue()
    if change:
        old, new = change
        assert image.count(old) == 1
        image = image.replace(old, new.ljust(len(old)))
    return lambda offset, length: image[offset : offset + length]


def test_segments_come_in_the_volumes_order() -> None:
    (volume,) = lvm.volumes(physical_volume())
    assert isinstance(volume, lvm.LogicalVolume)
    assert (volume.group, volume.name) == ("vg0", "root")
    assert volume.pieces == ((4 * EXTENT, 8 * EXTENT), (EXTENT, 3 * EXTENT))


def test_stripes_take_turns() -> None:
    read = physical_volume(
        (
            b'extent_count = 8\ntype = "striped"\nstripe_count = 1\nstripes = [\n"pv0", 3\n]',
            b'extent_count=1 type="striped"stripe_size=1024 stripes=["pv0",3,"pv0",7]',
        )
    )
    (volume,) = lvm.volumes(read)
    assert isinstance(volume, lvm.LogicalVolume)
    assert volume.pieces[:2] == ((4 * EXTENT, EXTENT // 2), (8 * EXTENT, EXTENT // 2))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ((b'extent_count = 8\ntype = "striped"', b'extent_count = 8\ntype = "thin"'), "type thin"),
        ((b'stripes = [\n"pv0", 3', b'stripes = [\n"pv9", 3'), "other volumes"),
    ],
)
def test_a_volume_that_cannot_be_put_together_says_why(change: tuple[bytes, bytes], reason: str) -> None:
    (volume,) = lvm.volumes(physical_volume(change))
    assert isinstance(volume, lvm.Refused)
    assert reason in volume.why


@pytest.mark.parametrize(
    "change",
    [
        (b"segment_count = 2", b"segment_count = 3"),
        (b"logical_volumes {", b"logical_volumes ="),
        (b'"Text Format Volume Group"', b'"' + b"{" * 9),
        (b" LVM2 x[5A%r0N*>", b" LVM2 y"),
        (b"extent_size = 2048", b"extent_size = x"),
    ],
)
def test_damaged_metadata_is_named(change: tuple[bytes, bytes]) -> None:
    with pytest.raises(EvidenceError, match="LVM"):
        lvm.volumes(physical_volume(change))


def test_reading_over_the_edges_of_pieces(tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("pieces") / "device"
    path.write_bytes(bytes(range(100)))
    outer = Stretches([(50, 10), (20, 10)])
    inner = outer.inside([(5, 10)])
    assert inner.pieces == ((55, 5), (20, 5))
    with path.open("rb") as file:
        assert inner.read(file.fileno(), offset=3, length=100) == bytes([58, 59, 20, 21, 22, 23, 24])
        assert inner.read(file.fileno(), offset=10, length=5) == b""
        assert Stretches([(98, 10)]).read(file.fileno(), offset=0, length=10) == bytes([98, 99])


def _walked(files: dict[str, bytes], *, description: str = "x", uuid: str = "", label: str = "") -> Walked:
    contents = Contents(dict(enumerate(files.values())), partition=Partition(1, 0, 0, description))
    entries = [
        Entry(path, inode, "REG", 0o100644, 0, 0, len(body), Times(), False, filesystem=contents)  # type: ignore[arg-type]
        for inode, (path, body) in enumerate(files.items())
    ]
    return Walked(contents, Identity(uuid, label), entries)  # type: ignore[arg-type]


def test_file_systems_go_below_their_mount_points() -> None:
    fstab = b"""UUID=AA-1 /var xfs defaults 0 0
LABEL=home /home ext4 defaults 0 0
/dev/mapper/vg--0-data /srv xfs defaults 0 0
# UUID=dead /x
UUID=ee /../../etc xfs defaults 0 0
UUID=ff /data ext4 defaults 0 0
UUID=fe /boot/efi vfat defaults 0 0
tmpfs /tmp tmpfs defaults 0 0
"""
    walked = [
        _walked({"/log/secure": b""}, uuid="aa-1"),
        _walked({"/kim/.bashrc": b""}, label="home"),
        _walked({"/d": b""}, description="LVM vg-0/data"),
        _walked({"/evil": b""}, uuid="ee"),
        _walked({"/etc/fstab": fstab, "/etc/passwd": b"root"}, label="root"),
    ]
    results = Results("fc-20260101-0123456789", "disk-1", "disk", started=now())
    paths = [entry.path for entry in arrange(walked, results=results)]
    assert [what for what, _why in results.gaps] == ["mount point /data"]
    assert paths == ["/etc/fstab", "/etc/passwd", "/var/log/secure", "/home/kim/.bashrc", "/srv/d", "/evil"]


def test_without_a_system_paths_stay() -> None:
    results = Results("fc-20260101-0123456789", "disk-1", "disk", started=now())
    walked = [_walked({"/a": b""}), _walked({"/b": b""})]
    assert [entry.path for entry in arrange(walked, results=results)] == ["/a", "/b"]
    assert results.gaps == []


def test_superblocks_say_who_they_are() -> None:
    xfs = bytearray(4096)
    xfs[:4], xfs[108:112], xfs[32:48] = b"XFSB", b"data", bytes(range(16))
    struct.pack_into(">QQ", xfs, 128, 64, 4)
    assert volumes.identity(bytes(xfs)) == Identity("00010203-0405-0607-0809-0a0b0c0d0e0f", "data", 60)
    assert volumes.identity(bytes(4096)) == Identity()


def _directory_entry(inode: int, name: bytes) -> bytes:
    raw = struct.pack(">QB", inode, len(name)) + name + b"\x01"
    return raw.ljust(-(-(len(raw) + 2) // 8) * 8 - 2, b"\0") + b"\0\0"


def test_names_removed_from_xfs_directories() -> None:
    first, gone, last = (_directory_entry(*item) for item in ((64, b"stays"), (65, b"stage.tar.gz"), (66, b"too")))
    # The kernel puts the free tag and the length over the first four bytes of what it removes.
    freed = struct.pack(">HH", 0xFFFF, len(gone)) + gone[4:]
    entries = first + freed + last
    rest = 512 - 64 - len(entries)
    block = b"XDD3" + bytes(60) + entries + struct.pack(">HH", 0xFFFF, rest) + bytes(rest - 4)
    assert list(freed_names(block, block=512, has_type=True)) == [(65, "stage.tar.gz")]
    assert list(freed_names(b"\xff" * 512, block=512, has_type=True)) == []
    # A length of nothing must not go on for ever.
    assert list(freed_names(b"XDD3" + bytes(60) + b"\xff\xff\0\0" + bytes(444), block=512, has_type=True)) == []


def test_a_conversation_needs_pipes(tmp_path_factory: pytest.TempPathFactory) -> None:
    import subprocess

    with subprocess.Popen(["/bin/true"]) as process, pytest.raises(ValueError, match="pipes"):
        Conversation(process, errors=tmp_path_factory.mktemp("x") / "e")
