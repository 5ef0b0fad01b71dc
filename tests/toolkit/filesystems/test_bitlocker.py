"""BitLocker volumes: opened with what a user offers, named with what they need otherwise. cryptsetup confirms the volumes that are made here.

The reader was also held against volumes of Windows in cryptsetup's own tests: the four CBC and XTS ones and the first with a diffuser have the digests
that are listed there, all fifteen XTS and To Go ones open. Volumes opened by a key file (``.BEK``) were not tried on real ones.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from forensic_toolkit.filesystems import signatures
from forensic_toolkit.filesystems.luks import WHAT_TO_DO
from forensic_toolkit.filesystems.storage import Stored
from lab.tools.windows import server
from tests.toolkit import bitlocker_volumes as made
from tests.toolkit.examined import _WHOLE, NO_TOOLS, TOOLS, run
from tests.toolkit.filesystems.test_luks import CRYPTSETUP, ENCODED, KEY, gap, read
from tests.toolkit.filesystems.test_real_images import living, mounted, unpacked

needs_tools = pytest.mark.skipif(not TOOLS.exists(), reason=NO_TOOLS)
NAMED = "/forensics/disk-keys/web"


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A volume with a journal to be replayed; two bytes before its file system make its first sector one that boots."""
    path = unpacked("ext4-dirty", tmp_path_factory.mktemp("plain"))
    with path.open("r+b") as file:
        file.seek(510)
        file.write(b"\x55\xaa")
    return path


@pytest.fixture(scope="module")
def volume(plain: Path) -> Path:
    """It, encrypted."""
    return made.encrypted(plain)


@pytest.mark.skipif(CRYPTSETUP is None, reason="cryptsetup is not on this machine (Debian: cryptsetup-bin)")
def test_cryptsetup_sees_a_bitlocker_volume_with_this_recovery_password(volume: Path) -> None:
    dump = subprocess.run(
        [str(CRYPTSETUP), "bitlkDump", str(volume)], capture_output=True, text=True, check=True
    ).stdout
    assert str(made.VOLUME) in dump and "aes-xts-plain64" in dump and "VMK protected with recovery passphrase" in dump
    argv = [str(CRYPTSETUP), "bitlkDump", "--dump-volume-key", "--batch-mode", "--key-file", "-", str(volume)]
    key = subprocess.run(argv, input=made.recovery_password(), capture_output=True, text=True, check=False)
    assert key.returncode == 0, key.stderr


@needs_tools
def test_a_volume_reads_as_the_plain_one(volume: Path) -> None:
    document = read(volume, keys={"other": "not it", NAMED: made.recovery_password() + "\n"})
    assert document["gaps"] == [] and document["problems"] == []
    assert living(document) == mounted("ext4-dirty")
    said = f"BitLocker {made.VOLUME} (aes-xts-128-plain64) was opened with the key {NAMED} (recovery password)"
    assert said in str(document["notes"])
    assert made.recovery_password() not in json.dumps(document)


@needs_tools
def test_without_a_key_and_with_a_wrong_one(volume: Path) -> None:
    needs = f"it needs the recovery password {{{made.PROTECTOR}}}"
    without = gap(read(volume))
    assert without.startswith(f"BitLocker, encrypted, UUID {made.VOLUME}: no key was offered for it: {needs}")
    assert WHAT_TO_DO in without
    wrong = gap(read(volume, keys={NAMED: made.recovery_password(2), "text": "a passphrase"}))
    assert f"none of the offered keys ({NAMED}, text) opens it" in wrong and needs in wrong
    assert made.recovery_password(2) not in wrong


@needs_tools
def test_suspended_protection_needs_no_key(plain: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copy(plain, tmp_path / "suspended.raw"))
    document = read(made.encrypted(copy, suspended=True))
    assert document["gaps"] == []
    assert "with its own key in the clear, as its protection was suspended" in str(document["notes"])
    assert living(document) == mounted("ext4-dirty")


@needs_tools
def test_to_go_is_not_taken_for_fat(plain: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copy(plain, tmp_path / "go.raw"))
    image = made.encrypted(copy, to_go=True)
    assert signatures.content_of(Stored(str(image))).kind == signatures.BITLOCKER
    assert gap(read(image)).startswith("BitLocker, encrypted, UUID")
    assert read(image, keys={"k": made.recovery_password()})["gaps"] == []


@needs_tools
def test_damaged_metadata_and_what_decrypts_to_nothing(volume: Path, tmp_path: Path) -> None:
    content = volume.read_bytes()
    data = len(content) - made.SPARE
    image = tmp_path / "damaged.raw"
    image.write_bytes(content[: data + 100] + b"x" * 16 + content[data + 116 :])
    assert read(image, keys={"k": made.recovery_password()})["gaps"] == []  # the other copies of them are sound
    image.write_bytes(content[:data] + bytes(made.SPARE))
    assert "its metadata are damaged" in gap(read(image))
    moved = data + 6 * 65536
    image.write_bytes(content[:moved] + bytes(8192) + content[moved + 8192 :])
    assert "what it decrypts begins with no boot sector" in gap(read(image, keys={"k": made.recovery_password()}))


@needs_tools
@pytest.mark.investigate
@pytest.mark.skipif(server.missing() is not None, reason=server.missing() or "")
def test_a_windows_server_in_it_is_examined_to_the_registry(tmp_path: Path) -> None:
    """The readers of dissect, too, get the decrypted volume; no output holds the key."""
    plain = tmp_path / "windows.raw"
    server.ntfs(plain)
    image = made.encrypted(plain)
    program = _WHOLE.replace(
        'manifest.parse("forensics-manifest 1")',
        f'manifest.parse("forensics-manifest 1\\nkey /k/web {ENCODED}\\nkey /k/rp {made.encoded()}")',
    )
    document = json.loads(run(program, str(image), str(tmp_path / "timeline"), "1800", "quick"))
    assert document["failure"] is None and document["gaps"] == []
    assert {"T1543.003", "T1547.001", "T1053.005", "T1204.002"} <= {item["technique"] for item in document["findings"]}
    said = json.dumps(document)
    assert KEY not in said and made.recovery_password() not in said
