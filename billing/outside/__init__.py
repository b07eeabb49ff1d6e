"""What others say of the same calls and the same money: gateways' counts, payment providers' lists.

Both come as files or through the API, are kept with their history, and are compared by the links
`gateway_counts` and `provider_payments` of reconciliation.
"""
