"""The pages in a real browser, in the frame that Airflow gives them: colours, links, keyboard, phone, print."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from forensics.errors import ForensicsError
from forensics.models.case import Phase
from forensics.report import render_html
from tests.ui.chromium import Tab
from tests.unit.report import sample
from tests.unit.web.test_app import Shelf

INNER = "document.querySelector('iframe').contentDocument"
CASE = f"case/{sample.CASE_ID}"


@pytest.mark.parametrize(
    ("airflow", "system"), [("dark", "light"), ("light", "dark"), ("dark", "dark"), ("light", "light")]
)
@pytest.mark.parametrize("page", ["", CASE])
def test_the_pages_have_airflows_colours_whatever_the_system_prefers(
    tab: Tab, site: str, airflow: str, system: str, page: str
) -> None:
    tab.window(1280, 900, dark=system == "dark")
    tab.open(f"{site}/frame/{airflow}/{page}")
    tab.until(f"{INNER}.querySelector('main')")
    brightness = (
        f"getComputedStyle({INNER}.body).backgroundColor.match(/\\d+/g).slice(0, 3).reduce((a, b) => a + +b, 0)"
    )
    assert (tab.run(brightness) < 200) is (airflow == "dark")
    tab.run(f"document.documentElement.className = '{'light' if airflow == 'dark' else 'dark'}'")
    assert tab.until(f"({brightness} < 200) === {'false' if airflow == 'dark' else 'true'}"), (
        "the switch is followed at once"
    )


@pytest.mark.parametrize("page", ["", CASE])
def test_the_link_to_the_run_opens_in_the_whole_window(tab: Tab, site: str, page: str) -> None:
    tab.window(1280, 900)
    tab.open(f"{site}/frame/light/{page}")
    tab.until(f"{INNER}.querySelector('main')")
    tab.run(f"[...{INNER}.querySelectorAll('a')].find(a => a.textContent === 'DAG run').click()")
    assert tab.until("document.querySelector('#run') && document.querySelectorAll('iframe').length === 0")


def test_a_case_opens_inside_the_frame(tab: Tab, site: str) -> None:
    tab.open(f"{site}/frame/light/")
    tab.until(f"{INNER}.querySelector('main')")
    tab.run(f"{INNER}.querySelector('a[href*=\"/case/\"]').click()")
    assert tab.until(f"{INNER}.querySelector('#timeline') && document.querySelector('#outer')")


def test_the_first_tab_stop_skips_to_the_content(tab: Tab, site: str) -> None:
    tab.open(f"{site}/forensics/{CASE}")
    tab.press("Tab")
    assert tab.run("document.activeElement.className") == "skip"
    tab.press("Enter")
    assert tab.until("document.activeElement.id === 'main'")


@pytest.mark.parametrize("page", ["", CASE])
def test_a_phone_shows_the_page_without_scrolling_sideways(tab: Tab, site: str, page: str) -> None:
    tab.window(390, 844)
    tab.open(f"{site}/forensics/{page}")
    assert tab.run("document.documentElement.scrollWidth") <= 390
    tab.window(1280, 900)


@pytest.mark.parametrize("page", ["", CASE, "case/nonsense"])
def test_every_column_has_a_scope_and_no_script_but_the_pages_own_runs(tab: Tab, site: str, page: str) -> None:
    tab.open(f"{site}/forensics/{page}")
    assert tab.run("[...document.querySelectorAll('th')].filter(h => !h.scope).length") == 0
    tab.run("const s = document.createElement('script'); s.textContent = 'window.broken = 1'; document.body.append(s)")
    assert tab.run("window.broken === undefined"), "the policy allows the page's script by its digest alone"


def test_the_board_is_searched_with_the_keyboard_alone(tab: Tab, site: str) -> None:
    tab.window(1280, 900)
    tab.open(f"{site}/frame/light/")
    tab.until(f"{INNER}.querySelector('input[name=q]')")
    tab.run(f"{INNER}.querySelector('input[name=q]').focus()")
    tab.ask("Input.insertText", text="fc-20261123")
    tab.press("Enter")
    assert tab.until(
        f"{INNER}.querySelectorAll('tbody tr').length === 1 && {INNER}.body.innerText.includes('1 case of 2')"
    )
    assert tab.run(f"{INNER}.querySelector('input[name=q]').value") == "fc-20261123"


def test_every_control_of_the_board_has_a_name_and_the_table_a_caption(tab: Tab, site: str) -> None:
    tab.open(f"{site}/forensics/")
    assert tab.run("[...document.querySelectorAll('input, select')].filter(c => !c.labels.length).length") == 0
    assert tab.run("document.querySelector('table caption').textContent") == "Forensic cases, needs a person first"
    assert tab.run("document.querySelectorAll('tbody th[scope=row]').length") == 2


def test_new_cases_come_without_a_reload_and_what_was_typed_stays(tab: Tab, site: str, shelf: Shelf) -> None:
    tab.open(f"{site}/forensics/")
    tab.run("document.querySelector('input[name=q]').value = 'half a wor'; window.kept = 1")
    late = sample.complete_view()
    shelf.views["fc-20261125-00000000bb"] = late.model_copy(
        update={"case": late.case.model_copy(update={"case_id": "fc-20261125-00000000bb"})}
    )
    try:
        tab.run("renew('live')")
        assert tab.until("document.querySelectorAll('tbody tr').length === 3")
    finally:
        del shelf.views["fc-20261125-00000000bb"]
    assert tab.run("window.kept === 1 && document.querySelector('input[name=q]').value") == "half a wor"


def test_the_timeline_is_searched_and_a_bar_of_its_picture_opens_its_span(tab: Tab, site: str) -> None:
    tab.window(1280, 900)
    tab.open(f"{site}/frame/light/{CASE}")
    tab.until(f"{INNER}.querySelector('#timeline svg')")
    entries = f"{INNER}.querySelectorAll('#timeline .tl').length"
    whole = tab.run(entries)
    tab.run(f"{INNER}.querySelector('#timeline input[name=text]').focus()")
    tab.ask("Input.insertText", text="memory")
    tab.press("Enter")
    assert tab.until(f"{INNER}.location.search.includes('text=memory') && {entries} > 0")
    assert tab.run(entries) < whole
    assert tab.run(f"{INNER}.location.hash") == "#timeline"
    said = tab.run(f"{INNER}.querySelector('#timeline svg a title').textContent")
    tab.run(
        f"{INNER}.querySelector('#timeline svg a').dispatchEvent(new MouseEvent('click', {{bubbles: true, cancelable: true}}))"
    )
    assert tab.until(f"{INNER}.location.search.includes('since=') && {INNER}.querySelector('#timeline')")
    own, tools = (int(n) for n in re.findall(r"(\d+) from", said))
    assert tab.until(f"{entries} === {own + tools}"), "the bar had so many entries"


def test_the_stored_report_has_the_pictures_and_neither_form_nor_script(tab: Tab, tmp_path: Path) -> None:
    stored = tmp_path / "report.html"
    stored.write_text(render_html(sample.rich_view()), "utf-8")
    tab.open(stored.as_uri())
    assert tab.run("document.querySelectorAll('svg .own, svg .tools').length") > 0
    assert tab.run("document.querySelectorAll('form, script, svg a').length") == 0
    assert tab.run("document.querySelector('svg.histogram').getBoundingClientRect().height") > 40


def test_the_page_of_an_open_case_renews_its_state_in_place_and_that_of_a_closed_one_does_not(
    tab: Tab, site: str, shelf: Shelf
) -> None:
    name = "fc-20261123-00000000aa"
    tab.open(f"{site}/forensics/case/{name}")
    assert tab.run("[...document.querySelectorAll('[data-live]')].map(p => p.id).join()") == "state,next,gaps"
    before = shelf.views[name]
    shelf.views[name] = before.model_copy(update={"case": before.case.model_copy(update={"phase": Phase.CONTAINMENT})})
    try:
        tab.run("window.kept = 1; renew('state')")
        assert tab.until(
            "document.getElementById('state').innerText.includes('Phase: CONTAINMENT') && window.kept === 1"
        )
    finally:
        shelf.views[name] = before
    tab.open(f"{site}/forensics/{CASE}")
    assert tab.run("document.querySelectorAll('[data-live]').length") == 0


def test_lines_that_cannot_be_renewed_say_so(tab: Tab, site: str, shelf: Shelf) -> None:
    tab.open(f"{site}/forensics/")
    shelf.broken = ForensicsError("the table is away")
    try:
        tab.run("renew('live').catch(() => tell('live'))")
        assert tab.until("document.querySelector('#live [role=status]').innerText.includes('could not be renewed')")
    finally:
        shelf.broken = None


@pytest.mark.parametrize(
    ("chosen", "said"),
    [('"Asia/Tokyo"', "2026-11-24 12:12 Asia/Tokyo"), ('"UTC"', ""), ('"Nowhere/Land"', ""), ("not JSON", "")],
)
def test_times_stand_in_the_zone_that_was_chosen_in_airflow_beside_utc(
    tab: Tab, site: str, chosen: str, said: str
) -> None:
    """Airflow 3.2.1 keeps the choice as JSON in the local storage, under ``timezone``."""
    tab.open(f"{site}/forensics/")
    tab.run(f"localStorage.setItem('timezone', {chosen!r})")
    try:
        for page in ("", CASE):
            tab.open(f"{site}/forensics/{page}")
            text = tab.run("(document.getElementById('live') || document.getElementById('times')).innerText")
            assert "2026-11-24 03:12" in text and (said in text if said else "(2026" not in text)
            assert "Tokyo" not in (tab.run("document.getElementById('timeline')?.innerText") or ""), (
                "evidence stays in UTC"
            )
    finally:
        tab.run("localStorage.clear()")
