"""Starting a run from the page in a real browser: by Airflow's API, with the case in its configuration; a refusal is said."""

from __future__ import annotations

from tests.ui.chromium import Tab
from tests.ui.started import RUNS
from tests.unit.report import sample

INNER = "document.querySelector('iframe').contentDocument"
FORM = f"{INNER}.querySelector('form[data-dag=forensic_release]')"
CASE = f"case/{sample.CASE_ID}"


def test_a_release_is_asked_for_from_the_frame_and_leads_to_its_run(tab: Tab, site: str) -> None:
    RUNS.clear()
    tab.window(1280, 900)
    tab.open(f"{site}/frame/light/{CASE}")
    tab.until(FORM)
    tab.run(f"{FORM}.elements.reason.focus()")
    tab.ask("Input.insertText", text="cleaned <b>")
    tab.press("Enter")
    assert tab.until(f"{FORM}.querySelector('[role=status] a')")
    assert RUNS == [
        ("forensic_release", {"logical_date": None, "conf": {"case_id": sample.CASE_ID, "reason": "cleaned <b>"}})
    ]
    tab.run(f"{FORM}.querySelector('[role=status] a').click()")
    assert tab.until("document.querySelector('#run') && document.querySelectorAll('iframe').length === 0")


def test_what_airflow_refuses_is_said_and_can_be_tried_again(tab: Tab, site: str) -> None:
    RUNS.clear()
    tab.open(f"{site}/frame/light/{CASE}")
    tab.until(FORM)
    tab.run(f"{FORM}.elements.reason.value = 'refuse'")
    tab.run(f"{FORM}.querySelector('button').click()")
    assert tab.until(f"{FORM}.querySelector('[role=status]').innerText.includes('Not started: <i>paused</i>')")
    assert tab.run(f"{FORM}.querySelector('button').disabled") is False
    assert tab.run(f"{FORM}.querySelector('[role=status]').children.length") == 0, "text stays text"
