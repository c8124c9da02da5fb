"""Each of the 22 weaknesses that django-stomp was seen to have, W1 to W22, has a test named after it that runs."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parents[1]
WEAKNESSES = set(range(1, 23))
NAME = re.compile(r"test_w(\d\d)_")


@pytest.mark.long
def test_each_has_a_test_named_after_it() -> None:
    assert {number for number, _ in named_tests()} == WEAKNESSES


@pytest.mark.long
def test_none_of_them_is_skipped_or_expected_to_fail() -> None:
    for _, test in named_tests():
        for decorator in test.decorator_list:
            assert not re.search("skip|xfail", ast.unparse(decorator)), test.name


def test_each_says_what_happened_there() -> None:
    for _, test in named_tests(Path(__file__).parent):
        assert (ast.get_docstring(test) or "").startswith("There "), test.name


def named_tests(folder: Path = TESTS) -> Iterator[tuple[int, ast.FunctionDef]]:
    """Each test with a weakness in its name, and the number of that."""
    for path in folder.rglob("test_*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef) and (found := NAME.match(node.name)):
                yield int(found[1]), node
