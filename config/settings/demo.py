"""The demo: where its notes lie, and where its buttons find this installation's own API."""

from __future__ import annotations

from pathlib import Path

from config.environment import HOST, VAR_DIR, env

DEMO_NOTES_DIR: Path = VAR_DIR
"""The folder of demo.json (for people) and demo.key (for the demo's traffic)."""

_HOST = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(HOST, HOST)  # noqa: S104
DEMO_API_URL: str = f"http://{f'[{_HOST}]' if ':' in _HOST else _HOST}:{env.str('PORT', '8000')}"
"""The address of the web server, as it is found from the machine that it runs on."""
