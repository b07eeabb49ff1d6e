"""The application as the web server runs it: an event loop for charges, threads for everything else.

Any WSGI server can run `config.wsgi` instead; its charges then wait in threads.
"""

from __future__ import annotations

from typing import Any, Final

from a2wsgi import WSGIMiddleware
from django.conf import settings

from config.wsgi import application as _threaded  # isort: skip  # sets Django up, which what follows needs
from billing.api.loop_lane import LoopLane

_wsgi: Any = _threaded  # the adapter types environ and start_response by names of its own
application: Final = LoopLane(WSGIMiddleware(_wsgi, workers=settings.WEB_THREADS))
