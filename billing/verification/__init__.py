"""The proof of what is booked: charges, positions, balances and periods, recomputed from what is stored."""
