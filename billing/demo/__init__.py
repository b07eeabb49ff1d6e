"""The demo: "Nimbus AI", an operator with 40 customers and six months of history, and its live traffic.

Everything goes through the system's own verbs and the path that charges real calls; only the clock is set
to the instants of the history (`core.clock`).
"""
