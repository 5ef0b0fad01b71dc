"""axe-core finds no serious problem on any page: light and dark, wide and on a phone, while it is printed, with the mistakes of forms shown."""

from __future__ import annotations

import pytest

from tests.ui import axe
from tests.ui.chromium import Tab
from tests.unit.report import sample

PAGES = [
    "",
    f"case/{sample.CASE_ID}",
    "case/fc-20261123-00000000aa",
    "case/nonsense",
    f"case/{sample.CASE_ID}/incident",
    f"case/{sample.CASE_ID}/timeline",
    "times",
    "intake",
    "intake?verdict=dead",
    "preflight",
    "audit",
    "?q=nothing-is-called-this",
]


@pytest.fixture(scope="session")
def program() -> str:
    """axe-core itself."""
    found = axe.source()
    if found is None:
        pytest.skip("axe-core is not there: it needs npm and its registry (requirements/axe)")
    return found


def test_it_would_find_a_serious_problem(tab: Tab, site: str, program: str) -> None:
    tab.open(f"{site}/forensics/")
    tab.run("document.querySelector('main').insertAdjacentHTML('beforeend', '<input type=text><img src=x>'); 0")
    found = axe.problems(tab, program)
    assert any(line.startswith("image-alt") for line in found) and any(line.startswith("label") for line in found)


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390], ids=["wide", "phone"])
@pytest.mark.parametrize("page", PAGES)
def test_no_page_has_a_serious_problem(tab: Tab, site: str, program: str, page: str, width: int, dark: bool) -> None:
    tab.window(width, 900, dark=dark)
    tab.open(f"{site}/forensics/{page}")
    assert axe.problems(tab, program) == []


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("answer", ["asked", "refused", "given"])
def test_neither_has_one_that_waits_for_an_approval(
    tab: Tab, site: str, program: str, waiting: dict[str, str], answer: str, dark: bool
) -> None:
    for width in (1280, 390):
        tab.window(width, 900, dark=dark)
        tab.open(f"{site}/forensics/case/{waiting[answer]}")
        assert axe.problems(tab, program) == []


def test_what_is_printed_has_none_either(tab: Tab, site: str, program: str) -> None:
    tab.window(1280, 900)
    tab.open(f"{site}/forensics/case/{sample.CASE_ID}")
    assert tab.pages_of_print() > 0
    tab.ask("Emulation.setEmulatedMedia", media="print")
    try:
        assert axe.problems(tab, program) == []
    finally:
        tab.ask("Emulation.setEmulatedMedia", media="")
