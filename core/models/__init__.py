"""What every app leans on: the installation's config version, request keys, the test clock."""

from core.models.config import ConfigVersion, TestClock
from core.models.requests import IdempotentRequest

__all__ = ["ConfigVersion", "IdempotentRequest", "TestClock"]
