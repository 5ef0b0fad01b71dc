"""No test may reach real AWS or the Airflow home of the person who runs it."""

from __future__ import annotations

import os
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lab.emulator.contract import notes as answers
from lab.emulator.contract.notes import VARIABLE

for _name in [n for n in os.environ if n.startswith(("AWS_", "AIRFLOW__FORENSICS__"))]:
    del os.environ[_name]
os.environ["AWS_EC2_METADATA_DISABLED"] = "true"
os.environ["AWS_CONFIG_FILE"] = os.environ["AWS_SHARED_CREDENTIALS_FILE"] = os.devnull
# Airflow reads its home when it is imported, which is before any fixture runs.
os.environ["AIRFLOW_HOME"] = tempfile.mkdtemp(prefix="forensics-tests-airflow-")
os.environ["AIRFLOW__CORE__LOAD_EXAMPLES"] = "False"

# Every lab that a test starts notes here what is wrong with its answers (lab/emulator/contract). Workers, and sessions that a test
# starts, use the folder of the session that judges it.
_JUDGES = VARIABLE not in os.environ
ANSWERS = os.environ.setdefault(VARIABLE, tempfile.mkdtemp(prefix="forensics-tests-answers-"))

ENVIRONMENT = {
    "AIRFLOW__FORENSICS__FORENSIC_ACCOUNT_ID": "222233334444",
    "AIRFLOW__FORENSICS__REGION": "eu-central-1",
    "AIRFLOW__FORENSICS__CASE_TABLE": "forensics-cases",
    "AIRFLOW__FORENSICS__EVIDENCE_BUCKET": "forensics-evidence",
    "AIRFLOW__FORENSICS__LANDING_BUCKET": "forensics-landing",
    "AIRFLOW__FORENSICS__TOOLS_BUCKET": "forensics-tools",
    "AIRFLOW__FORENSICS__QUEUE_URL": "https://sqs.eu-central-1.amazonaws.com/222233334444/findings",
    "AIRFLOW__FORENSICS__DEAD_LETTER_QUEUE_URL": "https://sqs.eu-central-1.amazonaws.com/222233334444/dlq",
    "AIRFLOW__FORENSICS__TOPIC_ARN": "arn:aws:sns:eu-central-1:222233334444:forensics",
    "AIRFLOW__FORENSICS__EVIDENCE_KEY_ARN": "arn:aws:kms:eu-central-1:222233334444:key/evidence",
    "AIRFLOW__FORENSICS__SIGNING_KEY_ID": "arn:aws:kms:eu-central-1:222233334444:key/signing",
    "AIRFLOW__FORENSICS__DOCUMENT_KEY_ID": "arn:aws:kms:eu-central-1:222233334444:key/documents",
    "AIRFLOW__FORENSICS__EXTERNAL_ID": "forensics-test",
    "AIRFLOW__FORENSICS__ANALYSIS_SUBNET_ID": "subnet-0123456789abcdef0",
    "AIRFLOW__FORENSICS__ANALYSIS_SECURITY_GROUP_ID": "sg-0123456789abcdef0",
    "AIRFLOW__FORENSICS__ANALYSIS_INSTANCE_PROFILE": "forensics-analysis",
    "AIRFLOW__FORENSICS__CAPTURE_TOOL_SHA256": "0" * 64,
}

# Files that take a minute or more, the longest first: begun last they would keep one worker busy when all others have ended.
LONG = (
    "test_drill.py", "test_artifact_cases.py", "test_clear.py", "test_cloud_lake.py", "test_counted.py", "test_ssm_as_it_is.py",
    "test_evidence_retention.py", "test_break_glass.py", "test_symbol_library.py", "test_crash.py", "test_handlers.py",
    "test_deployments.py", "test_scale.py",
)  # fmt: skip


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long files first, then those with the most tests; a worker of ``make test`` takes file by file in this order.

    Tests of the whole stack stay folder by folder: who begins another stack ends the one before.
    """
    sizes = Counter(item.path for item in items)
    place = {name: number for number, name in enumerate(LONG)}

    def key(item: pytest.Item) -> tuple[bool, int, int, str]:
        if item.get_closest_marker("e2e") is not None:
            return True, 0, 0, str(item.path)
        return False, place.get(item.path.name, len(LONG)), -sizes[item.path], str(item.path)

    items.sort(key=key)


@pytest.hookimpl(tryfirst=True)
def pytest_make_collect_report(collector: pytest.Collector) -> None:
    """Give Hypothesis its profile right before the first module that uses it is imported.

    Importing it takes as long as starting pytest: a test that does not use it does not wait for it.
    """
    if isinstance(collector, pytest.Module) and "hypothesis" in collector.path.read_text("utf-8"):
        from hypothesis import settings

        # Machines that run tests are shared: fewer examples, and no example fails for being slow once.
        settings.register_profile("shared", max_examples=40, deadline=None)
        settings.load_profile("shared")


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail the session for a wrong answer of the lab, and leave out Hypothesis' summary where no test used it.

    Its plugin would import it only to say nothing.
    """
    plugins = session.config.pluginmanager
    if _JUDGES and answers.report(Path(ANSWERS))[1]:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
    if "hypothesis" not in sys.modules and plugins.hasplugin("hypothesispytest"):
        plugins.unregister(name="hypothesispytest")


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Name the answers of the lab that are not as botocore's models have them."""
    problems = answers.report(Path(ANSWERS))[1] if _JUDGES else []
    if problems:
        terminalreporter.section("the lab answered otherwise than AWS (botocore's models, documented error codes)")
        for problem in problems:
            terminalreporter.line(str(problem))


@pytest.fixture
def settings_environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, str]]:
    """A complete `[forensics]` section in the environment; settings are read afresh in and after the test."""
    from forensics.settings import get_settings

    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    get_settings.cache_clear()
    yield dict(ENVIRONMENT)
    get_settings.cache_clear()
