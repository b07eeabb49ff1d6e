"""What must hold of the settings whatever the environment says, and what the environment changes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings

from config.environment import BASE_DIR

ASK = (
    "import json, sys; from django.conf import settings;"
    "print(json.dumps([getattr(settings, name) for name in sys.argv[1:]]))"
)


def ask(var: Path, *names: str, **environment: str) -> list[Any]:
    """What the settings of another process say under this environment."""
    given = {
        "PATH": os.environ["PATH"],
        "TOLLGATE_VAR": str(var),
        "DJANGO_SETTINGS_MODULE": "config.settings",
    }
    command = [sys.executable, "-c", ASK, *names]
    answer = subprocess.run(
        command, env={**given, **environment}, cwd=BASE_DIR, capture_output=True, check=True
    )
    said: list[Any] = json.loads(answer.stdout)
    return said


def test_time_is_utc_and_aware() -> None:
    assert (settings.TIME_ZONE, settings.USE_TZ) == ("UTC", True)


def test_the_content_security_policy_allows_our_own_files_only() -> None:
    directives = settings.CONTENT_SECURITY_POLICY["DIRECTIVES"]
    assert directives["default-src"] == directives["script-src"] == directives["style-src"] == ["'self'"]
    assert "unsafe" not in str(directives)


def test_every_setting_has_a_safe_default(tmp_path: Path) -> None:
    debug, hosts, demo, clock = ask(
        tmp_path, "DEBUG", "ALLOWED_HOSTS", "TOLLGATE_DEMO", "TOLLGATE_TEST_CLOCK"
    )
    assert (debug, demo, clock) == (False, False, False)
    assert set(hosts) == {"localhost", "127.0.0.1", "[::1]"}


def test_the_host_that_is_listened_on_may_be_asked_for(tmp_path: Path) -> None:
    [hosts] = ask(tmp_path, "ALLOWED_HOSTS", HOST="billing.internal")
    assert "billing.internal" in hosts


def test_ones_own_hosts_take_the_place_of_the_usual_ones(tmp_path: Path) -> None:
    assert ask(tmp_path, "ALLOWED_HOSTS", ALLOWED_HOSTS="a.example,b.example") == [["a.example", "b.example"]]


def test_behind_tls_cookies_are_sent_over_tls_only(tmp_path: Path) -> None:
    names = ("SESSION_COOKIE_SECURE", "CSRF_COOKIE_SECURE", "SECURE_HSTS_SECONDS")
    assert ask(tmp_path, *names) == [False, False, 0]
    assert ask(tmp_path, *names, HTTPS="1") == [True, True, 31_536_000]


def test_ones_own_database_and_redis_are_taken_as_they_are(tmp_path: Path) -> None:
    mine = {"DATABASE_URL": "postgres://u:p@db:5433/bills?sslmode=require", "REDIS_URL": "redis://cache/3"}
    databases, broker = ask(tmp_path, "DATABASES", "CELERY_BROKER_URL", **mine)
    database = databases["default"]
    assert [database[name] for name in ("HOST", "PORT", "NAME", "USER")] == ["db", 5433, "bills", "u"]
    assert database["ENGINE"] == "config.postgres"
    assert database["OPTIONS"] == {"sslmode": "require"}
    assert "EMBEDDED" not in database
    assert broker == "redis://cache/3"


def test_a_secret_of_ones_own_is_used_and_none_is_made(tmp_path: Path) -> None:
    assert ask(tmp_path, "SECRET_KEY", SECRET_KEY="mine" * 10) == ["mine" * 10]
    assert not (tmp_path / "secret_key").exists()


def test_asking_for_the_settings_starts_no_server(tmp_path: Path) -> None:
    ask(tmp_path, "DATABASES")
    assert not (tmp_path / "postgres").exists()
    assert not (tmp_path / "redis").exists()


@pytest.mark.parametrize("name", ["django.request", "celery", "billing"])
def test_a_log_line_is_one_object_with_the_request_id(tmp_path: Path, name: str) -> None:
    script = (
        "import django, logging; django.setup();"
        "from structlog.contextvars import bind_contextvars; bind_contextvars(request_id='r1');"
        f"logging.getLogger({name!r}).error('it %s', 'failed')"
    )
    given = {
        "PATH": os.environ["PATH"],
        "TOLLGATE_VAR": str(tmp_path),
        "DJANGO_SETTINGS_MODULE": "config.settings",
    }
    ran = subprocess.run(
        [sys.executable, "-c", script], env=given, cwd=BASE_DIR, capture_output=True, check=True
    )
    line = json.loads(ran.stderr)
    assert (line["event"], line["request_id"], line["level"], line["logger"]) == (
        "it failed",
        "r1",
        "error",
        name,
    )
