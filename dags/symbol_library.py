"""A symbol table for one kernel, from its distribution's debug package.

Volatility reads memory only with a table of exactly the target's kernel. Captures bring their own (from BTF); for kernels without
BTF, and for images without kernel facts, put the debug package (`linux-image-…-dbg`, `kernel-debuginfo`, `linux-image-…-dbgsym`)
into the tools bucket and **trigger** this with its key and SHA-256. A disposable instance without a way out builds the table, with
dwarf2json where the AMI has it, else from BTF; it is signed and kept, and every later case of that kernel uses it.

**Triage notes**: red with "no symbol table was built" means that the package is not the kernel's debug package, or has another
digest; the message says which. A table that is there already is not made anew.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from airflow.sdk import DAG, Param

from forensics.investigation.symbol_operators import BuildSymbolsOperator, LaunchBuilderOperator, RemoveBuilderOperator

with DAG(
    dag_id="symbol_library",
    description="Build, sign and keep a symbol table for one kernel (seed step 10)",
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
            description="key of the debug package in the tools bucket",
        ),
        "sha256": Param("", type="string", pattern=r"^([0-9a-f]{64})?$", title="SHA-256", description="of the package"),
    },
    default_args={"owner": "forensics", "retries": 1, "retry_delay": timedelta(seconds=30)},
):
    launch = LaunchBuilderOperator(task_id="launch_builder")
    remove = RemoveBuilderOperator(task_id="remove_builder")
    launch >> BuildSymbolsOperator(task_id="build_symbols") >> remove.as_teardown(setups=launch)
