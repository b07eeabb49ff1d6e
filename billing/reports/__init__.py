"""What pages read: set-based, a small fixed number of statements each, from buckets where they can tell."""
