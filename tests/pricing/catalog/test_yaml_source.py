"""YAML in: what is taken, what is refused, and on which line."""

from __future__ import annotations

import time

import pytest

from pricing.catalog import CatalogError, read_documents
from pricing.catalog.yaml_source import BYTES_MAX, DEPTH_MAX


def problem(text: str | bytes) -> str:
    """The one problem of a file that is refused, as it is printed."""
    raw = text.encode() if isinstance(text, str) else text
    with pytest.raises(CatalogError) as caught:
        read_documents(raw, "f.yaml")
    assert len(caught.value.problems) == 1
    return str(caught.value.problems[0])


def test_a_file_may_hold_several_documents_and_empty_ones_are_left_out() -> None:
    documents = read_documents(b"plan: a\n---\n# nothing here\n---\nplan: b\n", "f.yaml")
    assert [document.value for document in documents] == [{"plan": "a"}, {"plan": "b"}]
    assert [document.line_of("plan") for document in documents] == [1, 5]


def test_every_path_knows_its_line() -> None:
    [document] = read_documents(b"a:\n  - b: x\n    c:\n      - y\n      - z\n", "f.yaml")
    assert document.line_of("a[0].b") == 2
    assert document.line_of("a[0].c[1]") == 5
    assert document.line_of("a[0].c[1].missing.deeper") == 5
    assert document.line_of("a[0].nothing") == 2
    assert document.line_of("elsewhere") == 1
    assert document.line_of(None) == 1


def test_texts_whole_numbers_booleans_and_null_are_plain_values() -> None:
    text = (
        'a: x\nb: "5"\nc: 5\nd: -3\ne: true\nf: False\ng: null\nh: ~\ni:\nj: 2026-01-01\nk: yes\nl: "1.5"\n'
    )
    [document] = read_documents(text.encode(), "f.yaml")
    assert document.value == {
        "a": "x",
        "b": "5",
        "c": 5,
        "d": -3,
        "e": True,
        "f": False,
        "g": None,
        "h": None,
        "i": None,
        "j": "2026-01-01",
        "k": "yes",
        "l": "1.5",
    }


@pytest.mark.parametrize(
    "number", ["0.5", "1e3", "1.0", ".5", ".nan", ".inf", "-.inf", "014", "0x1f", "0o17", "1_000"]
)
def test_a_number_that_is_no_plain_whole_one_must_be_quoted(number: str) -> None:
    said = problem(f"prices:\n  - ok\n  - {number}\n")
    assert said == f'f.yaml:3: prices[1] must be a decimal number in quotes: "{number}", not {number}.'


def test_sexagesimal_numbers_of_old_yaml_are_refused_under_its_directive() -> None:
    assert problem("%YAML 1.1\n---\na: 12:30:00\n").startswith(
        "f.yaml:3: a must be a decimal number in quotes"
    )


def test_yes_and_no_of_old_yaml_are_refused_under_its_directive() -> None:
    assert "put texts in quotes" in problem("%YAML 1.1\n---\na: yes\n")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("plan: x\nname: y\nplan: z\n", "f.yaml:3: plan stands twice in the same mapping."),
        ("a:\n  - {b: x, b: y}\n", "f.yaml:2: a[0].b stands twice in the same mapping."),
        ("base: &base {a: x}\nplan:\n  <<: *base\n", "f.yaml:3: plan: Merge keys (<<) are not allowed"),
        ("plan: pro\n\tname: x\n", "f.yaml:2: Not YAML: "),
        ("plan: [a, b\n", "f.yaml:2: Not YAML: "),
        ("a: b: c\n", "f.yaml:1: Not YAML: mapping values are not allowed here."),
        ("a: *nowhere\n", "f.yaml:1: Not YAML: found undefined alias 'nowhere'."),
        ("a: !!python/object:os.system x\n", "f.yaml:1: a: 'x' as python/object:os.system is not allowed"),
        ("a: !mine {b: c}\n", "f.yaml:1: a: Tags such as !mine are not allowed."),
        ("a: !!set {b, c}\n", "f.yaml:1: a: Tags such as tag:yaml.org,2002:set are not allowed."),
        ("a: !!binary aGk=\n", "f.yaml:1: a: 'aGk=' as binary is not allowed"),
        ("1: a\n", "f.yaml:1: Keys are texts; put other keys in quotes."),
        ("null: a\n", "f.yaml:1: Keys are texts; put other keys in quotes."),
        ("? [a, b]\n: c\n", "f.yaml:1: Keys are texts; put other keys in quotes."),
        ("%YAML 9.9\n---\na: b\n", "f.yaml:1: Not YAML: found incompatible YAML document"),
        ('a: "\\xZZ"\n', "f.yaml:1: Not YAML: while scanning a double-quoted scalar"),
        ('a: "\\UFFFFFFFF"\n', "f.yaml: Not YAML: an escape or a directive is malformed."),
        ('a:\n  - "x\\0y"\n', "f.yaml:2: a[0]: A text may not contain the NUL character."),
        ('a: "\\ud800"\n', "f.yaml:1: a: A text may not contain half of a surrogate pair."),
        ("a: \x01\n", "f.yaml: Not YAML: unacceptable character"),
    ],
)
def test_what_is_not_in_the_subset_is_refused_with_its_line(text: str, said: str) -> None:
    assert problem(text).startswith(said)


def test_bytes_that_are_not_utf_8_are_refused_with_their_line() -> None:
    assert problem(b"plan: pro\nname: caf\xe9\n") == "f.yaml:2: Not UTF-8 at byte 19."
    assert problem("plan: pro\n".encode("utf-16")).startswith("f.yaml:1: Not UTF-8")


def test_a_byte_order_mark_is_no_part_of_the_file() -> None:
    [document] = read_documents(b"\xef\xbb\xbfplan: pro\n", "f.yaml")
    assert document.value == {"plan": "pro"}


def test_windows_line_ends_count_as_one_line() -> None:
    assert problem(b"a: x\r\nb: y\r\nc: 1.5\r\n").startswith("f.yaml:3: c must be")


def test_an_alias_repeats_its_value() -> None:
    [document] = read_documents(b"a: &tiers [x]\nb: *tiers\n", "f.yaml")
    assert document.value == {"a": ["x"], "b": ["x"]}


def test_aliases_that_grow_without_bound_are_refused_soon() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 20)]
    started = time.monotonic()
    assert "holds at most 100,000 values" in problem("\n".join(lines))
    assert time.monotonic() - started < 5


def test_an_alias_to_what_it_stands_in_is_refused() -> None:
    assert f"nested {DEPTH_MAX} levels deep" in problem("a: &a [*a]\n")


@pytest.mark.parametrize("depth", [DEPTH_MAX + 2, 5_000, 100_000])
def test_deep_nesting_is_refused(depth: int) -> None:
    assert f"nested {DEPTH_MAX} levels deep" in problem("[" * depth + "]" * depth)


def test_a_file_that_is_too_large_is_refused_unread() -> None:
    assert problem(b"#" * (BYTES_MAX + 1)) == "f.yaml: A plan file has at most 1,000,000 bytes."
