"""Spend leases: an allowance of money that a client decides against on its own, without a call to us.

A lease is a hold (`billing.holds`), drawn on the path of a call; its calls are reported in batches and
charged to what it reserves, each once. What the client may have let pass and not reported is bounded by the
lease (docs/algorithms/leases.md).
"""

from billing.leases.verbs import exposure_of, lease_request, report_calls, return_lease, status_of

__all__ = ["exposure_of", "lease_request", "report_calls", "return_lease", "status_of"]
