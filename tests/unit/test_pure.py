"""`make quick` runs what is pure: the list holds the rules of the rooms, and no test that starts Airflow, the lab or a program."""

from __future__ import annotations

from tests.pure import ROOT, heavy, pure


def test_the_list_of_pure_tests_holds_the_rules_and_leaves_out_what_starts_something() -> None:
    names = {str(file.relative_to(ROOT)) for file in pure()}
    assert {
        "tests/unit/custody/test_chain.py",
        "tests/unit/triage/test_decision.py",
        "tests/unit/test_pure.py",
    } <= names
    assert not {name for name in names if name.startswith(("tests/e2e", "tests/integration", "tests/storm"))}
    assert "moto" in heavy(next((ROOT / "tests/integration").glob("test_*.py")))
