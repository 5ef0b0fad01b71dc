"""The judgement of a memory image, in a process of its own: decompression, the walk along its ranges, the checks. Pure.

All of it runs on bytes that root on the target may have chosen (``forensics.confined``). The caller brings the landed bytes,
stores what comes out, and reads pieces of the stored image for the checks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from pydantic import Field

from forensics.confined import Channel, Confined, Limits
from forensics.errors import ConfinedError
from forensics.memory.image_validation import CheckResult, ImageCheck, ImageReport, KernelClaims, validate_image
from forensics.memory.lime import LimeWalker
from forensics.memory.limits import GIB, KERNEL_READS, KERNEL_SECONDS, MIB
from forensics.memory.parts import decoded
from forensics.models.base import Model
from forensics.models.evidence import Outcome
from forensics.models.outside import Outside

# Address space of the child. The map of zero pages takes 32 MiB a TiB, decompression and symbols 100 MiB, Python the rest.
MEMORY = 448 * MIB
# A walk takes some seconds a GiB; the checks have a budget of their own.
CPU_SECONDS, CPU_SECONDS_A_GIB = 1_200, 60
_FUNCTION = "forensics.memory.judging:judge"
_PIECE = 4 * MIB


class ImageOrder(Model):
    """What the child is told: how the image was sent, and what the target says of its kernel (``kallsyms`` is asked for)."""

    raw: bool = False
    encoding: str
    limit: int = Field(description="the size that the image may have, bytes")
    banner: str | None = None
    architecture: str = "x86_64"
    memory_bytes: int = 0
    refused: tuple[str, ...] = ()


class ImageJudgement(Outside):
    """What the walk saw and the checks found; ``ranges`` is None where the judgement was stopped."""

    report: ImageReport
    ranges: int | None = None
    zero_share: float | None = None
    banner: str = ""


class _Piece(Model):
    offset: int = Field(ge=0)
    size: int = Field(ge=0, le=_PIECE)


def judge(order: bytes, channel: Channel) -> ImageJudgement:
    """The child's work: the landed bytes come in, the image's bytes go out, then the checks read some of it again."""
    told = ImageOrder.model_validate_json(order)
    walker = LimeWalker(raw=told.raw)
    for piece in decoded(channel.chunks(), encoding=told.encoding, limit=told.limit):
        walker.feed(piece)
        channel.send(piece)
    channel.passed()
    claims = KernelClaims(
        banner=told.banner,
        iomem=_text(channel.ask({"fact": "iomem"})) or None,
        kallsyms=channel.ask({"fact": "kallsyms"}) or None,
        architecture=told.architecture,
        memory_bytes=told.memory_bytes,
        refused=told.refused,
    )
    report = validate_image(walker, claims=claims, read_at=_reader(channel))
    return ImageJudgement(
        report=report,
        ranges=len(walker.ranges),
        zero_share=round(walker.zero_share, 4),
        banner=(walker.banner or "")[:400],
    )


def _text(fact: bytes) -> str:
    return fact.decode("ascii", "replace")


def _reader(channel: Channel) -> Callable[[int, int], bytes]:
    def read_at(offset: int, size: int) -> bytes:
        pieces = range(offset, offset + size, _PIECE)
        return b"".join(channel.ask({"offset": at, "size": min(_PIECE, offset + size - at)}) for at in pieces)

    return read_at


class ImageJudge:
    """The caller's side, a context manager: first :meth:`unfold`, then :meth:`judgement`."""

    def __init__(self, order: ImageOrder) -> None:
        gib = -(-order.limit // GIB)
        self._child = Confined(
            _FUNCTION,
            order,
            limits=Limits(
                memory=MEMORY + gib * MIB // 16,
                cpu_seconds=CPU_SECONDS + gib * CPU_SECONDS_A_GIB,
                output=order.limit,
                questions=2 * KERNEL_READS,
                silence=KERNEL_SECONDS,
            ),
        )

    def __enter__(self) -> ImageJudge:
        self._child.__enter__()
        return self

    def __exit__(self, *raised: object) -> None:
        self._child.__exit__(None, None, None)

    @property
    def peak_bytes(self) -> int:
        """The most memory that the child had, once it has given its judgement."""
        return self._child.peak_bytes

    def unfold(self, landed: Iterator[bytes]) -> Iterator[bytes]:
        """The image's bytes. Raises :class:`ConfinedError`, EvidenceTransferError, EvidenceSizeError."""
        return self._child.passing(landed)

    def judgement(self, *, facts: dict[str, bytes], read_at: Callable[[int, int], bytes]) -> ImageJudgement:
        """What the child found; an image that is stored and whose judging was stopped is PARTIAL, with what was exceeded."""

        def answer(question: dict[str, object]) -> bytes:
            if "fact" in question:
                return facts.get(str(question["fact"]), b"")
            piece = _Piece.model_validate(question)
            return read_at(piece.offset, piece.size)

        try:
            return self._child.result(ImageJudgement, answer=answer)
        except ConfinedError as error:
            check = ImageCheck(name="judging", result=CheckResult.PARTIAL, found=error.message)
            return ImageJudgement(report=ImageReport(outcome=Outcome.PARTIAL, checks=(check,)))
