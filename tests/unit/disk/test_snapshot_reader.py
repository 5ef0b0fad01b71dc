"""A disk's digest is sha256sum of its raw image, however sparse, however often interrupted; fast, in bounded memory."""

from __future__ import annotations

import hashlib
import json
import os
import resource
import subprocess
import time
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from forensics.aws import ebs_direct
from forensics.aws.case_store import CaseStore
from forensics.aws.ebs_direct import EbsDirectGateway
from forensics.disk.image import DiskDigest, digest_document
from forensics.disk.snapshot_reader import BlockSink, ReadProgress, SnapshotReader
from forensics.errors import AwsError, DigestMismatchError
from forensics_verify.restore import RestoreError, restore
from tests.unit.builders import CASE_ID
from tests.unit.disk.raw_volume import BLOCK, RawVolume, raw_image, sha256sum

FULL = os.environ.get("CUSTODY_CHECK") == "full"
GIB, UNIT = 1024**3, 32 * 1024**2
SNAPSHOT = "snap-0123456789abcdef0"


class Kept:
    """An evidence store that keeps what it gets, create-only."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}

    def uri(self, key: str) -> str:
        return f"s3://evidence/{key}"

    def put(self, key: str, body: bytes, *, content_type: str) -> None:
        assert self.objects.setdefault(key, body) == body, "other bytes under the same key"

    def put_stream(self, key: str, chunks: Iterator[bytes]) -> None:
        self.put(key, b"".join(chunks), content_type="")


@pytest.fixture(autouse=True)
def small_units(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """Let EBS count in 32 MiB instead of GiB, so that a volume is hashed in milliseconds."""
    if "true_size" in request.keywords:
        return GIB
    monkeypatch.setattr(ebs_direct, "GIB", UNIT)
    return UNIT


def image(path: Path, written: list[int], *, units: int = 1, **more: Any) -> Path:
    return raw_image(path, written=written, size=units * UNIT, **more)


def volume_of(path: Path, **options: Any) -> RawVolume:
    return RawVolume(path, gib=UNIT, **options)


def gateway(volume: RawVolume) -> EbsDirectGateway:
    return EbsDirectGateway(volume, account_id="222233334444", region="eu-central-1")


def read(volume: RawVolume, sink: BlockSink | None = None, **options: Any) -> DiskDigest:
    return SnapshotReader(gateway(volume), sink=sink or BlockSink(None), **options).read(SNAPSHOT)


@pytest.mark.parametrize(
    "written", [[], [0], [63], [0, 1, 2, 63], [5, 9, 10, 40], list(range(64))], ids=lambda w: f"{len(w)}-{w[:1]}"
)
def test_the_digest_is_sha256sum_of_the_raw_image(tmp_path: Path, written: list[int]) -> None:
    path = image(tmp_path / "disk.raw", written)
    digest = read(volume_of(path, page=7), threads=4, segment_blocks=3)
    assert digest.sha256 == sha256sum(path)
    assert (digest.blocks, digest.volume_bytes) == (len(written), UNIT)


def test_the_block_manifest_and_the_data_are_kept_and_give_the_image_back(tmp_path: Path) -> None:
    path = image(tmp_path / "disk.raw", [3, 4, 20, 62, 63], tail=b"end")
    store = Kept()
    sink = BlockSink(store, prefix="cases/x/", export=True)  # type: ignore[arg-type]
    digest = read(volume_of(path), sink, threads=4, segment_blocks=2)
    body = store.objects
    assert sorted(body) == [f"cases/x/{k}" for k in (
        "blocks-00000.txt", "blocks-00001.txt", "blocks-00002.txt", "data-00000.bin", "data-00001.bin", "data-00002.bin"
    )]  # fmt: skip
    table = digest_document(
        digest, case_id=CASE_ID, evidence_id="disk-vol-1", volume_id="vol-1", segments=sink.segments(digest),
        data=sink.data_uris(digest),
    )  # fmt: skip
    folder = tmp_path / "exported"
    folder.mkdir()
    (folder / "disk-digest.json").write_text(json.dumps(table))
    for key, content in body.items():
        (folder / Path(key).name).write_bytes(content)
    assert restore(folder, tmp_path / "again.raw") == sha256sum(path) == digest.sha256
    assert sha256sum(tmp_path / "again.raw") == digest.sha256
    lines = b"".join(body[f"cases/x/blocks-{n:05d}.txt"] for n in range(3)).decode().splitlines()
    assert digest.linear == hashlib.sha256(b"".join(bytes.fromhex(line.split()[1]) for line in lines)).hexdigest()
    damaged = bytearray(body["cases/x/data-00001.bin"])
    damaged[600_000] ^= 4
    (folder / "data-00001.bin").write_bytes(damaged)
    with pytest.raises(RestoreError, match=r"block 62 in .*data-00001\.bin was changed"):
        restore(folder, tmp_path / "third.raw")
    assert [s.uri for s in sink.segments(digest)] == [f"s3://evidence/cases/x/blocks-{n:05d}.txt" for n in range(3)]


@pytest.mark.parametrize("export", [False, True])
def test_an_interrupted_read_resumes_and_gives_the_same_digest(tmp_path: Path, store: CaseStore, export: bool) -> None:
    path = image(tmp_path / "disk.raw", list(range(10, 50)))
    volume, saved = volume_of(path), ReadProgress(store, CASE_ID, snapshot_id=f"{SNAPSHOT}-{export}")
    options: dict[str, Any] = {"progress": saved, "threads": 2, "segment_blocks": 8}
    sink = BlockSink(Kept(), prefix="cases/y/", export=export)  # type: ignore[arg-type]
    for stop in (30, 35, 48):
        volume.fail_at = stop
        with pytest.raises(ConnectionError):
            read(volume, sink, **options)
    volume.fail_at, volume.reads = None, 0
    assert read(volume, sink, **options).sha256 == sha256sum(path)
    assert volume.reads <= 8, "only the last segment is read again"


def test_the_progress_of_another_snapshot_is_not_used(tmp_path: Path, store: CaseStore) -> None:
    first, second = (image(tmp_path / f"{n}.raw", w) for n, w in enumerate(([1, 2, 3], [1, 2, 3, 4])))
    saved = ReadProgress(store, "fc-20261124-00000000aa", snapshot_id="same")
    SnapshotReader(gateway(volume_of(first)), sink=BlockSink(None), progress=saved).read("snap-1")
    found = SnapshotReader(gateway(volume_of(second)), sink=BlockSink(None), progress=saved).read("snap-2")
    assert found.sha256 == sha256sum(second)


def test_a_block_that_came_damaged_is_read_again(tmp_path: Path) -> None:
    path = image(tmp_path / "disk.raw", [1, 2, 3])
    volume = volume_of(path)
    volume.damaged = {2: 2}
    assert read(volume).sha256 == sha256sum(path)


def test_a_block_that_is_not_what_ebs_says_ends_the_read_and_is_named(tmp_path: Path) -> None:
    volume = volume_of(image(tmp_path / "disk.raw", list(range(30))))
    volume.damaged = {17: 3}
    with pytest.raises(DigestMismatchError, match=f"block 17 of {SNAPSHOT} in account 222233334444") as caught:
        read(volume, threads=4)
    assert not caught.value.retryable
    assert volume.at_once == 0, "nothing continues in the background"


def test_another_block_size_is_not_guessed_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    volume = volume_of(image(tmp_path / "disk.raw", [1]))
    answer = volume.list_snapshot_blocks
    monkeypatch.setattr(volume, "list_snapshot_blocks", lambda **k: {**answer(**k), "BlockSize": 1024 * 1024})
    with pytest.raises(AwsError, match="blocks of 1048576 bytes"):
        read(volume)


def test_memory_does_not_grow_with_the_volume(tmp_path: Path) -> None:
    volume = volume_of(image(tmp_path / "disk.raw", list(range(0, 640, 3)), units=10))
    tracemalloc.start()
    read(volume, threads=4)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    # eight blocks wait, four are being read, one is hashed; zeros in one buffer
    assert peak < 20 * BLOCK
    assert volume.most_at_once <= 4


def test_blocks_are_asked_for_at_the_same_time(tmp_path: Path) -> None:
    volume = volume_of(image(tmp_path / "disk.raw", list(range(64))), latency=0.5)
    read(volume)
    assert 16 <= volume.most_at_once <= 40


def _sequential(volume: RawVolume, count: int) -> float:
    """Seconds of the loop that everybody writes first, for this many blocks."""
    source, began = gateway(volume), time.monotonic()
    digest = hashlib.sha256()
    for index, token in list(source.tokens(SNAPSHOT))[:count]:
        digest.update(source.read(SNAPSHOT, index, token).data)
    return time.monotonic() - began


@pytest.mark.true_size
@pytest.mark.skipif(not FULL, reason="a measurement of 2 GiB: `make custody-check` makes it")
def test_twenty_milliseconds_a_block_hardly_matter(tmp_path: Path) -> None:
    count = 4096
    path = raw_image(tmp_path / "disk.raw", written=list(range(count)), size=2 * GIB)
    volume = RawVolume(path, gib=GIB, latency=0.020).prepare()
    alone = _sequential(volume, 64) / 64
    began = time.monotonic()
    digest = read(volume)
    together = (time.monotonic() - began) / count
    print(f"disk digest with 20 ms a block: {alone / together:.1f}x the sequential loop, {0.5 / together:.0f} MiB/s")
    assert digest.sha256 == sha256sum(path)
    assert volume.most_at_once >= 20, (
        "so many blocks wait at once; the factor above is a figure of this machine's load too"
    )


def _children() -> float:
    """Processor seconds of the programs that ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


@pytest.mark.true_size
@pytest.mark.skipif(not FULL, reason="a measurement of 2 GiB: `make custody-check` makes it")
def test_hashing_takes_little_longer_than_openssl(tmp_path: Path) -> None:
    path = raw_image(tmp_path / "disk.raw", written=list(range(4096)), size=2 * GIB)
    sha256sum(path)  # into the page cache, for both
    volume = RawVolume(path, gib=GIB).prepare()
    ratios = []
    for _ in range(3):
        before = _children()
        subprocess.run(["openssl", "dgst", "-sha256", path], capture_output=True, check=True)
        openssl = _children() - before
        began = time.process_time()
        digest = read(volume, threads=4)
        ratios.append((time.process_time() - began) / openssl)
    assert digest.sha256 == sha256sum(path)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(
        f"disk digest: {min(ratios):.2f}x the processor time of openssl dgst -sha256 on 2 GiB of written blocks; {peak} MiB resident (tests)"
    )
    assert min(ratios) <= 2  # with the copies that the emulated volume makes of each block in this process
