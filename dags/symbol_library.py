"""A symbol table for one kernel, from its distribution's debug package.

Volatility reads memory only with a table of exactly the target's kernel. Captures bring their own (from BTF); for kernels without
BTF, and for images without kernel facts, put the debug package (`linux-image-…-dbg`, `kernel-debuginfo`, `linux-image-…-dbgsym`)
into the tools bucket and **trigger** this with its key and SHA-256. A disposable instance without internet access builds the table,
with dwarf2json where the AMI has it, otherwise from BTF; it is signed and kept, and every later case of that kernel uses it.

**Triage notes**: red with "no symbol table was built" means that the package is not the kernel's debug package, or that its digest
differs; the message says which. A table that exists already is not built again.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from airflow.sdk import DAG, Param

from forensics.investigation.symbol_operators import BuildSymbolsOperator, LaunchBuilderOperator, RemoveBuilderOperator
from forensics.task_docs import TASKS

with DAG(
    dag_id="symbol_library",
    dag_display_name="Symbol library",
    description="Build, sign and keep the symbol table of one kernel",
    schedule=None,
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    tags=["forensics", "upkeep"],
    doc_md=__doc__,
    params={
        "package": Param(
            "symbols/packages/",
            type="string",
            pattern=r"^[A-Za-z0-9][A-Za-z0-9._+/-]{0,400}$",
            title="Package",
            description="object key of the debug package in the tools bucket",
        ),
        "sha256": Param(
            "",
            type="string",
            pattern=r"^([0-9a-f]{64})?$",
            title="SHA-256",
            description="64 hexadecimal digits, as the distribution publishes them for the package",
        ),
    },
    default_args={
        "owner": "forensics",
        "retries": 1,
        "retry_delay": timedelta(seconds=30),
        "execution_timeout": timedelta(hours=2),
    },
):
    launch = LaunchBuilderOperator(task_id="launch_builder", doc_md=TASKS["launch_builder"])
    remove = RemoveBuilderOperator(task_id="remove_builder", doc_md=TASKS["remove_builder"])
    build = BuildSymbolsOperator(task_id="build_symbols", doc_md=TASKS["build_symbols"])
    launch >> build >> remove.as_teardown(setups=launch)
