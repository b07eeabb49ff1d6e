"""History from files: rows of CSV or JSONL become events, reported through the one path of a charge."""

from billing.imports.importing import ImportReport, NotTaken, import_usage
from billing.imports.mapping import RowMapping, read_mapping
from billing.imports.rows import Row, read_rows

__all__ = ["ImportReport", "NotTaken", "Row", "RowMapping", "import_usage", "read_mapping", "read_rows"]
