"""How long properties are looked for: short by default, `HYPOTHESIS_PROFILE=thorough` for a night."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

_slow = [HealthCheck.too_slow, HealthCheck.function_scoped_fixture, HealthCheck.data_too_large]

settings.register_profile(
    "short", max_examples=12, stateful_step_count=15, deadline=None, suppress_health_check=_slow
)
settings.register_profile(
    "thorough", max_examples=400, stateful_step_count=40, deadline=None, suppress_health_check=_slow
)
PROFILE = settings.get_profile(os.environ.get("HYPOTHESIS_PROFILE", "short"))
