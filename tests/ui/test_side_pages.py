"""The pages beside board and case (intake, audit, preflight, linked cases, timeline, approvals): colours, keyboard, phone."""

from __future__ import annotations

import pytest

from tests.ui.chromium import Tab
from tests.unit.report import sample

INNER = "document.querySelector('iframe').contentDocument"
CASE = f"case/{sample.CASE_ID}"
PAGES = ["intake", "audit", "preflight", "times", f"{CASE}/incident", f"{CASE}/timeline"]
# What a person can go to with the keyboard and does not see where they are.
UNSEEN = """(() => { const seen = []; for (const one of document.querySelectorAll('a[href], button, input, select, textarea, summary')) {
    if (!one.checkVisibility()) continue; one.focus(); const style = getComputedStyle(one);
    if (document.activeElement === one && style.outlineStyle === 'none' && style.boxShadow === 'none') seen.push(one.outerHTML.slice(0, 80)) }
    return seen.join(' ') })()"""


@pytest.mark.parametrize(("airflow", "system"), [("dark", "light"), ("light", "dark")])
@pytest.mark.parametrize("page", PAGES)
def test_they_have_airflows_colours_whatever_the_system_prefers(
    tab: Tab, site: str, airflow: str, system: str, page: str
) -> None:
    tab.window(1280, 900, dark=system == "dark")
    tab.open(f"{site}/frame/{airflow}/{page}")
    tab.until(f"{INNER}.querySelector('main')")
    brightness = (
        f"getComputedStyle({INNER}.body).backgroundColor.match(/\\d+/g).slice(0, 3).reduce((a, b) => a + +b, 0)"
    )
    assert (tab.run(brightness) < 200) is (airflow == "dark")


@pytest.mark.parametrize("page", PAGES)
def test_the_first_tab_stop_skips_to_the_content_and_every_stop_is_seen(tab: Tab, site: str, page: str) -> None:
    tab.window(1280, 900)
    tab.open(f"{site}/forensics/{page}")
    tab.press("Tab")
    assert tab.run("document.activeElement.className") == "skip"
    tab.press("Enter")
    assert tab.until("document.activeElement.id === 'main'")
    assert tab.run(UNSEEN) == ""


@pytest.mark.parametrize("page", PAGES)
def test_a_phone_shows_them_without_scrolling_sideways(tab: Tab, site: str, page: str) -> None:
    tab.window(390, 844)
    tab.open(f"{site}/forensics/{page}")
    assert tab.run("document.documentElement.scrollWidth") <= 390
    tab.window(1280, 900)


@pytest.mark.parametrize("page", PAGES)
def test_every_control_has_a_name_every_column_a_scope_every_table_a_caption(tab: Tab, site: str, page: str) -> None:
    tab.open(f"{site}/forensics/{page}")
    assert (
        tab.run(
            "[...document.querySelectorAll('input:not([type=hidden]), select')].filter(c => !c.labels.length).length"
        )
        == 0
    )
    assert tab.run("[...document.querySelectorAll('th')].filter(h => !h.scope).length") == 0
    assert (
        tab.run(
            "[...document.querySelectorAll('table')].filter(t => !t.caption && !t.getAttribute('aria-labelledby')).length"
        )
        == 0
    )


def test_the_intake_is_filtered_with_the_keyboard_alone(tab: Tab, site: str) -> None:
    tab.window(1280, 900)
    tab.open(f"{site}/frame/light/intake")
    tab.until(f"{INNER}.querySelector('main')")
    tab.run(f"[...{INNER}.querySelectorAll('a')].find(a => a.href.includes('verdict=dead')).focus()")
    tab.press("Enter")
    assert tab.until(
        f"{INNER}.location.search.includes('verdict=dead') && {INNER}.body.innerText.includes('the table is gone')"
    )
    assert "not an account" not in tab.run(f"{INNER}.body.innerText")


def test_a_case_that_waits_for_an_answer_leads_to_it_in_the_whole_window(
    tab: Tab, site: str, waiting: dict[str, str]
) -> None:
    tab.window(1280, 900)
    tab.open(f"{site}/frame/light/case/{waiting['asked']}")
    tab.until(f"{INNER}.querySelector('#next')")
    link = f"[...{INNER}.querySelectorAll('#next a')].find(a => a.href.includes('/dags/forensic_case/runs/'))"
    tab.run(f"{link}.focus()")
    tab.press("Enter")
    assert tab.until("document.querySelector('#run') && document.querySelectorAll('iframe').length === 0")


@pytest.mark.parametrize(("answer", "said"), [("asked", "waits"), ("refused", "false alarm"), ("given", "noa")])
def test_the_page_says_what_became_of_a_question(
    tab: Tab, site: str, waiting: dict[str, str], answer: str, said: str
) -> None:
    tab.open(f"{site}/forensics/case/{waiting[answer]}")
    assert said in tab.run("document.body.innerText")
