#!/usr/bin/env python
"""The command line: `manage.py help` lists what there is."""

from __future__ import annotations

import os
import sys

try:
    from django.core.management import execute_from_command_line

    from config.failures import sentence
except ImportError as error:
    sys.exit(f"{error}: run `make setup`, then .venv/bin/python manage.py.")


def main() -> None:
    """Run one management command; what the machine refuses is told in one sentence."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    try:
        execute_from_command_line(sys.argv)
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception as error:
        message = sentence(error)
        if message is None:
            raise
        sys.exit(message)


if __name__ == "__main__":
    main()
