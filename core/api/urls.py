"""The addresses of the API's description, and of what runs by itself."""

from __future__ import annotations

from django.urls import path
from rest_framework.routers import SimpleRouter

from core.api.docs import DocsView, SchemaView, error_docs
from core.api.jobs import JobResource, JobRunResource, ParkedMessageResource

router = SimpleRouter(trailing_slash=False)
router.register("jobs", JobResource, "api_job")
router.register("job-runs", JobRunResource, "job_run_resource")
router.register("parked-messages", ParkedMessageResource, "parked_message_resource")

urlpatterns = [
    path("schema", SchemaView.as_view(), name="schema"),
    path("docs", DocsView.as_view(), name="docs"),
    path("docs/errors", error_docs, name="error_docs"),
    *router.urls,
]
