"""Redis carries messages and caches: without it charges and events go on."""

from __future__ import annotations

import json
from urllib.request import urlopen

from benchmarks.calls import Callers
from benchmarks.installation import HOST, Installation
from tests.faults.clients import Crowd


def test_without_redis_charges_and_events_go_on(installation: Installation, callers: Callers) -> None:
    with Crowd(installation, callers, "redis") as crowd:
        crowd.wait_for(20)
        installation.redis.kill9()
        crowd.wait_for(40)
        with urlopen(f"http://{HOST}:{installation.port}/readyz", timeout=10) as response:
            ready = json.loads(response.read())
        installation.redis.start()
        crowd.wait_for(20)
    assert crowd.failures == []
    assert "redis" in json.dumps(ready)
