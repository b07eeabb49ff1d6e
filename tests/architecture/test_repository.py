"""What must not be in the repository at all."""

from __future__ import annotations

import re
import shutil
import subprocess

import pytest

from tests.architecture.sources import ROOT, text_files

_MACHINE_PATH = re.compile(r"(?:^|[^A-Za-z0-9_.:/])/(?:work|root|home|Users|tmp)/[A-Za-z]", re.MULTILINE)
_REGISTRY = re.compile(r"index[-]url|/simpl[e]/|\"resolve[d]\":|files\.python[h]osted")
_FOREIGN = re.compile(r"""(?:src|href|action|url)\s*[=(]\s*["']?(?:https?:)?//""", re.IGNORECASE)
_INLINE = re.compile(r"""<script(?![^>]*\bsrc=)(?![^>]*application/json)|<style|\sstyle="|\son[a-z]+=["']""")
_THIS = "tests/architecture/test_repository.py"


def _tracked() -> list[tuple[str, str]]:
    """(path, text) of what git tracks; of everything that looks like ours where there is no git."""
    if shutil.which("git") and (ROOT / ".git").exists():
        listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True)
        paths = [ROOT / name for name in listed.stdout.decode().split("\0") if name]
        return [
            (str(path.relative_to(ROOT)), path.read_text(errors="ignore"))
            for path in paths
            if path.is_file() and str(path.relative_to(ROOT)) != _THIS
        ]
    return [
        (path, text)
        for path, text in text_files("*.py", "*.md", "*.html", "*.txt", "*.toml")
        if path != _THIS
    ]


def test_no_file_names_a_path_of_one_machine() -> None:
    assert not [path for path, text in _tracked() if _MACHINE_PATH.search(text)]


def test_no_file_names_a_package_registry() -> None:
    assert not [path for path, text in _tracked() if _REGISTRY.search(text)]


def test_pages_ask_no_other_origin_for_anything() -> None:
    """A link that a person follows (`<a href>`) may lead elsewhere; what the browser loads may not."""
    pages = text_files("templates/*.html", "templates/**/*.html", "static/**/*.css", "static/**/*.js")
    found = [path for path, text in pages if _FOREIGN.search(re.sub(r"<a\s[^>]*>", "", text))]
    assert not found


def test_pages_have_no_inline_script_style_or_handler() -> None:
    pages = text_files("templates/*.html", "templates/**/*.html")
    assert not [path for path, text in pages if _INLINE.search(text)], (
        "the content security policy blocks them"
    )


@pytest.mark.parametrize(
    ("text", "is_inline"),
    [
        ("<script>go()</script>", True),
        ('<script src="/static/x.js"></script>', False),
        ('<script id="d" type="application/json">{}</script>', False),
        ('<p style="color:red">', True),
        ('<button onclick="go()">', True),
        ('<p class="style">', False),
    ],
)
def test_the_check_for_inline_code_sees_it(text: str, is_inline: bool) -> None:
    assert bool(_INLINE.search(text)) is is_inline


def test_every_requirement_is_pinned() -> None:
    for name in ("requirements.txt", "requirements-dev.txt"):
        lines = [line.split("#")[0].strip() for line in (ROOT / name).read_text().splitlines()]
        assert not [line for line in lines if line and "==" not in line and not line.startswith("-r ")]
