"""`manage.py import_customers`: customers, their trees, payers and keys out of a file, in sets."""
