"""Pages of staff, one module per noun."""
