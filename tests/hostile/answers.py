"""What root on a target, or on a forensic instance, would answer: status lines, images, maps, archives, results, by a seed.

Each maker takes an honest answer apart and puts one or a few hostile values into it; :class:`Answer` says in one sentence what it is.
"""

from __future__ import annotations

import hashlib
import json
import random
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import zstandard

from forensics.memory.lime import HEADER, MAGIC, PAGE
from tests.hostile_memory import BANNER, looped_image, ram_map_of, symbol_list
from tests.memory_image import MIB, SmallMemory, small_memory
from tests.unit.builders import CASE_ID
from tests.unit.memory.live_archives import archive, line, tar

GIB = 1024 * MIB
HONEST = small_memory(10 * MIB)
LIVE = archive({"20-process-states": b"1 (init) S 0"})
DEEP: Any = "x"
for _ in range(200):
    DEEP = {"a": DEEP}
# What stands for a text, a number, a list: each has broken some program.
VALUES: tuple[Any, ...] = (
    "\ud800", "\udfff\ud800", "a\u202egnp.exe", "\x00\x1b[2J\r", "no space\nWhat to do next: open https://evil.example/fix", "\u200b" * 50,
    "=cmd|' /C calc'!A0", "<!-- ![](https://evil.example/x) <script>alert(1)</script>", "{{ 7*7 }}{% raw %}", "x" * 20_000,
    "A\u0301" * 3_000, "\U0010ffff", "../../etc/passwd", "s3://other/key", "", " ", None, True, False, 0, -1, 2**63, 10**60, 1e308,
    float("nan"), float("inf"), 1e-200, "1", "\u0661\u0662\u0663", [], {}, [[]] * 1_000, {"a": "b"} , DEEP, ["x"] * 5_000,
)  # fmt: skip


TEXTS = tuple(value for value in VALUES if isinstance(value, str) and value.strip())


@dataclass
class Answer:
    """One answer: ``about`` which flow, the last lines of the command's output, what has landed, and sizes that S3 lists."""

    about: str
    story: str
    stdout: str
    status: str = "Success"
    probe: dict[str, Any] = field(default_factory=dict)
    parts: list[bytes] = field(default_factory=list)
    sizes: dict[int, int] = field(default_factory=dict)
    list_text: bytes | None = None
    facts: dict[str, bytes] = field(default_factory=dict)
    landed: dict[str, bytes] = field(default_factory=dict)


Maker = Callable[[random.Random, int], Answer]
KINDS: list[Maker] = []


def kind(make: Maker) -> Maker:
    """Add a kind."""
    KINDS.append(make)
    return make


def sha256(body: bytes) -> str:
    """In hex."""
    return hashlib.sha256(body).hexdigest()


def part_list(parts: list[bytes], head: str = "avml none 8589f2d9", image: bytes | None = None) -> bytes:
    """The list that an honest target sends beside its parts; ``image``: what one part unfolds to."""
    lines, end = [f"forensics-parts 1 {head}"], 0
    for number, body in enumerate(parts, start=1):
        end += len(image if image is not None else body)
        lines.append(f"{number} {end} {len(body)} {sha256(body)}")
    return ("\n".join(lines) + "\n").encode()


def facts_of(made: SmallMemory) -> dict[str, bytes]:
    """The kernel facts of an image."""
    return {"kallsyms": made.kallsyms, "version": made.banner, "iomem": made.iomem, "btf": b"x"}


def capture(
    image: bytes, story: str, *, facts: Mapping[str, bytes], sent: bytes | None = None, **claims: Any
) -> Answer:
    """A capture of an image that is otherwise what it says; ``sent``: the image as it was sent."""
    parts = [image if sent is None else sent]
    encoding = "none" if sent is None else "zstd"
    text = part_list(parts, f"avml {encoding} 8589f2d9", image)
    said = {"status": "ok", "reason": "", "bytes": len(image), "parts": 1, "sha256": sha256(image), "list_sha256": sha256(text),
            "method": "avml", "encoding": encoding, "kernel": "6.1", "symbols": {}, **claims}  # fmt: skip
    return Answer("memory", story, json.dumps(said), parts=parts, list_text=text, facts=dict(facts))


def tampered(dice: random.Random, said: dict[str, Any]) -> tuple[dict[str, Any], str]:
    """One to three fields with other values, one sometimes missing, one sometimes unknown."""
    fields = dice.sample(sorted(said), k=min(dice.choice((1, 1, 1, 2, 3)), len(said)))
    values = {name: dice.choice(VALUES) for name in fields}
    changed = {
        **said,
        **values,
        **({dice.choice(("\ud800", "surprise")): dice.choice(VALUES)} if dice.random() < 0.2 else {}),
    }
    if dice.random() < 0.15:
        changed.pop(fields[0])
    return changed, ", ".join(f"{name}={str(value)[:30]!a}" for name, value in values.items())


def garbled(dice: random.Random, text: str) -> str:
    """A line that is no line: cut, doubled, nested, with more behind it."""
    return dice.choice(
        (text[: dice.randrange(len(text))], text + text, '{"reason":' * 3_000 + "1" + "}" * 3_000, f"{text}\n" + "\x00" * 500,
         f"\ufeff{text}", "", "{", "null", f"{text}\n{{}}", "\u2028".join(text))
    )  # fmt: skip


def _turn(number: int, shapes: tuple[str, ...]) -> str:
    return shapes[number % len(shapes)]


def _one_line(dice: random.Random, answer: Answer, number: int) -> Answer:
    """By turns: a failure with a hostile reason, a partial success with one, and other hostile fields."""
    honest = json.loads(answer.stdout)
    turn = _turn(number, ("failed", "partial", "fields"))
    if turn == "fields":
        said, what = tampered(dice, honest)
        answer.status = dice.choice(("Success", "Failed"))
    else:
        reason = dice.choice(TEXTS)
        said, what = {**honest, "status": turn, "reason": reason}, f"{turn}, reason={reason[:30]!a}"
        answer.status = "Failed" if turn == "failed" else "Success"
    answer.stdout = json.dumps(said)
    if turn == "fields" and dice.random() < 0.3:
        answer.stdout, what = garbled(dice, answer.stdout), f"{what}, garbled"
    answer.story = f"{answer.story}: {what} ({answer.status})"
    return answer


@kind
def capture_line(dice: random.Random, number: int) -> Answer:
    """Each field of the capture's status line."""
    return _one_line(dice, capture(HONEST.image, "capture's status line", facts=facts_of(HONEST)), number)


@kind
def probe_line(dice: random.Random, number: int) -> Answer:
    """Each field of the probe's status line."""
    answer = capture(HONEST.image, "probe", facts=facts_of(HONEST))
    honest = {"status": "ok", "banner": HONEST.banner.decode().strip(), "memory_kib": 10 * 1024, "kcore": True, "tmpfs": "/dev/shm",
              "lockdown": "none", "kernel": "6.1", "architecture": "x86_64", "tmpfs_free_kib": 10**6, "available_kib": 10**6}  # fmt: skip
    answer.probe, what = tampered(dice, honest)
    answer.story = f"probe's status line: {what}"
    return answer


@kind
def image(dice: random.Random, number: int) -> Answer:
    """Images that are not what a kernel leaves: ranges, loops, holes, bits, ends."""
    body = bytearray(HONEST.image)
    shape = _turn(number, ("bits", "ranges", "loop", "cut", "overlap", "zeros", "banners", "header"))
    facts = facts_of(HONEST)
    if shape == "bits":
        for _ in range(dice.randrange(1, 2_000)):
            body[dice.randrange(len(body))] ^= 1 << dice.randrange(8)
    elif shape == "ranges":
        body = bytearray(
            b"".join(HEADER.pack(MAGIC, 1, n * PAGE, n * PAGE) + b"x" for n in range(dice.choice((100, 4_096, 9_000))))
        )
    elif shape == "loop":
        body = bytearray(looped_image())
        symbols = {"_text": dice.choice((0, 0x1000)), "_etext": 2**64 - 16, "vmemmap_base": 2**63}
        facts = {"kallsyms": symbol_list(**symbols), "iomem": ram_map_of(bytes(body)), "version": BANNER, "btf": b"x"}
    elif shape == "cut":
        body = body[: dice.randrange(len(body))] or body
    elif shape == "overlap":
        one = HEADER.pack(MAGIC, 1, 0x1000, 0x1FFF) + bytes(PAGE)
        body = bytearray(one * dice.randrange(2, 50))
    elif shape == "zeros":
        body = bytearray(HEADER.pack(MAGIC, 1, 0x1000, 0x1000 + 4 * MIB - 1) + bytes(4 * MIB))
    elif shape == "banners":
        text = b"Linux version 6.1" * (4 * MIB // 17)
        body = bytearray(HEADER.pack(MAGIC, 1, 0, len(text) - 1) + text)
    else:
        body[:32] = struct.pack("<IIQQ8x", MAGIC, 1, 0, dice.choice((0, 2**63, 2**64 - 1)))
    return capture(bytes(body), f"image with hostile {shape}", facts=facts)


@kind
def kernel_facts(dice: random.Random, number: int) -> Answer:
    """Maps and symbols: floods, lies, other encodings."""
    facts = facts_of(HONEST)
    name = _turn(number, ("iomem", "kallsyms", "version"))
    flood = {
        "iomem": b"".join(
            b"%x-%x : System RAM\n" % (n * 8192, n * 8192 + 4095) for n in range(dice.choice((10, 5_000, 30_000)))
        ),
        "kallsyms": b"ffffffff81000000 T _text\n" * dice.choice((1, 100_000))
        + symbol_list(_etext=dice.randrange(2**64)),
        "version": dice.choice((b"\xff" * 5_000, b"", "Linux version \u202e".encode(), b"Linux version 9" * 200)),
    }
    facts[name] = dice.choice((flood[name], bytes(dice.randbytes(5_000)), b"", b"\x00" * MIB))
    return capture(HONEST.image, f"hostile {name} of {len(facts[name])} bytes", facts=facts)


@kind
def unfolding(dice: random.Random, number: int) -> Answer:
    """Streams that unfold to more than they say, or to nothing."""
    shape = _turn(number, ("bomb", "damaged", "window", "honest"))
    image_ = HONEST.image
    packed = zstandard.compress(image_)
    if shape == "bomb":
        packed = zstandard.compress(bytes(dice.choice((64, 256)) * MIB))
    elif shape == "damaged":
        at = dice.randrange(len(packed) - 8)
        packed = packed[:at] + dice.randbytes(8) + packed[at + 8 :]
    elif shape == "window":
        large = zstandard.ZstdCompressionParameters(window_log=27)
        packed = zstandard.ZstdCompressor(compression_params=large).compress(bytes(200 * MIB))
    return capture(image_, f"compressed stream, {shape}", facts=facts_of(HONEST), sent=packed)


@kind
def lists_of_parts(dice: random.Random, number: int) -> Answer:
    """The list beside the parts."""
    answer = capture(HONEST.image, "list of parts", facts=facts_of(HONEST))
    whole = (answer.list_text or b"").decode()
    text = dice.choice(
        (whole * 5_000, whole.replace("1 ", "\u0661 ", 1), whole + "2 1 1 " + "0" * 64 + "\n", "forensics-parts 1 avml none\n", whole[:-1],
         whole + "".join(f"{n} {n * 10**9} {10**9} {'0' * 64}\n" for n in range(2, 12_000)), "\x00" * 500, whole.replace("avml", "\u202e"))
    )  # fmt: skip
    answer.list_text = text.encode()
    said = json.loads(answer.stdout)
    answer.stdout = json.dumps({**said, "list_sha256": sha256(answer.list_text)})
    answer.story = f"list of parts of {len(text)} characters: {text[:40]!a}"
    return answer


@kind
def sparse_parts(dice: random.Random, number: int) -> Answer:
    """S3 takes 5 GiB a part, 10,000 parts: what it lists may be 48 TiB."""
    answer = capture(
        HONEST.image, "sparse parts", facts=facts_of(HONEST), bytes=dice.choice((len(HONEST.image), 2**40, 2**50))
    )
    count = dice.choice((1, 32, 10_000))
    answer.sizes = dict.fromkeys(range(1, count + 1), 5 * GIB)
    answer.story = f"{count} parts of 5 GiB, said to be {json.loads(answer.stdout)['bytes']} bytes"
    return answer


def _live(story: str, body: bytes, **claims: Any) -> Answer:
    said = {"status": "ok", "reason": "", "bytes": len(body), "sha256": sha256(body), "parts": 1, "items": 30, "cut": 0, "left_out": 0,
            "process_images": 0, "depth": "standard", "started": "", "ended": "", **claims}  # fmt: skip
    return Answer("live", story, json.dumps(said), parts=[body])


@kind
def live_line(dice: random.Random, number: int) -> Answer:
    """Each field of the live response's status line."""
    return _one_line(dice, _live("live response's status line", LIVE), number)


@kind
def live_archive(dice: random.Random, number: int) -> Answer:
    """Archives that are none, lie in their index, or never end."""
    body = bytearray(LIVE)
    shape = _turn(number, ("bits", "cut", "members", "names", "index", "size", "noise"))
    if shape == "bits":
        for _ in range(dice.randrange(1, 64)):
            body[dice.randrange(len(body))] ^= 1 << dice.randrange(8)
    elif shape == "cut":
        body = body[: dice.randrange(1, len(body))]
    elif shape == "members":
        body = bytearray(tar({f"{n}": b"" for n in range(dice.choice((10, 6_000)))}))
    elif shape == "names":
        body = bytearray(tar({dice.choice(("../../x", "/etc/passwd", "a\u202eb", "x" * 90)): b"x"}))
    elif shape == "index":
        lie = line("20-process-states", b"other") * dice.choice((1, 50_000))
        body = bytearray(tar({"20-process-states": b"1 (init) S 0", "index.tsv": lie.encode()}))
    elif shape == "size":
        body[124:136] = dice.choice((b"77777777777\0", b"\x80" + b"\xff" * 11, b"-1\0" + b" " * 9))
    else:
        body = bytearray(dice.randbytes(dice.randrange(1, 4 * MIB)))
    return _live(f"archive with hostile {shape}", bytes(body))


def _tools(story: str, results: bytes, **claims: Any) -> Answer:
    landed = {"results": results, "timeline": b"{}\n", "raw": b"tar"}
    stated = {name: {"sha256": sha256(body), "bytes": len(body)} for name, body in landed.items()}
    return Answer(
        "tools", story, json.dumps({"status": "ok", "reason": "", "artifacts": stated, **claims}), landed=landed
    )


def honest_results() -> dict[str, Any]:
    """What a tool writes."""
    at = "2026-11-24T08:00:00Z"
    return {"schema": "forensics.results/1", "case_id": CASE_ID, "evidence_id": "disk-vol-1", "tool": "disk", "toolkit_version": "1",
            "started": at, "ended": at, "input": {}, "provenance": [{"tool": "t", "version": "1", "argv": ["x"], "exit": 0}],
            "findings": [{"id": "f-1", "title": "Cron job", "detail": "d", "severity": "high", "time": at, "data": {"a": "b"}}],
            "timeline": [{"time": at, "what": "w"}], "counts": {"a": 1}, "coverage": [], "gaps": [], "notes": []}  # fmt: skip


@kind
def tools_line(dice: random.Random, number: int) -> Answer:
    """Each field of a tool's status line, and of what it states of its artifacts."""
    return _one_line(dice, _tools("tool's status line", json.dumps(honest_results()).encode()), number)


@kind
def results(dice: random.Random, number: int) -> Answer:
    """Each field of results.json, and of the entries of its lists."""
    found = honest_results()
    place: dict[str, Any] = dice.choice((found, found["findings"][0], found["timeline"][0], found["provenance"][0]))
    changed, what = tampered(dice, place)
    place.clear()
    place.update(changed)
    return _tools(f"results.json: {what}", json.dumps(found).encode())


@kind
def floods_of_results(dice: random.Random, number: int) -> Answer:
    """Results that fill the memory of whoever reads them."""
    found = honest_results()
    name = _turn(number, ("findings", "timeline", "provenance"))
    many = {**found, name: found[name] * dice.choice((1_001, 40_000))}
    body = dice.choice(
        (json.dumps(many), '{"findings":' + "[" * 50_000, json.dumps({**found, "input": {"a": ["x"] * 700_000}}), "[]", "\ud800",
         json.dumps({**found, "gaps": [{"what": "\u202e" * 3_000, "why": "x"}] * 300}), json.dumps(found)[:-3], '{"a":1' + "0" * 9_000 + "}")
    )  # fmt: skip
    return _tools(f"results.json of {len(body)} characters: {body[:30]!a}", body.encode("utf-8", "surrogatepass"))
