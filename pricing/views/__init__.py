"""Pages of staff on prices, one module per noun."""
