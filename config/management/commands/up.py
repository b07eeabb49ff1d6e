"""`manage.py up`: a whole Tollgate, until Ctrl-C."""

from __future__ import annotations

import signal
from contextlib import suppress
from typing import Any

from django.core.management import BaseCommand, CommandError, get_commands
from django.db import connections

from config.environment import HOST, VAR_DIR, env
from config.supervisor import demo, programs, steps
from config.supervisor.children import Child
from config.supervisor.instance import end_leftovers, only_one
from config.supervisor.servers import stop_unused_servers
from config.supervisor.supervisor import Supervisor

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Command(BaseCommand):
    """Start the servers, bring the tables up to date, and keep web server, worker and beat running."""

    help = "Run Tollgate at HOST:PORT (127.0.0.1:8000), with demo data when TOLLGATE_DEMO=1; Ctrl-C stops it."
    requires_system_checks: list[str] = []

    def handle(self, *args: Any, **options: Any) -> None:
        """Run until a signal ends it."""
        for number in _SIGNALS:
            if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:  # nohup means it
                signal.signal(number, signal.default_int_handler)
        host, port = HOST, _port()
        with only_one(VAR_DIR):
            if count := end_leftovers(VAR_DIR):
                self._say(f"Stopped {count} processes that an earlier run had left behind")
            steps.check_port(host, port)
            supervisor = Supervisor(_children(host, port), VAR_DIR, self._say)
            try:
                self._prepare()
                supervisor.start()
                supervisor.wait_until_ready(_url(host, port))
                self._greet(_url(host, port))
                supervisor.run()
            except KeyboardInterrupt:
                self._say("")
            finally:
                self._stop(supervisor)

    def _prepare(self) -> None:
        steps.start_servers(self._say)
        steps.migrate(self._say)
        steps.collect_static_files(self._say)
        steps.forget_figures()
        if demo.is_wanted():
            demo.load_demo(self._say)
        connections.close_all()

    def _greet(self, url: str) -> None:
        facts = demo.facts(url) if demo.is_wanted() else {}
        lines = [f"  {title:<10}{text}" for title, text in facts.items()]
        self._say("\n".join(["", f"Tollgate runs at {url}", "", *lines]).rstrip())
        self._say(f"\nLogs are in {VAR_DIR / 'log'}. Ctrl-C stops everything.")

    def _stop(self, supervisor: Supervisor) -> None:
        for number in _SIGNALS:
            signal.signal(number, signal.SIG_IGN)  # stopping takes seconds and is not broken off
        self._say("Stopping")
        supervisor.stop()
        connections.close_all()
        for line in stop_unused_servers():
            self._say(line)

    def _say(self, line: str) -> None:
        with suppress(OSError):  # whoever reads may have gone first, as `tee` does at Ctrl-C
            self.stdout.write(line)
            self.stdout.flush()


def _children(host: str, port: int) -> list[Child]:
    children = [
        Child("web", programs.web(host, port)),
        Child("worker", programs.worker()),
        Child("beat", programs.beat()),
    ]
    if demo.is_wanted() and env.str("DEMO_TRAFFIC", "1") != "0" and "demo_traffic" in get_commands():
        children.append(Child("traffic", programs.traffic(_url(host, port))))
    return children


def _port() -> int:
    text = env.str("PORT", "8000")
    if not text.isdigit() or not 0 < int(text) < 65536:
        raise CommandError(f"PORT is {text!r}; it has to be a number from 1 to 65535.")
    return int(text)


def _url(host: str, port: int) -> str:
    """Where a browser on this machine finds the web server."""
    name = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104
    return f"http://[{name}]:{port}" if ":" in name else f"http://{name}:{port}"
