"""What a tool that acquires evidence has to do, and the runs that show it.

The form is that of NIST's Computer Forensics Tool Testing programme (CFTT, *Digital Data Acquisition Tool Specification* and its test
plan): a requirement, assertions under it, test cases, measured results. The words are the product's own. A run is a test of this
project by its pytest id; ``how`` says what is real in it.
"""

from __future__ import annotations

from dataclasses import dataclass

DISK = "tests/unit/disk/test_snapshot_reader.py::"
DIGESTS = "tests/unit/disk/test_disk_digests.py::"
CAPTURE = "tests/documents/test_acquire_memory.py::"
PARTS = "tests/documents/test_acquire_memory_segments.py::"
VERIFY = "tests/unit/memory/test_verification.py::"
SENT = "tests/unit/memory/test_parts.py::"
LIVE = "tests/documents/test_live_response.py::"


@dataclass(frozen=True)
class Assertion:
    """One assertion: its id, the requirement that it belongs to, what is asserted, and its runs."""

    id: str
    requirement: str
    text: str
    runs: tuple[str, ...]


COMPLETE = "All data of the source is acquired, and exactly"
UNALTERED = "The source is not altered, or what is altered is stated"
ERRORS = "Errors are reported with kind and place, and nothing is invented in their place"
RECORDED = "What is recorded of the acquisition is right"

ASSERTIONS = (
    Assertion(
        "DISK-COMPLETE-1", COMPLETE, "The digest of a volume equals sha256sum of its raw image: all blocks, none, every second, the last one only",
        (DISK + "test_the_digest_is_sha256sum_of_the_raw_image",),
    ),
    Assertion("DISK-COMPLETE-2", COMPLETE, "The exported data gives the image back, byte for byte", (DISK + "test_the_block_manifest_and_the_data_are_kept_and_give_the_image_back",)),
    Assertion("DISK-COMPLETE-3", COMPLETE, "A read that was interrupted goes on and ends at the same digest", (DISK + "test_an_interrupted_read_resumes_and_gives_the_same_digest",)),
    Assertion("DISK-COMPLETE-4", COMPLETE, "Blocks that were never written are zeros of the image", ("tests/unit/disk/test_image.py::test_what_was_not_written_is_zeros",)),
    Assertion("MEMORY-COMPLETE-1", COMPLETE, "The image arrives whole, in parts, with and without the agent's variables", (CAPTURE + "test_streams_the_image_in_parts",)),
    Assertion("MEMORY-COMPLETE-2", COMPLETE, "A capture that was stopped goes on at the part that is missing", (PARTS + "test_resumes_at_the_part_that_is_missing",)),
    Assertion("MEMORY-COMPLETE-3", COMPLETE, "A compressed capture is stored as it was in memory", (PARTS + "test_compresses_with_zstd_where_it_is_offered_and_there", VERIFY + "test_a_compressed_image_is_stored_as_it_was_in_memory")),
    Assertion("MEMORY-COMPLETE-4", COMPLETE, "Two states of a machine are never joined to one image", (PARTS + "test_a_machine_that_was_started_anew_is_not_resumed", PARTS + "test_two_methods_are_never_mixed")),
    Assertion("MEMORY-COMPLETE-5", COMPLETE, "The parts are compared however the stream is cut (short reads, odd sizes)", (SENT + "test_parts_are_compared_however_the_stream_is_cut",)),
    Assertion("LIVE-COMPLETE-1", COMPLETE, "The archive of a live response is what its index says, from every shell", (LIVE + "test_every_shell_gives_a_whole_archive_with_what_runs",)),
    Assertion("DISK-UNALTERED-1", UNALTERED, "Copy and original are both read and have the same digest; a copy that differs fails for good", (DIGESTS + "test_copy_and_original_are_hashed_and_the_manifest_is_evidence", DIGESTS + "test_a_copy_that_differs_is_failed_for_good")),
    Assertion("HOST-UNALTERED-1", UNALTERED, "A capture and a live response write no file of the target's disks; what they change is on the page of the footprint", ("tests/documents/test_footprint.py",)),
    Assertion("DISK-ERRORS-1", ERRORS, "A block that came damaged is read again", (DISK + "test_a_block_that_came_damaged_is_read_again",)),
    Assertion("DISK-ERRORS-2", ERRORS, "A block that cannot be read right (a bad block) ends the read, by its number; nothing is filled in", (DISK + "test_a_block_that_is_not_what_ebs_says_ends_the_read_and_is_named",)),
    Assertion("DISK-ERRORS-3", ERRORS, "A disk that cannot be read does not stop the others", (DIGESTS + "test_one_disk_that_cannot_be_read_does_not_stop_the_others",)),
    Assertion("DISK-ERRORS-4", ERRORS, "An original that could not be compared is said, and not called verified", (DIGESTS + "test_an_original_that_cannot_be_read_is_said",)),
    Assertion("MEMORY-ERRORS-1", ERRORS, "An upload that is refused (throttled) is repeated; one that is refused for good ends the capture", (CAPTURE + "test_an_upload_refused_twice_is_repeated", CAPTURE + "test_an_upload_refused_for_good_ends_the_capture")),
    Assertion("MEMORY-ERRORS-2", ERRORS, "A part that changed on its way is named", (VERIFY + "test_a_part_that_changed_on_its_way_is_named", SENT + "test_the_first_wrong_part_is_named")),
    Assertion("MEMORY-ERRORS-3", ERRORS, "Damage of a compressed stream is an error and not a short image", (SENT + "test_damage_is_an_error_and_not_a_short_image",)),
    Assertion("MEMORY-ERRORS-4", ERRORS, "An empty image, and one of another size than was read, fail", (CAPTURE + "test_an_empty_image_fails", VERIFY + "test_an_image_of_another_size_than_was_read_is_refused")),
    Assertion("MEMORY-ERRORS-5", ERRORS, "An image that misses a check is called partial or failed, never good", (VERIFY + "test_an_image_that_misses_a_check_is_partial_and_says_so_to_people", VERIFY + "test_an_unusable_image_is_recorded_and_kept_but_the_step_fails")),
    Assertion("ALL-RECORDED-1", RECORDED, "A complete acquisition is in the ledger: digest, lock, address, outcome", (VERIFY + "test_a_clean_image_is_acquired_locked_and_announced",)),
    Assertion("ALL-RECORDED-2", RECORDED, "The list of parts names every part with its digest", (PARTS + "test_the_list_names_every_part_with_its_digest",)),
    Assertion("ALL-RECORDED-3", RECORDED, "A case is handed over and checked by somebody without AWS; every change of it is found", ("tests/integration/test_custody_steps.py::test_a_case_is_audited_handed_over_and_checked_by_somebody_without_aws", "tests/integration/test_custody_steps.py::test_tampering_is_an_alarm_that_names_it")),
    Assertion("ALL-RECORDED-4", RECORDED, "What was not acquired is recorded as not acquired (instance store, disks that the plan leaves out)", ("tests/unit/disk/test_snapshot_set.py::test_an_instance_store_is_recorded_as_not_acquired", "tests/unit/disk/test_snapshot_set.py::test_disks_that_the_plan_does_not_acquire_are_recorded_with_the_reason")),
)  # fmt: skip
