"""Step of the disk flow: hash the disks. It runs beside investigation and report, before the case is closed."""

from __future__ import annotations

from airflow.sdk import Context
from airflow.sdk.exceptions import AirflowSkipException

from forensics.case.recorder import CaseRecorder
from forensics.case.step import ForensicOperator, Json
from forensics.disk.disk_digests import DiskDigests, hashable


class DigestDisksOperator(ForensicOperator):
    """Hash every acquired disk: the copy in the forensic account and, unless switched off, the original, which must agree.

    The block manifest (number and SHA-256 of every written block) becomes evidence. An interrupted read resumes where it
    stopped. One disk that cannot be read does not keep the others from being hashed.
    """

    takes_artifacts = True

    def act(self, recorder: CaseRecorder, context: Context) -> Json:
        """Hash what has no digest yet; returns the digest of each disk."""
        items = hashable(recorder)
        if not items:
            raise AirflowSkipException("no disk was acquired: there is nothing to hash")
        return dict(DiskDigests.of(recorder, self.sessions).digest_all(items))
