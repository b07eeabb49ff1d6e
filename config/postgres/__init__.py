"""The database engine of the settings: Django's own for PostgreSQL, which starts the embedded server."""
