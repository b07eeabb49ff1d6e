"""What a gateway logged, settled exactly once: `manage.py ingest_access_log`.

`lines` reads a line, `files` finds whole lines and knows a file by its content, `settling` turns lines into
captures and events through the one path of a charge, `ingesting` goes from checkpoint to checkpoint,
`following` stays with a log that grows and is rotated. docs/operations/nginx.md defines the format.
"""
