"""HTTP plumbing that every endpoint shares: bodies in, answers and errors out. No rules of billing."""
