"""Build the disk images that the lab ships: `python -m lab.tools.disks.ship [--out DIR]`.

After a change of a scenario or of the builder. tests/lab/evidence/test_disk.py fails when what is shipped is not what the
scenarios say.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

import zstandard

from lab.evidence.disk import SHIPPED
from lab.evidence.unpacking import WINDOW_LOG
from lab.tools.disks.build import TINY, WEB_SERVER, build

SCENARIOS = {"web-server": WEB_SERVER, "tiny": TINY}
_LEVEL = 19


def ship(out: Path) -> None:
    """Write image (compressed) and facts of every scenario into the folder ``out``. Raises ScenarioError, OSError."""
    out.mkdir(parents=True, exist_ok=True)
    parameters = zstandard.ZstdCompressionParameters.from_level(_LEVEL, window_log=WINDOW_LOG, write_checksum=True)
    with tempfile.TemporaryDirectory() as folder:
        for name, scenario in SCENARIOS.items():
            raw = Path(folder) / f"{name}.raw"
            build(scenario, raw, facts=out / f"{name}.facts.json")
            packed = zstandard.ZstdCompressor(compression_params=parameters).compress(raw.read_bytes())
            (out / f"{name}.raw.zst").write_bytes(packed)


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python -m lab.tools.disks.ship", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, default=SHIPPED, help="folder for the images and their facts; %(default)s")
    out: Path = parser.parse_args().out
    ship(out)
    for file in sorted(out.iterdir()):
        print(f"{file.stat().st_size:>10}  {file}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
