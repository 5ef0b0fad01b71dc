"""The pictures of the documents, taken of the pages by the tests' own browser: ``python -m tests.ui.screenshots`` (make screenshots).

They show the tests' made-up case. Each is at most 150 kB.
"""

from __future__ import annotations

import base64
import sys
import threading
import time
from pathlib import Path

import uvicorn

from tests.ui.chromium import MISSING, PROGRAM, Tab, browser
from tests.ui.conftest import airflow
from tests.unit.report import sample
from tests.unit.web.test_app import Shelf

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "images"
LARGEST = 150_000
CASE = f"case/{sample.CASE_ID}"
# name → page, what is scrolled to, width, height
SHOTS = {
    "board": ("", "", 1200, 560),
    "case": (CASE, "", 1200, 900),
    "timeline": (CASE, "#timeline", 1200, 700),
}


def shoot(tab: Tab, site: str, name: str) -> bytes:
    """One picture, as WebP."""
    page, place, width, height = SHOTS[name]
    tab.window(width, height)
    tab.open(f"{site}/forensics/{page}")
    if place:
        tab.run(f"document.querySelector('{place}').scrollIntoView(); 0")
    found = tab.ask("Page.captureScreenshot", format="webp", quality=70)
    return base64.b64decode(found["data"])


def main() -> int:
    """Write the pictures; 1 when there is no browser, or one is too large."""
    if PROGRAM is None:
        print(MISSING)
        return 1
    running = sample.running_view()
    other = running.case.model_copy(update={"case_id": "fc-20261123-00000000aa"})
    shelf = Shelf({sample.CASE_ID: sample.complete_view(), other.case_id: running.model_copy(update={"case": other})})
    server = uvicorn.Server(uvicorn.Config(airflow(shelf), host="127.0.0.1", port=0, log_level="warning"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    site = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    FOLDER.mkdir(exist_ok=True)
    with browser() as tab:
        for name in SHOTS:
            picture = shoot(tab, site, name)
            if len(picture) > LARGEST:
                print(f"{name}: {len(picture)} bytes are more than {LARGEST}")
                return 1
            (FOLDER / f"{name}.webp").write_bytes(picture)
            print(f"docs/images/{name}.webp: {len(picture)} bytes")
    server.should_exit = True
    thread.join()
    return 0


if __name__ == "__main__":
    sys.exit(main())
