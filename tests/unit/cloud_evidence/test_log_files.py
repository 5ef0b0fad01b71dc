"""Log files that cannot be had are counted, with the first of them and what was refused; found by ``make iam-check``: the action was cut off."""

from __future__ import annotations

from datetime import UTC, datetime

from forensics.aws.log_buckets import LogBytes, LogFile
from forensics.cloud_evidence.log_files import LogFiles
from forensics.errors import AccessDeniedError, ThrottledError

AT = datetime(2026, 11, 30, tzinfo=UTC)
FOLDER = "AWSLogs/333344445555/CloudTrail/eu-central-1/2026/11/30/"
ACTION = "User: arn:aws:sts::333344445555:assumed-role/forensics-logs/fc is not authorized to perform: s3:GetObject"


class Bucket:
    """Refuses all but one."""

    def read(self, key: str, *, limit: int) -> LogBytes:
        if key.endswith("good"):
            return LogBytes(body=b"{}", version_id="1", metadata={})
        if key.endswith("busy"):
            raise ThrottledError(f"read s3://trail/{key}: SlowDown")
        raise AccessDeniedError(
            f"read s3://a-bucket-with-a-name-of-some-length/{key} in account 333344445555: AccessDenied: {ACTION}"
        )


def test_files_that_cannot_be_read_are_counted_by_their_cause() -> None:
    names = [
        f"{FOLDER}333344445555_CloudTrail_eu-central-1_20261130T08{n:02}Z_ea5b4b95299a44d.json.gz" for n in range(7)
    ]
    listed = [LogFile(key=name, size=1, etag="e", modified=AT) for name in (*names, f"{FOLDER}busy", f"{FOLDER}good")]
    files = LogFiles(Bucket())  # type: ignore[arg-type]
    assert [item.name for item in files.objects(listed, may=lambda _: True)] == [f"{FOLDER}good"]
    refused, busy = files.gaps()
    assert refused.startswith("7 log files could not be read: ") and ACTION in refused
    assert f"(the first: {names[0].rpartition('/')[2]})" in refused
    assert busy.startswith("1 log file could not be read: ")
