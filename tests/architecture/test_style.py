"""House rules of the code that no linter knows."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from tests.architecture.sources import Function, Source, app_sources, sources, written_sources

FORBIDDEN_FILES = {"utils.py", "util.py", "helpers.py", "helper.py", "misc.py", "common.py"}
FORBIDDEN_VERBS = ("process_", "handle_")
NAMED_BY_DJANGO = {"process_view", "process_exception", "process_template_response", "handle_exception"}
CLOCK = "core/clock.py"


def test_every_function_is_annotated() -> None:
    bare = [
        f"{source.at(function)} {function.name}"
        for source in written_sources()
        for function in source.functions()
        if not _is_annotated(function)
    ]
    assert not bare


def test_no_function_imports() -> None:
    found = [
        source.at(node)
        for source in written_sources()
        for function in source.functions()
        for node in ast.walk(function)
        if isinstance(node, ast.Import | ast.ImportFrom)
    ]
    assert not found


def test_no_file_is_named_for_being_useful() -> None:
    assert not [source.path for source in sources() if source.path.rsplit("/", 1)[-1] in FORBIDDEN_FILES]


def test_verbs_say_what_they_do() -> None:
    found = [
        f"{source.at(function)} {function.name}"
        for source in written_sources()
        for function in source.functions()
        if function.name.startswith(FORBIDDEN_VERBS) and function.name not in NAMED_BY_DJANGO
    ]
    assert not found


def test_only_the_clock_knows_the_time() -> None:
    found = [
        source.at(call)
        for source in app_sources()
        if source.path != CLOCK
        for call in _calls(source)
        if ast.unparse(call.func) in {"timezone.now", "datetime.now", "datetime.utcnow", "date.today"}
    ]
    assert not found, "ask core.clock"


def test_no_model_takes_its_time_from_django() -> None:
    arguments = {"auto_now", "auto_now_add"}
    calls = ((source, call) for source in app_sources() for call in _calls(source))
    found = [source.at(call) for source, call in calls if arguments & {word.arg for word in call.keywords}]
    assert not found, "ask core.clock"


def test_no_app_listens_to_signals() -> None:
    """What follows from a change stands in the verb that makes it."""
    model_signals = {"pre_save", "post_save", "pre_delete", "post_delete", "m2m_changed"}
    found = [
        source.at(node)
        for source in app_sources()
        for node in ast.walk(source.tree)
        if isinstance(node, ast.ImportFrom) and model_signals & {alias.name for alias in node.names}
    ]
    assert not found


def _calls(source: Source) -> Iterator[ast.Call]:
    return (node for node in ast.walk(source.tree) if isinstance(node, ast.Call))


def _is_annotated(function: Function) -> bool:
    given = function.args
    arguments = [*given.posonlyargs, *given.args, *given.kwonlyargs]
    arguments += [extra for extra in (given.vararg, given.kwarg) if extra]
    named = [argument for argument in arguments if argument.arg not in {"self", "cls"}]
    has_answer = function.returns is not None or (function.name == "__init__" and bool(named))
    return has_answer and all(argument.annotation is not None for argument in named)
