"""The time from a call to its charge, in words."""

from __future__ import annotations

from datetime import timedelta


def lag_text(lag: timedelta) -> str:
    """`40 ms`, `2.5 s`, `3 d 4 h`; negative when the caller's clock is ahead of ours."""
    seconds = lag.total_seconds()
    if seconds < 0:
        return f"-{lag_text(-lag)}"
    minutes, hours = int(seconds // 60), int(seconds // 3600)
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if minutes < 2:
        return f"{seconds:.1f} s"
    if hours < 1:
        return f"{minutes} min"
    return f"{hours} h {minutes % 60} min" if hours < 48 else f"{hours // 24} d {hours % 24} h"
