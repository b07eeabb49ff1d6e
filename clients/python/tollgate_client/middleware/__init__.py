"""Meters an API of one's own: every request is authorized before it runs and captured when it has ended."""

from tollgate_client.middleware.asgi import TollgateASGI
from tollgate_client.middleware.exchange import Request, Response
from tollgate_client.middleware.wsgi import TollgateWSGI

__all__ = ["Request", "Response", "TollgateASGI", "TollgateWSGI"]
