"""How fast Tollgate is, measured beside something known: `make bench [NAME...]`.

Each benchmark starts a PostgreSQL, a Redis and a web server of its own, tuned as the product tunes them, and
measures both sides of its comparison in turn in the same run, because what a machine can do differs from
minute to minute. docs/performance.md has results and where the time goes.
"""
