"""A page of every component with made figures, for those who build pages; only with DEBUG or the demo."""
