"""Files known by their content, and lines that are whole."""

from __future__ import annotations

import gzip
import os
import shutil
from pathlib import Path

import pytest

from billing.access_log.files import LINE_BYTES_MAX, RawLine, is_line_at, open_log, rotated, whole_lines
from tests.billing.access_log.log_lines import append, line, text


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "tollgate.log"
    append(path, line(), line())
    return path


def lines(path: Path, offset: int = 0) -> list[RawLine]:
    """The whole lines from an offset on."""
    with open_log(path) as file:
        return [] if file is None else list(whole_lines(file.stream, offset))


def texts(path: Path, offset: int = 0) -> list[bytes]:
    return [one.text for one in lines(path, offset)]


def identity(path: Path) -> str:
    with open_log(path) as file:
        assert file is not None
        return file.identity


def is_there(path: Path, line: RawLine, digest: str) -> bool:
    with open_log(path) as file:
        return file is not None and is_line_at(file.stream, line.offset, digest)


def test_a_log_stays_itself_when_it_grows_and_is_renamed_copied_or_packed(log: Path) -> None:
    first = identity(log)
    append(log, line())
    assert identity(log) == first
    copied, packed = log.with_name("copy.log"), log.with_name("tollgate.log.2.gz")
    shutil.copy(log, copied)
    packed.write_bytes(gzip.compress(log.read_bytes()))
    renamed = log.rename(log.with_name("tollgate.log.1"))
    assert identity(renamed) == identity(copied) == identity(packed) == first


def test_what_is_logged_after_a_truncation_is_another_log(log: Path) -> None:
    first = identity(log)
    os.truncate(log, 0)
    assert lines(log) == []
    append(log, line())
    assert identity(log) != first


def test_logs_without_requests_in_them_are_told_apart_by_where_they_lie(tmp_path: Path) -> None:
    for name in ("a.log", "b.log"):
        (tmp_path / name).write_bytes(b"no JSON at all\n")
    assert identity(tmp_path / "a.log") != identity(tmp_path / "b.log")
    (tmp_path / "a.log").rename(tmp_path / "c.log")
    assert identity(tmp_path / "c.log") != identity(tmp_path / "b.log")


def test_a_line_counts_once_its_end_is_there(log: Path) -> None:
    whole = text(line())
    with log.open("ab") as stream:
        stream.write(whole[:40])
    assert len(lines(log)) == 2
    with log.open("ab") as stream:
        stream.write(whole[40:])
    assert len(lines(log)) == 3


def test_a_last_line_that_is_json_to_its_end_needs_no_line_end(log: Path) -> None:
    last = text(line()).rstrip()
    with log.open("ab") as stream:
        stream.write(last)
    assert texts(log)[2:] == [last]
    end = lines(log)[-1].end
    with log.open("ab") as stream:
        stream.write(b"\n" + last)
    assert texts(log, end) == [last]


def test_blank_lines_are_no_lines(log: Path) -> None:
    with log.open("ab") as stream:
        stream.write(b"\n  \r\n")
    append(log, line())
    assert len(lines(log)) == 3


def test_a_line_that_is_too_long_is_cut_and_the_next_one_is_whole(log: Path) -> None:
    with log.open("ab") as stream:
        stream.write(b"x" * (2 * LINE_BYTES_MAX + 5) + b"\n")
    append(log, line())
    found = lines(log)
    assert [one.is_cut for one in found] == [False, False, True, False]
    assert found[3].offset == found[2].end


def test_offsets_lead_back_to_the_same_lines(log: Path) -> None:
    append(log, line())
    found = lines(log)
    assert all(is_there(log, one, one.digest) for one in found)
    assert not is_there(log, found[1], found[2].digest)
    assert texts(log, found[1].end) == [found[2].text]


def test_a_log_that_was_cut_off_has_not_its_last_line_any_more(log: Path) -> None:
    last = lines(log)[-1]
    os.truncate(log, last.offset)
    assert not is_there(log, last, last.digest)


def test_rotated_logs_come_oldest_first_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "tollgate.log"
    names = ["tollgate.log.2.gz", "tollgate.log-20261124", "tollgate-20261125.log", "tollgate.log.1"]
    for age, name in enumerate(["tollgate.log", "other.log", "tollgate", *reversed(names)]):
        (tmp_path / name).write_bytes(b"x\n")
        os.utime(tmp_path / name, (1000 - age, 1000 - age))
    assert [one.name for one in rotated(path)] == names


def test_what_is_no_log_is_none(tmp_path: Path) -> None:
    (tmp_path / "empty.log").touch()
    (tmp_path / "plain.gz").write_bytes(text(line()))
    for name in ("empty.log", "plain.gz", "none.log", "."):
        with open_log(tmp_path / name) as file:
            assert file is None


def test_a_log_that_is_open_is_the_same_after_it_was_renamed(log: Path) -> None:
    with open_log(log) as file:
        assert file is not None
        log.rename(log.with_name("tollgate.log.1"))
        append(log, line())
        assert len(list(whole_lines(file.stream, 0))) == 2


def test_only_a_log_that_begins_with_a_request_is_ours(log: Path) -> None:
    other = log.with_name("other.log")
    other.write_bytes(b"10.0.0.1 - - GET /\n" + text(line()))
    for path, is_ours in ((log, True), (other, False)):
        with open_log(path) as file:
            assert file is not None
            assert file.is_ours is is_ours
