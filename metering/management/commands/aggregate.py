"""`manage.py aggregate FILE|-`: what a meter makes of events. Needs no database."""

from __future__ import annotations

from core.commands import DocumentCommand
from metering.aggregation.door import aggregate_document


class Command(DocumentCommand):
    """Answers a document (or each of an array) of RATING.md section 5; exit code 2 when any is in error."""

    help = (
        "Aggregate events by a meter given as JSON (a file, or - for standard input). An array gives an"
        " array. A bad item is answered by its error, and the command exits with 2."
    )
    answer = aggregate_document
