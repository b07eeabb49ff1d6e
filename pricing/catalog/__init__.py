"""Plan files (RATING.md section 1): read, checked, and put into one canonical form. No database.

docs/plan-files.md describes the format.
"""

from __future__ import annotations

from pricing.catalog.catalog import Catalog, read_catalog
from pricing.catalog.files import load_catalog
from pricing.catalog.plans import PlanTerms, content_hash, phase_terms, read_plan
from pricing.catalog.problems import CatalogError, Problem
from pricing.catalog.yaml_source import Document, read_documents

__all__ = [
    "Catalog",
    "CatalogError",
    "Document",
    "PlanTerms",
    "Problem",
    "content_hash",
    "load_catalog",
    "phase_terms",
    "read_catalog",
    "read_documents",
    "read_plan",
]
