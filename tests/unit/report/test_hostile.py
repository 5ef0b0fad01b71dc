"""Nothing from the instance, its tags, tools or findings becomes markup."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forensics.printable import single_line, visible
from forensics.report import render_html
from forensics.report.text import cut
from forensics.web.frame import script
from tests.unit.report import sample

VOID = {"meta", "br", "hr", "img", "input", "link"}  # <rect/> and the like are closed where they begin
ALLOWED_TAGS = (
    {"html", "head", "meta", "title", "style", "body", "nav", "a", "header", "h1", "h2", "h3", "p", "span"}
    | {"b", "br", "div", "main", "section", "ol", "ul", "li", "table", "thead", "tbody", "tr", "th", "td"}
    | {"form", "label", "input", "select", "option", "button", "caption", "noscript"}
    | {"figure", "figcaption", "svg", "g", "rect", "line", "path", "text"}
    | {"details", "summary", "dl", "dt", "dd", "time", "code", "pre", "footer"}
)
ALLOWED_ATTRIBUTES = {
    "lang",
    "charset",
    "http-equiv",
    "content",
    "name",
    "class",
    "aria-label",
    "href",
    "id",
    "data-label",
    "datetime",
    "colspan",
    "open",
    "scope",
    # the board's form
    "method",
    "action",
    "role",
    "type",
    "value",
    "selected",
    "maxlength",
    "required",
    "placeholder",
    "data-live",
    "data-dag",
    "data-airflow",
    "rel",
    # the drawing
    "viewbox",
    "x",
    "y",
    "x1",
    "y1",
    "x2",
    "y2",
    "d",
    "width",
    "height",
    "text-anchor",
    "tabindex",
    "target",
}


class Page(HTMLParser):
    """Tags, attributes and text of a page; checks that elements are closed in order."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: set[str] = set()
        self.attributes: list[tuple[str, str, str | None]] = []
        self.text = ""
        self.declarations: list[str] = []
        self.open: list[str] = []
        self.scripts: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes += [(tag, name, value) for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open and self.open[-1] == tag, f"</{tag}> closes <{self.open[-1:]}> at {self.getpos()}"
        self.open.pop()

    def handle_data(self, data: str) -> None:
        if "script" in self.open:
            self.scripts.append(data)
        elif "style" not in self.open:
            self.text += data.replace("\xa0", " ")

    def handle_comment(self, data: str) -> None:
        self.declarations.append(data)

    def handle_decl(self, decl: str) -> None:
        if decl != "DOCTYPE html":
            self.declarations.append(decl)

    def unknown_decl(self, data: str) -> None:
        self.declarations.append(data)


def check(html: str) -> Page:
    """Parse a page; fail when anything in it can only have come from data."""
    page = Page(html)
    assert page.open == []
    # The pages in Airflow's UI have the program's own script, character by character.
    assert set(page.scripts) <= {str(script())}
    assert page.tags - ({"script"} if page.scripts else set()) <= ALLOWED_TAGS
    assert page.declarations == []
    for tag, name, value in page.attributes:
        assert name in ALLOWED_ATTRIBUTES, (tag, name)
        assert "hostile" not in (value or "") or (tag, name) == ("input", "value"), (tag, name, value)
        if name == "href":
            assert (value or "").startswith(("#", "/")), value
    return page


@pytest.fixture(scope="module")
def page() -> Page:
    return check(render_html(sample.rich_view()))


def test_hostile_strings_are_text_only(page: Page) -> None:
    for text in sample.HOSTILE[:-1]:
        assert single_line(text) in page.text


def test_no_control_or_reordering_character_is_left(page: Page) -> None:
    for char in "\x00\x07\x1b\x7f\r\u202e\u2066\u2069\u200b\ufeff\u2028":
        assert char not in page.text
    assert "␛[31m" in page.text
    assert "invoice[U+202E]gpj.exe" in page.text


def test_nothing_is_loaded_and_nothing_runs(page: Page) -> None:
    assert not page.tags & {"script", "img", "link", "iframe", "object", "form", "base"}
    policy = [v for t, n, v in page.attributes if t == "meta" and n == "content" and v and "default-src" in v]
    assert policy == ["default-src 'none'; style-src 'unsafe-inline'; img-src data:"]


def test_long_text_is_cut_with_a_marker(page: Page) -> None:
    assert "more characters]" in page.text
    assert "A" * 5000 not in page.text


def test_cut_says_how_much_is_missing() -> None:
    assert cut("abcdef", 4) == "abcd […2 more characters]"
    assert cut("abcd", 4) == "abcd"


def test_stacked_marks_are_shown_as_codes() -> None:
    assert visible("z" + "\u0301" * 6) == "z" + "\u0301" * 4 + "[U+0301][U+0301]"


def test_a_line_break_is_marked_so_that_lines_cannot_be_faked() -> None:
    assert visible("a\r\nb\tc") == "a␍⏎\nb␉c"


def test_lone_surrogates_in_free_data_do_not_break_the_page() -> None:
    view = sample.rich_view()
    first = view.results[0]
    finding = first.findings[0].model_copy(update={"data": {"bad\ud800": "x\udfff"}})
    odd = view.model_copy(update={"results": (first.model_copy(update={"findings": (finding,)}),)})
    assert "bad[U+D800]" in check(render_html(odd)).text


@given(st.text(max_size=60), st.dictionaries(st.text(min_size=1, max_size=10), st.text(max_size=30), max_size=3))
@settings(max_examples=25, deadline=None)
def test_any_text_stays_text(text: str, tags: dict[str, Any]) -> None:
    target = sample.target().model_copy(update={"tags": tags, "notes": (text,)})
    case = sample.case(title=text, requester=text, reason=text)
    html = render_html(sample.empty_view().model_copy(update={"case": case, "target": target}))
    page = Page(html)
    assert page.open == []
    # The pages in Airflow's UI have the program's own script, character by character.
    assert set(page.scripts) <= {str(script())}
    assert page.tags - ({"script"} if page.scripts else set()) <= ALLOWED_TAGS
    assert single_line(cut(text, 300)) in page.text
