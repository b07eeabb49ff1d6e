"""Erasing a person's data while everything that was charged stays proved (docs/adr/0017)."""

from billing.erasures.verbs import request_erasure, run_erasure, run_erasures

__all__ = ["request_erasure", "run_erasure", "run_erasures"]
