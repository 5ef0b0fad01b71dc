"""Encrypted volumes made by cryptsetup, opened with keys that a user offers.

``cryptsetup reencrypt --encrypt`` writes header and data without the device mapper (cryptsetup-reencrypt(8)); LUKS1 is made of LUKS2 by
``cryptsetup convert``.
"""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from forensic_toolkit.errors import EvidenceError
from forensic_toolkit.filesystems.luks import WHAT_TO_DO
from forensic_toolkit.filesystems.storage import Served
from tests.toolkit.examined import _WHOLE, NO_TOOLS, TOOLS, run
from tests.toolkit.filesystems.test_real_images import _READ, digest, living, mounted, unpacked

CRYPTSETUP = shutil.which("cryptsetup", path="/usr/sbin:/sbin:/usr/bin:/bin")
KEY, OTHER = "correct horse", "not the right one"
ENCODED = base64.b64encode(KEY.encode()).decode()
MIB = 1 << 20
CHEAP = ("--pbkdf-force-iterations", "1000")
QUICKLY = ("--resilience", "none", "--key-file", "-")
_KEYS = (
    "import json, sys; from forensic_toolkit.filesystems import volumes; from forensic_toolkit.filesystems.luks import Key\n"
    "offered = [Key(name, value.encode()) for name, value in json.loads(sys.argv.pop(1)).items()]\n"
    "Plain = volumes.Disk\n"
    "volumes.Disk = lambda device, others=(): Plain(device, others=others, keys=offered)\n"
)

pytestmark = [
    pytest.mark.skipif(not TOOLS.exists(), reason=NO_TOOLS),
    pytest.mark.skipif(
        CRYPTSETUP is None,
        reason="cryptsetup is not on this machine (Debian: cryptsetup-bin): no encrypted volumes are read",
    ),
]


def cryptsetup(*arguments: str, key: str = KEY) -> None:
    """Run cryptsetup with a passphrase on stdin."""
    done = subprocess.run(
        [str(CRYPTSETUP), "--batch-mode", *arguments], input=key, text=True, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr


def encrypted(plain: Path, *options: str, kdf: str = "pbkdf2", one: bool = False) -> Path:
    """The image encrypted, with its header before it; ``one``: as LUKS1."""
    path = plain.with_suffix(".luks")
    shutil.copy(plain, path)
    with path.open("r+b") as file:
        file.truncate(plain.stat().st_size + 32 * MIB)
    cost = ("--pbkdf-memory", "32768", "--pbkdf-force-iterations", "4") if kdf != "pbkdf2" else CHEAP
    more = ("--pbkdf", kdf, *cost, "--reduce-device-size", "32M", *QUICKLY, *options)
    cryptsetup("reencrypt", "--encrypt", "--type", "luks2", *more, str(path))
    if one:
        cryptsetup("convert", "--type", "luks1", str(path))
    return path


def read(image: Path, *others: Path, keys: dict[str, str] | None = None) -> dict[str, Any]:
    """What an examination with keys reads; the image must not change by it."""
    before = digest(image)
    document: dict[str, Any] = json.loads(run(_KEYS + _READ, json.dumps(keys or {}), str(image), *map(str, others)))
    assert digest(image) == before
    return document


def gap(document: dict[str, Any]) -> str:
    """The one gap."""
    ((_, why),) = document["gaps"]
    return str(why)


KINDS = [
    pytest.param({"one": True}, "LUKS1", id="LUKS1"),
    pytest.param({"kdf": "argon2id"}, "LUKS2", id="LUKS2 argon2id"),
    pytest.param({"kdf": "argon2i"}, "LUKS2", id="LUKS2 argon2i"),
    pytest.param({}, "LUKS2", id="LUKS2 pbkdf2"),
]


@pytest.mark.parametrize(("how", "version"), KINDS)
def test_an_encrypted_volume_reads_as_the_plain_one(how: dict[str, Any], version: str, tmp_path: Path) -> None:
    """The journal inside is replayed over the decrypted bytes: what the kernel's mount gave of the plain image."""
    plain = unpacked("ext4-dirty", tmp_path)
    document = read(encrypted(plain, **how), keys={"/forensics/disk-keys/old": OTHER, "/forensics/disk-keys/web": KEY})
    assert document["gaps"] == []
    assert document["problems"] == []
    assert living(document) == mounted("ext4-dirty")
    notes = str(document["notes"])
    assert f"{version} " in notes and "was opened with the key /forensics/disk-keys/web (slot 0)" in notes
    assert "was replayed on an overlay" in notes
    assert KEY not in json.dumps(document)


@pytest.mark.parametrize(
    "options", [("--sector-size", "4096"), ("--cipher", "aes-cbc-essiv:sha256", "--key-size", "256")]
)
def test_other_sectors_and_ciphers(options: tuple[str, ...], tmp_path: Path) -> None:
    document = read(encrypted(unpacked("btrfs-subvolumes", tmp_path), *options), keys={"k": KEY})
    assert document["gaps"] == []
    assert document["problems"] == []
    assert {"/etc/passwd", "/home/kim/.bash_history"} <= set(document["found"])


def test_lvm_within_luks_with_an_xfs_beside(tmp_path: Path) -> None:
    """As installers do it: a volume group on one encrypted partition; the reader of XFS is a program of its own."""
    inner = read(encrypted(unpacked("xfs-dirty", tmp_path)), keys={"k": KEY})
    assert inner["gaps"] == []
    assert inner["kinds"] == ["XFS"]
    assert living(inner) == mounted("xfs-dirty")
    members = [unpacked(f"lvm-{number}", tmp_path) for number in (1, 2, 3)]
    plain = read(members[0], *members[1:])
    hidden = read(encrypted(members[0]), *members[1:], keys={"k": KEY})
    assert hidden["found"] == plain["found"] != {}
    assert hidden["gaps"] == plain["gaps"]


def test_a_volume_group_over_several_encrypted_volumes(tmp_path: Path) -> None:
    """Each disk of the instance encrypted for itself: the others are opened for what they hold of this one's group, and for nothing else."""
    members = [unpacked(f"lvm-{number}", tmp_path) for number in (1, 2, 3)]
    plain = read(members[0], *members[1:])
    hidden = [encrypted(member) for member in members]
    apart = encrypted(unpacked("ext4-dirty", tmp_path))
    document = read(*hidden, apart, keys={"k": KEY})
    assert document["found"] == plain["found"] != {}
    assert document["gaps"] == plain["gaps"]
    cryptsetup("luksChangeKey", *CHEAP, "--pbkdf", "pbkdf2", "--key-file", "-", str(hidden[2]), str(_other(tmp_path)))
    lacking = read(*hidden, keys={"k": KEY})
    assert any(
        "on another volume of the instance" in note and "none of the offered keys" in note
        for _, note in lacking["notes"]
    )
    assert lacking["gaps"]


def _other(folder: Path) -> Path:
    path = folder / "other.key"
    path.write_text(OTHER)
    return path


def test_without_a_key_and_with_a_wrong_one(tmp_path: Path) -> None:
    image = encrypted(unpacked("swap", tmp_path))
    uuid = subprocess.run(
        [str(CRYPTSETUP), "luksUUID", str(image)], capture_output=True, text=True, check=True
    ).stdout.strip()
    without = gap(read(image))
    assert f"UUID {uuid}: no key was offered for it" in without
    assert WHAT_TO_DO in without
    wrong = gap(read(image, keys={"/forensics/disk-keys/web": OTHER}))
    assert f"UUID {uuid}: none of the offered keys (/forensics/disk-keys/web) opens one of its 1 key slots" in wrong
    assert OTHER not in wrong


def test_the_line_break_that_an_editor_leaves(tmp_path: Path) -> None:
    document = read(encrypted(unpacked("swap", tmp_path)), keys={"k": f"{KEY}\n"})
    assert document["gaps"] == []


def test_a_damaged_first_header_is_done_without(tmp_path: Path) -> None:
    image = encrypted(unpacked("ext4-dirty", tmp_path))
    for wiped in (8, 4096):
        with image.open("r+b") as file:
            file.seek(0 if wiped == 8 else 4096)
            file.write(b"x" * wiped)
        document = read(image, keys={"k": KEY})
        assert document["gaps"] == []
        assert "its first header is damaged or out of date; the other copy of it was used" in str(document["notes"])
        assert "/etc/passwd" in document["found"]


def test_both_headers_damaged(tmp_path: Path) -> None:
    image = encrypted(unpacked("swap", tmp_path))
    with image.open("r+b") as file:
        for place in (4096, 16384 + 4096):
            file.seek(place)
            file.write(b"x" * 64)
    assert "both copies of its header are damaged" in gap(read(image, keys={"k": KEY}))


def test_a_damaged_key_slot(tmp_path: Path) -> None:
    image = encrypted(unpacked("swap", tmp_path))
    with image.open("r+b") as file:
        file.seek(32768)
        file.write(bytes(65536))
    assert "a wrong key, or a damaged slot" in gap(read(image, keys={"k": KEY}))


def test_erased_slots(tmp_path: Path) -> None:
    image = encrypted(unpacked("swap", tmp_path))
    cryptsetup("erase", str(image))
    assert "all of its key slots are erased" in gap(read(image, keys={"k": KEY}))


def test_a_detached_header_is_named_on_both_volumes(tmp_path: Path) -> None:
    header, data = tmp_path / "header.raw", unpacked("btrfs-subvolumes", tmp_path)
    header.write_bytes(bytes(16 * MIB))
    cryptsetup(
        "reencrypt", "--encrypt", "--type", "luks2", "--pbkdf", "pbkdf2", *CHEAP, *QUICKLY, "--header", str(header), str(data),
    )  # fmt: skip
    assert "(a detached header)" in gap(read(header, keys={"k": KEY}))
    why = gap(read(data, keys={"k": KEY}))
    assert (
        "its content looks random: encrypted without a header on this volume (plain dm-crypt, a detached or wiped"
        in why
    )


def test_an_interrupted_encryption_is_named(tmp_path: Path) -> None:
    plain = unpacked("swap", tmp_path)
    with plain.open("r+b") as file:
        file.truncate(plain.stat().st_size + 32 * MIB)
    cryptsetup(
        "reencrypt", "--encrypt", "--init-only", "--type", "luks2", "--pbkdf", "pbkdf2", *CHEAP, "--reduce-device-size", "32M", *QUICKLY, str(plain),
    )  # fmt: skip
    assert "it was being re-encrypted when the snapshot was taken" in gap(read(plain, keys={"k": KEY}))


def test_a_truncated_volume(tmp_path: Path) -> None:
    """The file system inside says what is missing; a header whose data are gone altogether is named."""
    image = encrypted(unpacked("ext4-dirty", tmp_path))
    with image.open("r+b") as file:
        file.truncate(image.stat().st_size - 24 * MIB)
    assert any("bytes at its end are missing" in why for _, why in read(image, keys={"k": KEY})["gaps"])
    with image.open("r+b") as file:
        file.truncate(16 * MIB)
    assert "(a detached header)" in gap(read(image, keys={"k": KEY}))


def test_the_whole_way_from_the_manifest_leaves_no_key_behind(tmp_path: Path) -> None:
    """Confined as on the forensic instance, dissect beside it: the log-in in the encrypted disk is read, no output holds the key."""
    image = encrypted(unpacked("ext4-dirty", tmp_path))
    program = _WHOLE.replace(
        'manifest.parse("forensics-manifest 1")', f'manifest.parse("forensics-manifest 1\\nkey /k/web {ENCODED}")'
    ).replace(
        'document["log"]',
        'document["left"] = [str(path) for path in work.rglob("*") if path.is_file() and any(key in path.read_bytes() for key in KEYS)]\n'
        '    document["files"] = sorted(path.name for path in work.iterdir())\n    document["log"]',
    )
    keys = f"KEYS = ({KEY.encode()!r}, {ENCODED.encode()!r})\n"
    document = json.loads(run(keys + program, str(image), str(tmp_path / "timeline"), "240", "quick"))
    assert document["failure"] is None
    assert document["left"] == []
    assert "keys.json" not in document["files"] and "job.json" in document["files"]
    assert any("203.0.113.9" in finding["detail"] + finding["title"] for finding in document["findings"])
    assert "encrypted" not in str(document["gaps"])
    assert any("what is encrypted; its counts were not compared" in note["why"] for note in document["notes"])


def test_a_server_that_ended_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        Served(str(tmp_path / "socket"), 512).read(0, 16)
    assert issubclass(EvidenceError, Exception)
