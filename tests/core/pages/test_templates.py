"""Laws of the templates and the scripts: what a strict content security policy and an auditor expect."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from django.conf import LazySettings
from django.contrib.staticfiles import finders
from django.template.loader import get_template, render_to_string
from django.test import Client

from core.display.icons import icon_html
from core.pages.columns import __file__ as _columns_file
from core.pages.shell import Group

ROOT = Path(_columns_file).parents[2]
TEMPLATES = sorted((ROOT / "templates").rglob("*.html"))
FORBIDDEN = re.compile(
    r"<style|\sstyle=|\son[a-z]+=|javascript:|<script(?![^>]*src=)|https?://", re.IGNORECASE
)


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: str(path.relative_to(ROOT / "templates")))
def test_a_template_has_no_inline_style_or_script_and_nothing_foreign(path: Path) -> None:
    assert not FORBIDDEN.search(path.read_text())


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: str(path.relative_to(ROOT / "templates")))
def test_a_template_compiles(path: Path) -> None:
    get_template(str(path.relative_to(ROOT / "templates")))


def test_every_icon_exists(settings: LazySettings) -> None:
    named = {
        name
        for path in TEMPLATES
        for name in re.findall(r'icon "([a-z0-9-]+)"|icon="([a-z0-9-]+)"', path.read_text())
    }
    groups: tuple[Group, ...] = (*settings.STAFF_NAVIGATION, *settings.MEMBER_NAVIGATION)
    names = {name for pair in named for name in pair if name} | {
        item.icon for group in groups for item in group.items
    }
    for name in names:
        assert "<svg" in icon_html(name)


def test_letters_of_the_navigation_are_not_taken_twice(settings: LazySettings) -> None:
    for navigation in (settings.STAFF_NAVIGATION, settings.MEMBER_NAVIGATION):
        letters = [item.key for group in navigation for item in group.items if item.key]
        assert len(letters) == len(set(letters))


def test_borrowed_files_are_where_we_look_for_them() -> None:
    chart = finders.find("vendor/chart/chart.js")
    assert isinstance(chart, str)
    assert 'version="4.' in Path(chart).read_text()
    assert finders.find("vendor/inter/Inter-Regular.woff2")
    assert finders.find("django_htmx/htmx-2.min.js")


@pytest.mark.parametrize("path", sorted((ROOT / "static").rglob("*.*")), ids=lambda path: path.name)
def test_a_static_file_is_small_and_names_nothing_foreign(path: Path) -> None:
    text = path.read_text()
    budget = {".css": 300, ".js": 150}.get(path.suffix, 20)
    assert len(text.splitlines()) <= budget
    assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)|@import|\beval\(|innerHTML", text)


def test_every_style_and_script_is_loaded() -> None:
    page = render_to_string("components/styles.html") + render_to_string("components/scripts.html")
    for path in [*(ROOT / "static/css").iterdir(), *(ROOT / "static/js").iterdir()]:
        assert f"/{path.name}" in page


@pytest.mark.parametrize("name", ["400", "403", "403_csrf", "404", "429", "500"])
def test_an_error_page_needs_no_request(name: str) -> None:
    text = render_to_string(f"{name}.html")
    assert "<h1>" in text
    assert 'data-theme="auto"' in text


@pytest.mark.django_db
def test_an_unknown_address_answers_with_our_page(client: Client) -> None:
    response = client.get("/no-such-page")
    assert response.status_code == 404
    assert "There is nothing here" in response.content.decode()
    policy = response["Content-Security-Policy"]
    assert "default-src 'self'" in policy
    assert "unsafe" not in policy


def test_the_style_guide_is_for_builders_only(client: Client, settings: LazySettings) -> None:
    settings.TOLLGATE_DEMO = False
    assert client.get("/styleguide").status_code == 404
    settings.TOLLGATE_DEMO = True
    assert client.get("/styleguide").status_code == 200
    assert client.get("/styleguide/list").status_code == 200


@pytest.mark.django_db
def test_nobody_signs_themselves_up(client: Client) -> None:
    text = client.get("/accounts/signup/").content.decode()
    assert "<form" not in text.replace('action="/theme"', "").split("<main")[1].split("</main>")[0]


@pytest.mark.django_db
def test_sign_in_has_labels_and_no_way_to_sign_up(client: Client) -> None:
    text = client.get("/accounts/login/").content.decode()
    assert '<label for="id_login">' in text
    assert '<label for="id_password">' in text
    assert "/signup" not in text
