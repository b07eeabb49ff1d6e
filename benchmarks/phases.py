"""Where the time of a charge goes: `python -m benchmarks.phases`, by the size of its batch.

Runs the charge path in one process and one thread, so that nothing waits for anything else, and reports the
processor time of this process and of its database session by phase. Elapsed time is no measure here: it grows
with whatever else the machine does.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from benchmarks.installation import Installation


def main() -> None:
    """Make an installation, fill it, measure inside it."""
    with tempfile.TemporaryDirectory(prefix="tollgate-phases-") as folder, Installation(Path(folder)) as made:
        callers = made.run_module("benchmarks.world", "1000")
        print(made.run_module("benchmarks.phases_inside", callers), end="")


if __name__ == "__main__":
    main()
