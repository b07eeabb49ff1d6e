"""Simulation: any version, a draft or mere content too, against usage that happened. Writes nothing."""

from __future__ import annotations

from pricing.simulation.bills import Bill, BillLine
from pricing.simulation.candidates import Candidate, compile_catalog, compile_content, compile_versions
from pricing.simulation.cohorts import Cohort, payers_of
from pricing.simulation.reading import PayerRow
from pricing.simulation.simulating import Cost, PayerResult, Simulator, simulate

__all__ = [
    "Bill",
    "BillLine",
    "Candidate",
    "Cohort",
    "Cost",
    "PayerResult",
    "PayerRow",
    "Simulator",
    "compile_catalog",
    "compile_content",
    "compile_versions",
    "payers_of",
    "simulate",
]
