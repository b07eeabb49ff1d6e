"""The API's resources of pricing: plans, versions, and what usage would cost."""
