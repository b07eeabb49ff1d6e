"""The pure rating engine: no Django, no clock, no database.

The same functions answer a live charge (`rate_event`), an explanation or document line (`explain_close`,
`explain_change`), a preview (`preview`), a simulation and a recomputation (`rate_events`).
docs/algorithms/rating.md says what the numbers mean.
"""

from __future__ import annotations

from pricing.rating.component import Component, read_component, read_components
from pricing.rating.engine import History, Rated, States, rate_change, rate_event, rate_events
from pricing.rating.explain import Line, explain_change, explain_close
from pricing.rating.groups import Group, group_text
from pricing.rating.models import NotPriced
from pricing.rating.preview import preview
from pricing.rating.state import EMPTY, State, Usage

__all__ = [
    "EMPTY",
    "Component",
    "Group",
    "History",
    "Line",
    "NotPriced",
    "Rated",
    "State",
    "States",
    "Usage",
    "explain_change",
    "explain_close",
    "group_text",
    "preview",
    "rate_change",
    "rate_event",
    "rate_events",
    "read_component",
    "read_components",
]
