"""CloudEvents 1.0 (JSON) as usage events.

- `source` + `/` + `id` is the key. `%` and `/` in the id are escaped, so that the last `/` divides the two.
- `type` is the event's name, `time` its `occurred_at`.
- `subject` names who: `be_...` a payer, `key_...` a key, anything else a workspace.
- The extensions `workspace`, `apikey`, `billingentity`, `user`, `trace` and `costs` are those fields, and go
  before `subject`.
- `data` (an object) holds the properties, and so do other extensions whose name is not in it.

What only tells how a message travelled (`traceparent`, `sequence`, ...) is left out: it differs in a retry.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from core.errors import InvalidRequest, TollgateError
from metering.event_values import check_text
from metering.events import EventInput, parse_event

_ENVELOPE: Final = frozenset(
    {"id", "source", "specversion", "type", "time", "subject", "data", "datacontenttype"}
)
_TRANSPORT: Final = frozenset(
    {
        "dataschema",
        "traceparent",
        "tracestate",
        "sequence",
        "sequencetype",
        "partitionkey",
        "recordedtime",
        "expirytime",
        "sampledrate",
        "correlationid",
        "causationid",
        "severitytext",
        "severitynumber",
    }
)
# Extension names are lower-case letters and digits by the specification; underscores are taken as well.
_FIELD_OF_EXTENSION: Final = {
    "workspace": "workspace",
    "apikey": "api_key",
    "api_key": "api_key",
    "billingentity": "billing_entity",
    "billing_entity": "billing_entity",
    "user": "user",
    "trace": "trace",
    "costs": "costs",
}
_FIELD_OF_SUBJECT: Final = {"be": "billing_entity", "key": "api_key"}
_ATTRIBUTE_OF_FIELD: Final = {
    "idempotency_key": "id",
    "event": "type",
    "occurred_at": "time",
    "properties": "data",
}


def parse_cloudevent(raw: Any, received_at: datetime) -> EventInput:
    """The usage event that a CloudEvent stands for; raises InvalidRequest naming its attribute."""
    event = event_of_cloudevent(raw)
    try:
        return parse_event(event, received_at)
    except TollgateError as error:
        field, dot, rest = (error.param or "").partition(".")
        error.param = f"{_ATTRIBUTE_OF_FIELD.get(field, field)}{dot}{rest}" or None
        raise


def event_of_cloudevent(raw: Any) -> dict[str, Any]:
    """The CloudEvent in the form of `/v1/events`; raises InvalidRequest when it is none."""
    if not isinstance(raw, dict):
        raise InvalidRequest("invalid_type", "A CloudEvent must be an object.")
    if raw.get("specversion") != "1.0":
        raise InvalidRequest("invalid_value", 'specversion must be "1.0".', "specversion")
    identity = check_text(_required(raw, "id"), "id", 255)
    source = check_text(_required(raw, "source"), "source", 255)
    event: dict[str, Any] = {
        "idempotency_key": f"{source}/{identity.replace('%', '%25').replace('/', '%2F')}",
        "event": _required(raw, "type"),
        "occurred_at": raw.get("time"),
    }
    properties = _data(raw)
    for name, value in raw.items():
        if name in _FIELD_OF_EXTENSION:
            event[_FIELD_OF_EXTENSION[name]] = value
        elif name not in _ENVELOPE and name not in _TRANSPORT and value is not None:
            properties.setdefault(name, value)
    subject = raw.get("subject")
    if subject is not None and not event.keys() & {"workspace", "api_key", "billing_entity"}:
        prefix = check_text(subject, "subject", 255).partition("_")[0]
        event[_FIELD_OF_SUBJECT.get(prefix, "workspace")] = subject
    return event | {"properties": properties}


def _required(raw: dict[str, Any], name: str) -> Any:
    value = raw.get(name)
    if value is None:
        raise InvalidRequest("missing_field", f"{name} is missing.", name)
    return value


def _data(raw: dict[str, Any]) -> dict[str, Any]:
    if "data_base64" in raw:
        raise InvalidRequest("invalid_type", "data must be a JSON object, not base64.", "data_base64")
    data = raw.get("data")
    if data is not None and not isinstance(data, dict):
        raise InvalidRequest("invalid_type", "data must be a JSON object.", "data")
    return dict(data or {})
