"""Hand a case over: write its bundle into the evidence store.

The bundle holds the evidence objects, the custody ledger, the signed heads, the public keys, and a signed table of
contents. Anybody can check it with `forensics-verify`, without access to AWS. The notice of the case names the bundle
and the fingerprint of the signing key: send the fingerprint to the recipient by another channel than the bundle.

**Triage notes**: a digest that differs from the ledger ends the export; run `evidence_audit` for the case then. A failed
export leaves nothing behind and can be cleared.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from airflow.sdk import DAG, Param

from forensics.report.bundle_operators import ExportCaseOperator
from forensics.task_docs import TASKS

with DAG(
    dag_id="case_export",
    dag_display_name="Case export",
    description="Write a bundle of one case for people outside the organization",
    schedule=None,
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    tags=["forensics", "custody"],
    doc_md=__doc__,
    params={
        "case_id": Param(
            "",
            type="string",
            pattern=r"^(fc-[0-9]{8}-[0-9a-f]{10})?$",
            title="Case",
            description="fc-…, as on the case page",
        ),
        "requester": Param(
            "",
            type=["null", "string"],
            maxLength=100,
            title="For whom",
            description="optional: the recipient's name, recorded in the custody ledger",
        ),
        "largest_mib": Param(
            1024,
            type="integer",
            minimum=0,
            title="Largest object (MiB)",
            description="larger objects are listed by their digest and handed over separately; 0: everything goes in",
        ),
    },
    default_args={
        "owner": "forensics",
        "retries": 2,
        "retry_delay": timedelta(seconds=10),
        "execution_timeout": timedelta(hours=12),
    },
):
    ExportCaseOperator(
        task_id="export_case",
        doc_md=TASKS["export_case"],
        case_id="{{ params.case_id }}",
        requester="{{ params.requester or '' }}",
        largest_mib="{{ params.largest_mib }}",
    )
