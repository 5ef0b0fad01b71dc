"""Where file systems are mounted."""

from __future__ import annotations

from forensic_toolkit.filesystems.entries import Entry, Identity, Partition, Times
from forensic_toolkit.filesystems.mounts import Walked, arrange
from forensic_toolkit.results import Results
from forensic_toolkit.times import now
from tests.toolkit.fake_tree import Contents


def _walked(files: dict[str, bytes], *, description: str = "x", uuid: str = "", label: str = "") -> Walked:
    contents = Contents(dict(enumerate(files.values())), partition=Partition(1, 0, 0, description))
    entries = [
        Entry(path, inode, "REG", 0o100644, 0, 0, len(body), Times(), False, filesystem=contents)  # type: ignore[arg-type]
        for inode, (path, body) in enumerate(files.items())
    ]
    return Walked(contents, Identity(uuid, label), entries)  # type: ignore[arg-type]


def test_file_systems_are_placed_below_their_mount_points() -> None:
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
