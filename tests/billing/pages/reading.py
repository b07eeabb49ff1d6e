"""Pages as one reads them: the words of an answer without its markup, and CSV as rows."""

from __future__ import annotations

import csv
import html
import io
import re
from typing import Any

from django.test import Client

_HIDDEN = re.compile(r"<(script|style|svg|head)\b.*?</\1>", re.DOTALL)
_TAG = re.compile(r"<[^>]+>")


def page(client: Client, url: str, status: int = 200, htmx: str = "") -> str:
    """The HTML of an answer that has this status; `htmx`: the id of the element that htmx would replace."""
    headers = {"hx-request": "true", "hx-target": htmx} if htmx else None
    response: Any = client.get(url, headers=headers)
    assert response.status_code == status, (url, response.status_code)
    return str(response.content.decode())


def words(markup: str) -> str:
    """What a page says, in one line."""
    text = _TAG.sub(" ", _HIDDEN.sub(" ", markup))
    return re.sub(r" ([,.:;])", r"\1", " ".join(html.unescape(text).split()))


def read(client: Client, url: str, status: int = 200) -> str:
    """What the page at `url` says."""
    return words(page(client, url, status))


def rows(client: Client, url: str) -> list[dict[str, str]]:
    """The rows of a CSV download."""
    response: Any = client.get(url)
    assert response["Content-Type"].startswith("text/csv")
    return list(csv.DictReader(io.StringIO(response.getvalue().decode())))
