"""A function that reads hostile bytes runs in a child: each limit that it meets is an error that names it, and nothing else dies."""

from __future__ import annotations

import importlib
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from forensics.confined import MIB, Channel, Confined, Limits
from forensics.errors import ConfinedError, EvidenceTransferError
from forensics.models.base import Model

HERE = "tests.unit.test_confined"
LIMITS = Limits(memory=384 * MIB, cpu_seconds=60, output=MIB, questions=4, silence=60)


class Number(Model):
    """An order, and a result."""

    value: int = 0


class Seen(Model):
    """What a child sees of its surroundings."""

    names: tuple[str, ...]
    written: str


# ---------------------------------------------------------------------- what children are told to do
def doubled(order: bytes, channel: Channel) -> Number:
    """Every piece twice; the result is what the caller answers, and the order's number."""
    for piece in channel.chunks():
        channel.send(piece * 2)
    channel.passed()
    print("what a library prints")
    return Number(value=len(channel.ask({"size": 3})) + Number.model_validate_json(order).value)


def greedy(_order: bytes, _channel: Channel) -> Number:
    """Memory without end."""
    held = []
    while True:
        held.append(bytearray(32 * MIB))


def endless(_order: bytes, _channel: Channel) -> Number:
    """Processor time without end."""
    while True:
        pass


def importing(_order: bytes, _channel: Channel) -> Number:
    """A module that was not imported before, whose compiled form is larger than the largest file."""
    return Number(value=len(importlib.import_module("large_module").NAMES))


def silent(_order: bytes, _channel: Channel) -> Number:
    """Nothing, for ever."""
    time.sleep(3600)
    return Number()


def talkative(_order: bytes, channel: Channel) -> Number:
    """Output without end."""
    while True:
        channel.send(bytes(1 << 18))


def curious(_order: bytes, channel: Channel) -> Number:
    """Questions without end."""
    while True:
        channel.ask({})


def crashing(_order: bytes, _channel: Channel) -> Number:
    """As a library does whose memory was overwritten."""
    os.abort()


def damaged(_order: bytes, _channel: Channel) -> Number:
    """An error of the product."""
    raise EvidenceTransferError("the image is damaged", next_action="capture again")


def failing(_order: bytes, _channel: Channel) -> Number:
    """An error that nobody expected."""
    raise KeyError("\u202e\nnot there")


def looking(_order: bytes, _channel: Channel) -> Seen:
    """Its environment, and whether it can write."""
    try:
        with tempfile.TemporaryFile() as file:
            file.write(bytes(1 << 20))
        written = "written"
    except OSError as error:
        written = type(error).__name__
    return Seen(names=tuple(sorted(os.environ)), written=written)


def start(name: str, limits: Limits = LIMITS) -> Confined:
    """A child with one of the functions of this file."""
    return Confined(f"{HERE}:{name}", Number(value=4), limits=limits)


def test_input_passes_questions_are_answered_and_the_result_is_typed() -> None:
    with start("doubled") as child:
        assert b"".join(child.passing(iter([b"ab", b"c"]))) == b"ababcc"
        assert child.result(Number, answer=lambda question: b"x" * int(str(question["size"]))) == Number(value=7)
        assert 0 < child.peak_bytes < LIMITS.memory


@pytest.mark.parametrize(
    ("name", "limits", "why"),
    [
        ("greedy", LIMITS, "it needed more than 384 MiB of memory"),
        ("endless", Limits(memory=384 * MIB, cpu_seconds=1), "more than 1 s of processor time"),
        ("silent", Limits(memory=384 * MIB, silence=1.5), "it said nothing for 2 s"),
        ("talkative", LIMITS, "it made more than 1048576 bytes"),
        ("curious", LIMITS, "it asked more than 4 times"),
        ("crashing", LIMITS, "it ended with -6"),
        ("failing", LIMITS, r"KeyError: '\u202e\nnot there'"),
        ("doubled", LIMITS, "it does not keep to the protocol"),
    ],
)
def test_a_child_that_exceeds_a_limit_ends_in_an_error_that_names_it(name: str, limits: Limits, why: str) -> None:
    with pytest.raises(ConfinedError) as raised, start(name, limits) as child:
        if name == "talkative":
            for _ in child.passing(iter(())):
                pass
        child.result(Number, answer=lambda _question: b"")
    assert why in str(raised.value) and not raised.value.retryable


def test_an_error_of_the_product_comes_back_as_what_it_is() -> None:
    with pytest.raises(EvidenceTransferError, match="the image is damaged") as raised, start("damaged") as child:
        child.result(Number)
    assert raised.value.next_action == "capture again"


def test_a_child_has_no_credentials_and_writes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "EXAMPLE")
    monkeypatch.setenv("AIRFLOW__FORENSICS__TABLE", "EXAMPLE")
    with start("looking") as child:
        seen = child.result(Seen)
    assert not [name for name in seen.names if name.startswith(("AWS", "AIRFLOW"))]
    assert seen.written == "OSError"


def test_a_module_that_a_child_imports_is_whole_for_the_next_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """CPython 3.12 renames a .pyc that a short write has cut (importlib._bootstrap_external._write_atomic)."""
    names = ", ".join(f"'{n:x>40}'" for n in range(4_000))
    (tmp_path / "large_module.py").write_text(f"NAMES = [{names}]\n", encoding="ascii")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)
    for _ in range(2):
        with Confined(f"{HERE}:importing", Number(), limits=LIMITS) as child:
            assert child.result(Number).value == 4_000
    assert list(tmp_path.rglob("*.pyc")) == []


@pytest.mark.parametrize("leave", [lambda child: None, lambda child: next(child.passing(iter([b"x"])))])
def test_a_child_that_nobody_waits_for_ends(leave: Callable[[Confined], object]) -> None:
    with start("doubled") as child:
        leave(child)
    assert child._child.returncode is not None
