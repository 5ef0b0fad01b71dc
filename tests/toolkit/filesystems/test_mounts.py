"""Where file systems are mounted."""

from __future__ import annotations

from forensic_toolkit.filesystems.entries import Entry, Identity, Partition, Times
from forensic_toolkit.filesystems.entry_table import EntryTable
from forensic_toolkit.filesystems.mounts import Walked, arrange
from forensic_toolkit.results import Results
from forensic_toolkit.times import now
from tests.toolkit.fake_tree import Contents


def _walked(
    files: dict[str, bytes], *, description: str = "x", uuid: str = "", label: str = "", names: tuple[str, ...] = ()
) -> Walked:
    contents = Contents(dict(enumerate(files.values())), partition=Partition(1, 0, 0, description, names=names))
    entries = [
        Entry(path, inode, "REG", 0o100644, 0, 0, len(body), Times(), False, filesystem=contents)  # type: ignore[arg-type]
        for inode, (path, body) in enumerate(files.items())
    ]
    return Walked(contents, Identity(uuid, label), EntryTable(entries))  # type: ignore[arg-type]


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


def test_partitions_are_found_by_the_names_of_their_table_and_udevs_links() -> None:
    """fstab(5): PARTUUID and PARTLABEL; cloud images name the root so, and further disks by /dev/disk."""
    fstab = rb"""PARTUUID=1A2B3C4D-02 /var ext4 defaults 0 0
PARTLABEL=logs /var/log ext4 defaults 0 0
/dev/disk/by-uuid/AA-1 /srv xfs defaults 0 0
/dev/disk/by-partlabel/my\x20data /data xfs defaults 0 0
PARTUUID=dead-01 /gone xfs defaults 0 0
"""
    walked = [
        _walked({"/lib/x": b""}, names=("partuuid:1a2b3c4d-02",)),
        _walked({"/secure": b""}, names=("partuuid:0-1", "partlabel:logs")),
        _walked({"/s": b""}, uuid="aa-1"),
        _walked({"/d": b""}, names=("partlabel:my data",)),
        _walked({"/etc/fstab": fstab, "/etc/passwd": b"root"}, label="root"),
    ]
    results = Results("fc-20260101-0123456789", "disk-1", "disk", started=now())
    paths = [entry.path for entry in arrange(walked, results=results)]
    assert paths == ["/etc/fstab", "/etc/passwd", "/var/lib/x", "/var/log/secure", "/srv/s", "/data/d"]
    assert [what for what, _why in results.gaps] == ["mount point /gone"]


def test_plain_names_of_disks_are_no_gap_and_the_systems_own_partitions_are_found() -> None:
    """Xen's /dev/xvda is /dev/nvme0n1 on another instance type; /dev/sdf of the console is any of them (EC2 User Guide)."""
    fstab = b"""LABEL=root / ext4 defaults 0 1
/dev/xvda2 /var ext4 defaults 0 2
/dev/nvme0n1p3 /home ext4 defaults 0 2
/dev/xvdf /data xfs defaults,nofail 0 2
/dev/sdb1 /backup ext4 defaults 0 0
UUID=ff /gone ext4 defaults 0 0
"""
    walked = [
        _walked({"/etc/fstab": fstab, "/etc/passwd": b"root"}, label="root", names=("number:1",)),
        _walked({"/log/secure": b""}, names=("number:2",)),
        _walked({"/kim/x": b""}, names=("number:3",)),
    ]
    results = Results("fc-20260101-0123456789", "disk-1", "disk", started=now())
    paths = [entry.path for entry in arrange(walked, results=results)]
    assert paths == ["/etc/fstab", "/etc/passwd", "/var/log/secure", "/home/kim/x"]
    assert [what for what, _ in results.gaps] == ["mount point /gone"]
    assert [what for what, _ in results.notes] == ["mount point /data", "mount point /backup"]
    assert all("no lasting name" in why for _, why in results.notes)


def test_a_partition_of_another_disk_does_not_take_the_place_of_the_systems_own() -> None:
    fstab = b"/dev/sdb1 / ext4 defaults 0 1\n/dev/sda2 /data ext4 defaults 0 2\n/dev/sdb2 /var ext4 defaults 0 2\n"
    walked = [
        _walked({"/etc/fstab": fstab, "/etc/passwd": b"root"}, names=("number:1",)),
        _walked({"/log/x": b""}, names=("number:2",)),
    ]
    results = Results("fc-20260101-0123456789", "disk-1", "disk", started=now())
    assert [entry.path for entry in arrange(walked, results=results)][2:] == ["/var/log/x"]
    assert results.gaps == [] and [what for what, _ in results.notes] == ["mount point /data"]
