"""Celery workers of the lab: as on Amazon MWAA, no worker can reach another one's files."""

from __future__ import annotations

from pathlib import Path

import pytest

from infra.deployment import mwaa_image
from lab.stack import airflow, celery
from lab.stack.process import StackError

DATABASE = "postgresql+psycopg2://airflow@127.0.0.1:1/postgres"


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> celery.Cluster:
    """A cluster whose broker's program is taken for granted."""
    monkeypatch.setattr(celery.shutil, "which", lambda name: f"/usr/bin/{name}")
    return celery.Cluster(tmp_path, DATABASE)


def common(cluster: celery.Cluster, state: Path) -> dict[str, str]:
    """What all processes of the stack have in common."""
    made = airflow.environment(state, lab_endpoint="http://127.0.0.1:1", api_port=1, database=DATABASE)
    return {"HOME": "/home/somebody", "TMPDIR": "/tmp", **made, **cluster.settings()}


def test_every_path_of_a_worker_is_on_its_own_disk(cluster: celery.Cluster, tmp_path: Path) -> None:
    shared = common(cluster, tmp_path)
    for name in cluster.workers:
        mine = cluster.alone(name, shared)
        paths = {
            key: value
            for key, value in mine.items()
            if value.startswith("/") and value != shared.get("AWS_CONFIG_FILE")
        }
        strangers = {
            key
            for key, value in paths.items()
            if not value.startswith(f"{cluster.disk(name)}/") and value != str(cluster.disk(name))
        }
        # the API server's own: a worker asks the API and reads no password
        assert strangers == {"AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE"}
        assert (cluster.disk(name) / "plugins" / "forensics" / "settings.py").is_file()
        assert (cluster.disk(name) / "dags" / "forensic_case.py").is_file()
    assert len({cluster.disk(name) for name in cluster.workers}) == celery.WORKERS == 3


def test_a_worker_that_starts_again_finds_an_empty_disk(cluster: celery.Cluster, tmp_path: Path) -> None:
    cluster.alone("worker-1", common(cluster, tmp_path))
    left = cluster.disk("worker-1") / "tmp" / "left"
    left.write_text("x")
    cluster.alone("worker-1", common(cluster, tmp_path))
    assert not left.exists() and left.parent.is_dir()


def test_workers_run_with_mwaas_settings_and_the_templates(cluster: celery.Cluster, tmp_path: Path) -> None:
    made = common(cluster, tmp_path)
    assert set(mwaa_image.FORCED.items()) <= set(made.items())
    assert set(mwaa_image.airflow_options().items()) <= set(made.items()), "the lab's own time-outs do not hold here"
    assert made["AIRFLOW__CELERY__WORKER_AUTOSCALE"] == "5,5"
    assert made["AIRFLOW__CELERY_BROKER_TRANSPORT_OPTIONS__VISIBILITY_TIMEOUT"] == "43200"


def test_the_broker_listens_here_only_and_asks_for_a_password(cluster: celery.Cluster, tmp_path: Path) -> None:
    _, file = cluster.broker()
    lines = Path(file).read_text().splitlines()
    assert "bind 127.0.0.1" in lines and any(line.startswith("requirepass ") for line in lines)
    assert Path(file).stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("database", [None, "sqlite:////x"])
def test_without_postgresql_there_are_no_workers(tmp_path: Path, database: str | None) -> None:
    with pytest.raises(StackError, match="apt-get install postgresql"):
        celery.Cluster(tmp_path, database)


def test_without_a_broker_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(celery.shutil, "which", lambda _: None)
    with pytest.raises(StackError, match="apt-get install redis-server"):
        celery.Cluster(tmp_path, DATABASE)


def test_the_executor_is_chosen_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LAB_EXECUTOR", raising=False)
    assert not celery.chosen(None) and celery.chosen("celery")
    monkeypatch.setenv("LAB_EXECUTOR", "celery")
    assert celery.chosen(None) and not celery.chosen("local")
    with pytest.raises(StackError, match="kubernetes is no executor of the lab"):
        celery.chosen("kubernetes")
