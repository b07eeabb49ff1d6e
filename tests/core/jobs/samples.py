"""Tasks that the tests of jobs schedule: they note that they ran, and do what a test told them."""

from __future__ import annotations

from collections.abc import Callable

from celery import shared_task

done: list[str] = []
then: dict[str, Callable[[], object]] = {}


@shared_task
def good() -> None:
    """Do something useful.

    This is for whoever reads the code.
    """
    done.append("good")
    then.get("good", int)()


@shared_task
def other() -> None:
    """Do another thing."""
    done.append("other")
    then.get("other", int)()


@shared_task
def told(what: str) -> None:
    """Do what a message says; no job."""
    done.append(what)
    then.get("told", int)()
