"""`manage.py up`: starts all processes of a Tollgate, keeps them running, stops them together."""
