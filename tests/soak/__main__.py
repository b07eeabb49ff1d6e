"""`make soak`: SOAK_SECONDS (600) of it with SOAK_SEED (any text; left out = another one each time)."""

from __future__ import annotations

import os
import secrets
import sys

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
django.setup()

from config.environment import VAR_DIR, env  # noqa: E402
from tests.soak.soaking import soak  # noqa: E402
from tests.soak.verdict import SHOWN_MAX  # noqa: E402

SECONDS = 600


def main() -> int:
    """Soak; 1 when something is wrong."""
    seed = env.str("SOAK_SEED", "") or secrets.token_hex(3)
    seconds = env.float("SOAK_SECONDS", SECONDS)
    print(f"Soaking for {seconds:.0f} seconds with SOAK_SEED={seed}", flush=True)
    done = soak(seconds, seed, VAR_DIR / "soak" / seed, lambda line: print(line, flush=True))
    print("\n".join(done.lines))
    if not done.wrong:
        return 0
    print("\n".join(done.wrong[:SHOWN_MAX]))
    print(f"Wrong, with SOAK_SEED={seed}; the journal and all logs are in {done.folder}")
    return 1


if __name__ == "__main__":
    sys.exit(main())
