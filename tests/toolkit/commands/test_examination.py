"""The confined program: it writes all outputs, whatever happens to the evidence."""

from __future__ import annotations

import json
from pathlib import Path

from forensic_toolkit.commands import examination, outputs
from forensic_toolkit.commands.examination import Job


def test_a_job_survives_the_file_and_a_failure_is_part_of_the_results(tmp_path: Path) -> None:
    image = tmp_path / "memory"
    image.write_bytes(b"\x7fELF is not LiME")
    (tmp_path / "raw").mkdir()
    job = Job(
        command="memory",
        case="fc-20260101-0123456789",
        evidence="mem-1",
        folder=str(tmp_path),
        files={"memory": str(image)},
        sha256="0" * 64,
        bytes=image.stat().st_size,
        seconds=60.0,
        gaps=[["digest of the image", "not stated"]],
    )
    path = tmp_path / "job.json"
    job.write(path)
    assert Job(**json.loads(path.read_text("utf-8"))) == job
    assert examination.main(["", str(path)]) == 0
    found = json.loads(outputs.paths(tmp_path)["results"].read_text("utf-8"))
    assert "not a LiME image: it begins with 7f454c46" in found["failure"]
    assert [gap["what"] for gap in found["gaps"]] == ["digest of the image", "analysis"]
    assert found["input"] == {"sha256": "0" * 64, "bytes": image.stat().st_size}
    # The restrictions of the process are part of the provenance, also when there are none.
    assert found["provenance"][0]["tool"] == "confinement" and found["provenance"][0]["argv"]
    assert all(place.exists() for place in outputs.paths(tmp_path).values())
