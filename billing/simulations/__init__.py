"""Simulations as jobs: asked for, run in steps that may be repeated, kept with their results.

What is simulated, `pricing.simulation` says. This package brings in what only billing knows (costs) and
keeps what comes out.
"""

from __future__ import annotations

from billing.simulations.asking import cancel_simulation, request_simulation
from billing.simulations.running import run_simulation, run_simulations

__all__ = ["cancel_simulation", "request_simulation", "run_simulation", "run_simulations"]
