"""Who may read what a customer's own key may read: the operator's integrations, and the customer itself."""

from __future__ import annotations

from rest_framework.request import Request
from rest_framework.views import APIView

from accounts.credentials import ApiKeyRecord
from core.api.permissions import HasScope


class OwnWorkspaceOrScope(HasScope):
    """A customer's API key (`accounts.scoping` narrows its view to its workspace), or the scope `read`."""

    def has_permission(self, request: Request, view: APIView) -> bool:
        """Whether the request may go on; raises as HasScope does."""
        return isinstance(request.auth, ApiKeyRecord) or super().has_permission(request, view)
