"""Notes of people in a real browser: written from the frame by the keyboard, and not by a foreign page."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from urllib.parse import quote

import pytest
import uvicorn
from fastapi import FastAPI
from fastapi.responses import HTMLResponse

from tests.ui.chromium import Tab
from tests.unit.report import sample
from tests.unit.web.test_app import Shelf

INNER = "document.querySelector('iframe').contentDocument"
CASE = f"case/{sample.CASE_ID}"


@pytest.fixture
def untouched(shelf: Shelf) -> Iterator[Shelf]:
    before = shelf.views[sample.CASE_ID]
    yield shelf
    shelf.views[sample.CASE_ID] = before


def test_a_finding_is_judged_with_the_keyboard_inside_the_frame(tab: Tab, site: str, untouched: Shelf) -> None:
    tab.window(1280, 900)
    tab.open(f"{site}/frame/light/{CASE}")
    tab.until(f"{INNER}.querySelector('#findings form')")
    tab.run(f"{INNER}.querySelector('#findings form').closest('details').querySelector('summary').focus()")
    tab.press("Enter")
    tab.press("Tab")  # the verdict
    tab.press("ArrowDown")
    tab.press("Tab")
    tab.ask("Input.insertText", text="our own scanner")
    tab.press("Enter")
    assert tab.until(f"{INNER}.querySelector('#notes li') && {INNER}.querySelector('#notes li').innerText")
    (remark,) = untouched.views[sample.CASE_ID].remarks
    assert (remark.verdict, remark.note, remark.by) == ("false", "our own scanner", "mara")
    place = tab.run(f"{INNER}.location.hash")
    said = tab.run(f"{INNER}.querySelector('{place}').innerText")
    assert "false alarm" in said and "mara" in said


def test_every_form_of_a_case_has_names_for_its_controls(tab: Tab, site: str) -> None:
    tab.open(f"{site}/forensics/{CASE}")
    unnamed = "[...document.querySelectorAll('input:not([type=hidden]), select')].filter(c => !c.labels.length).length"
    assert tab.run("document.querySelectorAll('form[method=post]').length") > 3
    assert tab.run(unnamed) == 0


@pytest.fixture
def foreign(site: str) -> Iterator[str]:
    """A page of somebody else that sends our form as soon as it is loaded."""
    app = FastAPI()

    @app.get("/")
    def lure() -> HTMLResponse:
        return HTMLResponse(
            f'<!DOCTYPE html><form method="post" action="{site}/forensics/{CASE}/remarks">'
            '<input name="kind" value="comment"><input name="note" value="forged"></form><p id="lure">lure</p>'
        )

    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_level="warning"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive()
        time.sleep(0.01)
    # Another name of the same machine: another site for the browser.
    yield f"http://localhost:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    thread.join()


def test_a_foreign_page_cannot_make_the_browser_write(tab: Tab, site: str, foreign: str, untouched: Shelf) -> None:
    tab.open(foreign)
    tab.until("document.querySelector('#lure')")
    tab.run("document.forms[0].submit()")
    assert tab.until("document.body.innerText.includes('It did not come from a page of this Airflow')")
    assert untouched.views[sample.CASE_ID].remarks == ()


def test_a_link_leads_to_one_finding(tab: Tab, site: str) -> None:
    tab.open(f"{site}/forensics/{CASE}")
    tab.until("document.querySelector('#findings .item')")
    place = tab.run("document.querySelector('#findings .item').id")
    tab.open("about:blank")
    tab.open(f"{site}/forensics/{CASE}#{quote(place)}")
    assert tab.until(f"Math.abs(document.getElementById('{place}').getBoundingClientRect().top) < 200")
