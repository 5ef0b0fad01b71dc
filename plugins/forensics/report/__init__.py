"""Case view in, report out: pure, no Airflow, no AWS."""

from forensics.report.document import render_json
from forensics.report.page import Link, render_html

__all__ = ["Link", "render_html", "render_json"]
