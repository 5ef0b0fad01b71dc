"""Queues of BITS. The reader was also held against queues of Windows 10 and 11 (jobs, files and times as other tools gave them);
the older form of queue is built here alone."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

from forensic_toolkit.readers import bits_jobs
from forensic_toolkit.readers.bits_jobs import Transfer
from tests.toolkit import bits_blobs as blobs
from tests.toolkit.fake_tree import LATER

JOB, OTHER, FILE = UUID(int=0xA), UUID(int=0xB), UUID(int=0xF)
URL, PATH = "http://203.0.113.9/u.exe", r"C:\ProgramData\u.exe"


def test_a_job_with_its_file_its_command_and_its_times() -> None:
    later = LATER + timedelta(minutes=2)
    record = blobs.job(
        "upd", number=JOB, files=[FILE], created=LATER, modified=later, program="C:\\w\\cmd.exe", arguments="/c x", errors=1
    )  # fmt: skip
    queue = bits_jobs.read(blobs.queue_10([record], [(FILE, blobs.file(URL, PATH))]))
    (job,) = queue.jobs
    assert (job.number, job.kind, job.state, job.name) == (str(JOB), "download", "transferred", "upd")
    assert (job.command, job.owner) == ("C:\\w\\cmd.exe /c x", blobs.USER)
    assert (job.created, job.modified) == (LATER, later)
    assert job.files == (Transfer(URL, PATH, PATH + ".tmp", 4096),)
    assert (queue.files, queue.unknown) == ((), False)


def test_of_several_versions_of_a_job_the_newest_speaks() -> None:
    versions = [
        blobs.job("upd", number=JOB, files=[FILE], created=LATER, modified=LATER + timedelta(hours=hours), state=state)
        for hours, state in ((0, 0), (2, 8), (1, 2))
    ]
    queue = bits_jobs.read(blobs.queue_10(versions, [(FILE, blobs.file(URL, PATH))]))
    assert [(job.state, len(job.files)) for job in queue.jobs] == [("cancelled", 1)]


def test_files_whose_job_is_gone_and_jobs_whose_files_are_gone() -> None:
    queue = bits_jobs.read(
        blobs.queue_10(
            [blobs.job("a", number=JOB, files=[OTHER], created=LATER)], [(FILE, blobs.file(URL, PATH, size=-1))]
        )
    )
    assert queue.jobs[0].files == () and [(one.url, one.bytes) for one in queue.files] == [(URL, -1)]


def test_the_older_form_with_the_files_in_the_job() -> None:
    files = [
        blobs.file(URL, PATH),
        blobs.file("http://b.example/c.cab", r"C:\c.cab"),
        blobs.file(r"\\srv\s\d", r"D:\d"),
    ]
    record = blobs.job("old", number=JOB, files=files, created=LATER, mark=blobs.JOB_7)
    (job,) = bits_jobs.read(blobs.queue_7([record])).jobs
    assert [one.url for one in job.files] == [URL, "http://b.example/c.cab", r"\\srv\s\d"]
    assert job.created == LATER


def test_damage_costs_the_damaged_record_only() -> None:
    good = blobs.job("good", number=JOB, files=[FILE], created=LATER)
    bad = blobs.job("bad", number=OTHER, files=[FILE], created=LATER)
    for at in range(16, len(bad), 7):
        queue = bits_jobs.read(blobs.queue_10([bad[:at] + b"\xff\xff" + bad[at + 2 :], good], []))
        assert any(job.name == "good" and job.created == LATER for job in queue.jobs)
    assert bits_jobs.read(bytes(5000)) == bits_jobs.Queue((), (), unknown=False)
    assert bits_jobs.read(good.replace(blobs.JOB_10, b"\x11" * 16)).unknown
