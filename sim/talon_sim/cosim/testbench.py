"""What a cocotb test module needs from the test that runs it: parameters in, coverage out."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from talon_sim.cosim.coverage import Coverage, merge

PARAMETERS = "TALON_TEST_PARAMETERS"
COVERAGE = "TALON_TEST_COVERAGE"


def parameters() -> dict[str, Any]:
    """Return what ``run_cocotb(parameters=...)`` was given."""
    return json.loads(os.environ.get(PARAMETERS, "{}"))


def record_coverage(coverage: Coverage) -> None:
    """Add the counts to those that ``run_cocotb`` returns, over all tests of the run."""
    path = Path(os.environ[COVERAGE])
    total: dict[str, int] = json.loads(path.read_text()) if path.exists() else {}
    merge(total, coverage.counts)
    path.write_text(json.dumps(total))
