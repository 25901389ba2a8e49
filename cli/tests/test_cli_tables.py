"""Tables: whole when piped, and within the screen where there is one."""

from __future__ import annotations

import sys

import pytest

from xm_cli.tables import print_table

HEADERS = ["item", "class", "precision", "items"]
ROWS = [
    ["/a/folder/that/is/deep/" + "x" * 60 + ".jpg", "a class with several words in its name", "100.0 ± 0.0", "12"],
    ["short.jpg", "cat", "7.5 ± 10.2", "1234"],
]


def lines(capsys: pytest.CaptureFixture[str]) -> list[str]:
    print_table(HEADERS, ROWS, right=(2, 3))
    return capsys.readouterr().out.splitlines()


def test_piped_tables_are_whole_and_have_a_line_a_row(capsys: pytest.CaptureFixture[str]) -> None:
    found = lines(capsys)
    assert len(found) == 2 + len(ROWS)
    assert all(all(cell in line for cell in row) for row, line in zip(ROWS, found[2:], strict=True))


@pytest.mark.parametrize("width", [70, 80, 100])
def test_words_are_folded_and_numbers_are_not(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, width: int
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    found = lines(capsys)
    assert max(map(len, found)) <= width
    assert len(found) > 2 + len(ROWS)
    text = "\n".join(found)
    assert all(number in text for row in ROWS for number in row[2:])
    assert "…" not in text
    start = found[0].index("class")
    assert "".join(line[:start].strip() for line in found[2:-1]) == ROWS[0][0]


def test_where_numbers_alone_are_wider_than_the_screen_they_are_printed(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "20")
    text = "\n".join(lines(capsys))
    assert all(number in text for row in ROWS for number in row[2:])


def test_long_headers_of_numbers_are_folded_at_words(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    print_table(["", "fire crackling loudly", "a plain wall"], [["dog", "12", "3"]], right=(1, 2))
    found = capsys.readouterr().out.splitlines()
    assert max(map(len, found)) <= 40
    assert "crackling" in "\n".join(found) and found[-1].split() == ["dog", "12", "3"]


def test_the_width_of_a_terminal(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "dumb")  # no bold
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    monkeypatch.setattr("shutil.get_terminal_size", lambda: __import__("os").terminal_size((60, 24)))
    assert max(map(len, lines(capsys))) <= 60


def test_a_table_without_rows(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(["name", "n"], [], right=(1,))
    assert capsys.readouterr().out.splitlines()[0].split() == ["name", "n"]
