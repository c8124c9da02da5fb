"""Shell text as simple commands: split as shells split it, never crashing, nothing expanded."""

from __future__ import annotations

import shlex
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stompconsole.importing.reading.shell import statements, uncut

ONE_LINE = st.text(st.characters(exclude_characters="\r\0", exclude_categories=["Cs"]))


def split(text: str) -> list[list[str]]:
    return [[word.text for word in statement.words] for statement in statements(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a b  c", [["a", "b", "c"]]),
        ("a && b || c; d & e | f", [["a"], ["b"], ["c"], ["d"], ["e"], ["f"]]),
        ("(a; b)", [["a"], ["b"]]),
        ("a # b c\nd", [["a"], ["d"]]),
        ("a#b 'c # d'", [["a#b", "c # d"]]),
        ("a \\\n  b", [["a", "b"]]),
        ("a\\\nb", [["ab"]]),
        ("a\\ b", [["a b"]]),
        ("""a "b c" 'd e'f""", [["a", "b c", "d ef"]]),
        (r'''"a \" \\ \x"''', [['a " \\ \\x']]),
        ("a '' \"\"", [["a", "", ""]]),
        ("a > out 2>&1 b", [["a", "b"]]),
        ("a >> out < in &> all b 2>&- c", [["a", "b", "c"]]),
        ("a <<< word b", [["a", "b"]]),
        ("a <<EOF b\nc d\nEOF\ne", [["a", "b"], ["e"]]),
        ("a <<-'EOF'\n\tc\n\tEOF\ne", [["a"], ["e"]]),
        ("a\r\nb", [["a"], ["b"]]),
        ("$'a b'", [["a b"]]),
        ("a $ b", [["a", "$", "b"]]),
        ("", []),
        ("# only a comment", []),
    ],
)
def test_text_is_split_into_commands_and_words(text: str, expected: list[list[str]]) -> None:
    assert split(text) == expected


@pytest.mark.parametrize(
    "line",
    [
        "python manage.py pubsub /queue/a app.h",
        """a"b"'c'\\d "e 'f' g" 'h "i" j'""",
        r"""'it'\''s' "a\\b" "\$HOME" \"x\" """,
        "a=b 'c d'=e \\# #comment",
        "'new\nline' \"and\nanother\"",
    ],
)
def test_words_are_those_that_a_real_shell_makes(line: str) -> None:
    shown = subprocess.run(
        ["sh", "-c", f"set -- {line}\nprintf '%s\\0' \"$@\""], capture_output=True, check=True, timeout=10
    )
    assert split(line) == [shown.stdout.decode().split("\0")[:-1]]


@given(st.lists(ONE_LINE, min_size=1))
def test_what_is_quoted_comes_back_as_it_was(words: list[str]) -> None:
    (statement,) = statements(shlex.join(words))
    assert [word.text for word in statement.words] == words
    assert not any(word.unknown for word in statement.words)
    assert not statement.unclosed


@given(st.text(st.sampled_from("ab \n\t'\"\\$`;&|(){}<>#=-1E\r")) | st.text())
def test_any_text_is_split_and_no_line_is_beyond_its_end(text: str) -> None:
    last = text.replace("\r\n", "\n").replace("\r", "\n").count("\n") + 1
    for statement in statements(text):
        assert all(1 <= word.line <= last for word in statement.words)


@pytest.mark.parametrize(
    ("text", "unknown"),
    [
        ("$QUEUE", "$QUEUE"),
        ('"/queue/$QUEUE"', "$QUEUE"),
        ("${QUEUE:-x y}", "${QUEUE:-x y}"),
        ("${A:-${B}}c", "${A:-${B}}"),
        ("$(cat queue (a))", "$(cat queue (a))"),
        ("`cat queue`", "`cat queue`"),
        ("$1", "$1"),
        ('"$@"', "$@"),
        (r"$'\x41'", r"$'\x41'"),
        ("'$QUEUE'", ""),
        (r"\$QUEUE", ""),
    ],
)
def test_what_only_a_running_shell_knows_is_marked_and_nothing_else(text: str, unknown: str) -> None:
    ((word,),) = [statement.words for statement in statements(text)]
    assert word.unknown == unknown


def test_a_quote_that_is_never_closed_is_marked() -> None:
    assert [statement.unclosed for statement in statements("a\necho 'b c\nd")] == [False, True]
    assert [statement.unclosed for statement in statements('echo "b')] == [True]
    assert [statement.unclosed for statement in statements("echo $(b")] == [True]


def test_lines_are_those_on_which_words_begin() -> None:
    first, second = statements("a 'b\nc' \\\n d\ne", line=10)
    assert [word.line for word in first.words] == [10, 10, 12]
    assert second.line == 13


def test_values_are_put_in_for_variables_that_are_known() -> None:
    ((word,),) = [statement.words for statement in statements('"/queue/${A}-$B"')]
    assert word.with_values({"A": "x", "B": "$y"}).text == "/queue/x-$y"
    assert word.with_values({"A": "x", "B": "$y"}).unknown == ""
    assert word.with_values({"A": "x"}).unknown == "$B"


@given(ONE_LINE)
def test_an_argument_that_no_shell_splits_stays_one_word(text: str) -> None:
    assert uncut(text, 3).text == text


def test_variables_in_such_an_argument_are_seen_whatever_its_quotes() -> None:
    assert uncut("'$QUEUE'", 1).unknown == "$QUEUE"
    assert uncut("$$QUEUE", 1).unknown == "$$"
