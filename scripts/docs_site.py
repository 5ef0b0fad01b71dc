"""Hooks of MkDocs (`mkdocs.yml`): documents outside of docs/ become pages, and links hold on the site as in the repository.

A document links to files by their place in the repository. A link to another page is turned into the page's link; one to a
file that is no page (code, a template) becomes its name; one to nothing is a warning, which the strict build makes an error.
"""

from __future__ import annotations

import logging
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[1]
# page of the site → document of the repository; all others lie below docs/ under the same name
ELSEWHERE = {
    "index.md": "README.md",
    "contributing.md": "CONTRIBUTING.md",
    "security.md": "SECURITY.md",
    "changelog.md": "CHANGELOG.md",
    "ami.md": "ami/README.md",
    "toolkit.md": "ami/toolkit/README.md",
}
_PAGES = {document: page for page, document in ELSEWHERE.items()}
_LINK = re.compile(r"(?<!!)\[((?:[^\[\]]|\[[^\[\]]*\])+)\]\(([^()\s]+)\)")
_FENCED = re.compile(r"(^```.*?^```$)", re.MULTILINE | re.DOTALL)
_log = logging.getLogger("mkdocs.hooks.docs_site")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the documents that lie elsewhere, and the list of decisions."""
    from mkdocs.structure.files import File

    for page, document in ELSEWHERE.items():
        files.append(File.generated(config, page, content=(ROOT / document).read_text("utf-8")))
    return files


def on_page_markdown(markdown: str, page: Page, **_: Any) -> str:
    """Turn the links of one page into links of the site. Code blocks are left as they are."""
    source = page.file.src_uri
    document = ELSEWHERE.get(source, f"docs/{source}")
    parts = _FENCED.split(markdown)
    for index in range(0, len(parts), 2):
        parts[index] = _LINK.sub(lambda match: link(match[1], match[2], document=document, source=source), parts[index])
    return "".join(parts)


def link(text: str, target: str, *, document: str, source: str) -> str:
    """What a Markdown link of a document is on the site."""
    path, _, anchor = target.partition("#")
    if not path or "://" in target or target.startswith("mailto:"):
        return f"[{text}]({target})"
    place = os.path.normpath(Path(document).parent / path)
    name = _PAGES.get(place) or (
        place.removeprefix("docs/") if place.startswith("docs/") and place.endswith(".md") else ""
    )
    if name:  # MkDocs itself says when there is no such page
        here = os.path.relpath(name, Path(source).parent)
        return f"[{text}]({here}{'#' + anchor if anchor else ''})"
    if not (ROOT / place).exists():
        _log.warning("%s links to %s, which is not there", document, target)
    return text
