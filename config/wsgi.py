"""The WSGI application.

What is loaded by now stays for the life of the process: the garbage collector need not look at it again.
And a batch of a thousand events makes tens of thousands of short-lived objects that reference counting
frees; at Python's own threshold the collector would walk them forty times, at a third of a batch's time.
While there is much to do, the threads that answer requests interrupt nobody (`core.scheduling`).
"""

from __future__ import annotations

import gc
import os
import sys
from typing import Final

from django.core.wsgi import get_wsgi_application

from config.environment import METRICS_DIR
from core.scheduling import interrupt_nobody_while_busy

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(METRICS_DIR)  # several processes count together
METRICS_DIR.mkdir(parents=True, exist_ok=True)

GC_THRESHOLD: Final = 50_000
SWITCH_SECONDS: Final = 0.003
"""Less than Python's own 5 ms: a thread that comes back from the database with locks in hand waits no longer
for the interpreter. More than a batch takes to decide: whoever leads one is not stopped in the middle."""

_django = get_wsgi_application()

from billing.api.fast_lane import FastLane  # noqa: E402  # models are there only after Django is set up

application = FastLane(_django)
gc.collect()
gc.freeze()
gc.set_threshold(GC_THRESHOLD, 20, 50)
sys.setswitchinterval(SWITCH_SECONDS)
interrupt_nobody_while_busy()
