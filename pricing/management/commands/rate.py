"""`manage.py rate FILE|-`: price usage under price lists; needs no database and no server."""

from __future__ import annotations

from core.commands import DocumentCommand
from pricing.rating import preview


class Command(DocumentCommand):
    """Answers a JSON document of RATING.md section 4, or each item of an array in its place."""

    help = (
        "Price usage under a price list given as JSON (a file, or - for standard input). An array gives an"
        " array. A bad item is answered by its error, and the command exits with 2."
    )
    answer = preview
