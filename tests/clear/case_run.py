"""A run of the DAG as Airflow's scheduler sees it: its own trigger rules and its own clearing, on a database in memory."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from typing import Any

import airflow.models
from airflow.models.base import Base
from airflow.models.dagrun import DagRun
from airflow.models.taskinstance import TaskInstance
from airflow.serialization.serialized_objects import DagSerialization
from airflow.utils.state import DagRunState
from airflow.utils.types import DagRunType
from sqlalchemy import create_engine
from sqlalchemy.orm import sessionmaker
from sqlalchemy.pool import StaticPool

RETRIES = 2


class CaseRun:
    """One run. It lives in this process, so that a fork has its own."""

    def __init__(self, dag: Any, *, run_id: str) -> None:
        airflow.models.import_all_models()
        engine = create_engine("sqlite://", poolclass=StaticPool, connect_args={"check_same_thread": False})
        Base.metadata.create_all(engine)
        self.run_id = run_id
        self._dag = DagSerialization.from_dict(DagSerialization.to_dict(dag))
        self._session = sessionmaker(engine, expire_on_commit=False)()
        self._run = DagRun(
            dag_id=dag.dag_id, run_id=run_id, run_type=DagRunType.MANUAL, run_after=datetime.now(UTC), state=DagRunState.RUNNING
        )  # fmt: skip
        self._run.dag = self._dag
        self._session.add(self._run)
        self._session.flush()
        self._run.verify_integrity(session=self._session, dag_version_id=uuid.uuid4())
        for instance in self._instances():
            instance.max_tries = RETRIES
        self._session.commit()

    def ready(self) -> list[str]:
        """The tasks that the scheduler would start now; what their trigger rules skip or fail has that state afterwards."""
        found: list[str] = []
        for _ in self._dag.task_ids:  # each look may decide on tasks that decide on others
            before = self.states()
            decision = self._run.task_instance_scheduling_decisions(session=self._session)
            self._session.commit()
            found = [instance.task_id for instance in decision.schedulable_tis]
            if self.states() == before:
                return found
        return found

    def ended(self, task_id: str, state: str) -> None:
        """A task has ended in a state, in the last of its tries."""
        instance = self._instance(task_id)
        instance.state, instance.try_number = state, instance.max_tries + 1
        self._session.commit()

    def states(self) -> dict[str, str | None]:
        """Each task's state."""
        self._session.expire_all()
        return {instance.task_id: instance.state for instance in self._instances()}

    def max_tries(self, task_id: str) -> int:
        """How often Airflow would repeat it by itself, with all that was before."""
        return int(self._instance(task_id).max_tries)

    def clear(self, task_id: str) -> set[str]:
        """Clear one task with what is downstream of it, as a person does in the UI; returns what was cleared."""
        subset = self._dag.partial_subset(task_ids=[task_id], include_downstream=True, include_upstream=False)
        for name in subset.task_ids:
            instance = self._instance(name)
            # airflow.models.taskinstance.clear_task_instances
            instance.max_tries = max(instance.try_number, instance.max_tries) + RETRIES
            instance.state = None
        self._run.state = DagRunState.RUNNING
        self._session.commit()
        return set(subset.task_ids)

    def _instance(self, task_id: str) -> TaskInstance:
        return next(instance for instance in self._instances() if instance.task_id == task_id)

    def _instances(self) -> list[TaskInstance]:
        return list(self._run.get_task_instances(session=self._session))
