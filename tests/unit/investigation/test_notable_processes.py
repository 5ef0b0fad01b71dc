"""Which processes the case's table has: those that rules name, with who started them, however large or crafted the image."""

from __future__ import annotations

from forensics.investigation.notable_processes import MOST, MOST_BYTES, notable
from forensics.models.results import ProcessMark, ResultSeverity, ToolProcess

HIGH = (ProcessMark(severity=ResultSeverity.HIGH, title="runs from a deleted file"),)
LOW = (ProcessMark(severity=ResultSeverity.LOW, title="shell"),)


def process(pid: int, ppid: int = 0, **more: object) -> ToolProcess:
    return ToolProcess.model_validate({"pid": pid, "ppid": ppid, "name": f"p{pid}", **more})


def test_a_marked_and_a_hidden_process_are_kept_with_those_above_them() -> None:
    tree = [
        process(1),
        process(2, 1),
        process(3, 2, marks=HIGH),
        process(4, 1),
        process(9, 4, listed=False),
        process(5, 1),
    ]
    assert [p.pid for p in notable(tree)] == [1, 2, 3, 4, 9]
    assert notable([process(1), process(2, 1)]) == ()


def test_processes_that_are_each_others_parents_end() -> None:
    assert [p.pid for p in notable([process(5, 6, marks=LOW), process(6, 5), process(7, 7, marks=LOW)])] == [5, 6, 7]


def test_the_gravest_are_kept_where_there_is_no_room_for_all() -> None:
    tree = [process(n, 0, marks=LOW) for n in range(2, 900)] + [process(1000, 0, marks=HIGH)]
    found = notable(tree)
    assert len(found) == MOST and found[-1].pid == 1000


def test_texts_of_a_crafted_image_do_not_fill_the_table() -> None:
    long = {"args": "ⓐ" * 1000, "exe": "ⓑ" * 1000, "connections": ("tcp 203.0.113.9:443",) * 32, "marks": HIGH * 32}
    found = notable([process(n, n - 1, **long) for n in range(1, 400)])
    assert found and sum(len(p.model_dump_json().encode()) for p in found) <= MOST_BYTES
    assert len(found[0].args) == 300 and len(found[0].connections) == 8 and len(found[0].marks) == 4
