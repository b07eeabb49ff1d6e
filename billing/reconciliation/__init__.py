"""Reconciliation: the parts of the one record held against each other, so that no drift goes unfound.

`links/`: what must agree. `runs`: a pass over all payers, in steps. docs/algorithms/reconciliation.md.
"""
