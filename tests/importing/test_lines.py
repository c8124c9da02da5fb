"""``pubsub`` in shell lines and scripts, in all the ways in which teams start it."""

from __future__ import annotations

import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.importing.reading import one, pairs, problems, reading

PAIR = ("/queue/your-stuff", "app.sample.my_honest_logic")
LINE = 'python manage.py pubsub "/queue/your-stuff" app.sample.my_honest_logic'

NAMES = st.from_regex(r"/(queue|topic)/[A-Za-z0-9_.:!*/ -]{1,30}", fullmatch=True).map(str.rstrip)
HANDLERS = st.from_regex(r"[a-z_]{1,8}(\.[a-z_]{1,8}){1,3}", fullmatch=True)


@pytest.mark.parametrize(
    "line",
    [
        LINE,
        "python manage.py pubsub /queue/your-stuff app.sample.my_honest_logic",
        "./manage.py pubsub '/queue/your-stuff' 'app.sample.my_honest_logic'",
        "django-admin pubsub --settings=shop.settings /queue/your-stuff app.sample.my_honest_logic",
        "python -m django pubsub /queue/your-stuff app.sample.my_honest_logic --settings shop.settings -v 2",
        "python manage.py --settings shop.prod pubsub --traceback /queue/your-stuff app.sample.my_honest_logic",
        "/venv/bin/python3.11 -u /srv/manage.py pubsub /queue/your-stuff --no-color app.sample.my_honest_logic",
        "poetry run python manage.py pubsub /queue/your-stuff app.sample.my_honest_logic",
        "nohup python manage.py pubsub /queue/your-stuff app.sample.my_honest_logic > log.txt 2>&1 &",
        "exec python manage.py pubsub /queue/your-stuff app.sample.my_honest_logic",
        "cd /srv && source env && python manage.py pubsub /queue/your-stuff app.sample.my_honest_logic || exit 1",
        "env -i A=b python manage.py pubsub /queue/your-stuff app.sample.my_honest_logic",
        "while true; do python manage.py pubsub /queue/your-stuff app.sample.my_honest_logic; sleep 1; done",
        "run() { python manage.py pubsub /queue/your-stuff app.sample.my_honest_logic; }",
        "{ python manage.py pubsub /queue/your-stuff app.sample.my_honest_logic }",
        "(python manage.py pubsub /queue/your-stuff app.sample.my_honest_logic)",
        "python manage.py pubsub \\\n  /queue/your-stuff \\\n  app.sample.my_honest_logic",
        """sh -c "python manage.py pubsub '/queue/your-stuff' app.sample.my_honest_logic" """,
        """su app -c 'exec bash -lc "cd /srv && ./manage.py pubsub /queue/your-stuff app.sample.my_honest_logic"'""",
        "docker run -e A=b shop python manage.py pubsub /queue/your-stuff app.sample.my_honest_logic",
        "docker compose run pubsub python manage.py pubsub /queue/your-stuff app.sample.my_honest_logic",
        "shop-manage pubsub /queue/your-stuff app.sample.my_honest_logic",
        "QUEUE=/queue/your-stuff\npython manage.py pubsub $QUEUE app.sample.my_honest_logic",
        'export Q=your-stuff\npython manage.py pubsub "/queue/${Q}" app.sample.my_honest_logic',
        f"COMMAND='{LINE}'\n$COMMAND &",
    ],
)
def test_a_command_is_found_however_it_is_started(line: str) -> None:
    assert pairs(line) == [PAIR]
    assert problems(line) == []


@pytest.mark.parametrize(
    "line",
    [
        f"# {LINE}",
        f'echo "{LINE}"',
        f'pkill -f "{LINE}"',
        f"cat <<EOF\n{LINE}\nEOF",
        "gcloud pubsub topics list",
        "gcloud pubsub topics publish orders --message=hello",
        "docker compose up pubsub",
        "systemctl restart pubsub",
        "python manage.py help pubsub",
        "python manage.py import_pubsub Procfile",
        "python manage.py runworker stomp",
        "pip install pubsub",
        "",
    ],
)
def test_what_only_looks_like_it_is_let_alone(line: str) -> None:
    assert reading(line).found == ()
    assert problems(line) == []


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (
            "python manage.py pubsub $QUEUE app.h",
            ["run.sh:1: $QUEUE can't be known here: write out what it stands for"],
        ),
        ('python manage.py pubsub "/queue/${Q:-a}" app.h', ["${Q:-a}"]),
        ("for q in a b; do python manage.py pubsub $q app.h; done", ["$q"]),
        ('start() { python manage.py pubsub "$@"; }', ["$@"]),
        ("Q=/queue/a\nQ=/queue/b\npython manage.py pubsub $Q app.h", ["run.sh:3: $Q"]),
        ("Q=$1\npython manage.py pubsub $Q app.h", ["$Q"]),
        ("python manage.py pubsub /queue/{a,b} app.h", ["'/queue/{a,b}' has a {"]),
        ("python manage.py pubsub {{ queue }} app.h", ["'{{' has a {"]),
        ("python manage.py pubsub", ["takes a DESTINATION and a HANDLER, and is given nothing"]),
        ("python manage.py pubsub /queue/a", ["is given '/queue/a'"]),
        ("python manage.py pubsub /queue/a app.h more", ["is given '/queue/a', 'app.h', 'more'"]),
        ("python manage.py pubsub '' app.h", ["the destination is empty"]),
        ("python manage.py pubsub /queue/a app/handlers.py", ["'app/handlers.py' is no handler", "a dotted path"]),
        ("python manage.py pubsub /queue/a handler", ["'handler' is no handler"]),
        ("shop-manage pubsub $QUEUE app.handlers.price_of", ["$QUEUE"]),
        ("shop-manage pubsub /queue/a", ["is given '/queue/a'"]),
        ("echo 'it\npython manage.py pubsub /queue/a app.h", ["run.sh:1: a quote is never closed"]),
        ('sh -c "python manage.py pubsub $Q app.h"', ["$Q"]),
    ],
)
def test_a_line_that_can_not_be_understood_is_named_with_the_reason(line: str, words: list[str]) -> None:
    (said,) = problems(line)
    for word in words:
        assert word in said
    assert reading(line).found == ()


def test_a_quote_that_is_never_closed_elsewhere_is_none_of_our_business() -> None:
    assert reading("echo it's").problems == ()


def test_where_a_command_stands_is_known_also_inside_quotes() -> None:
    script = f"#!/bin/sh\n\n{LINE}\nsh -c '\n  cd /srv\n  {LINE}\n'\n"
    assert [str(found.place) for found in reading(script, "bin/start").found] == ["bin/start:3", "bin/start:6"]


def test_variables_in_front_of_a_command_are_its_environment() -> None:
    found = one(f"env STOMP_PROCESS_MSG_WORKERS=4 A='b c' nohup {LINE}")
    assert found.environment == {"STOMP_PROCESS_MSG_WORKERS": "4", "A": "b c"}


def test_variables_of_the_shell_around_a_quoted_command_are_its_environment_too() -> None:
    assert one(f"A=1 sh -c 'B=2 {LINE}'").environment == {"A": "1", "B": "2"}


def test_exported_variables_hold_for_the_script_and_others_only_for_its_text() -> None:
    found = one(f"export A=1 B=2\nC=3\nexport C\nD=4\nB=5 {LINE}")
    assert found.environment == {"A": "1", "B": "5", "C": "3"}


def test_a_variable_whose_value_is_not_known_is_not_taken_for_another() -> None:
    assert one(f"A=$1 B=x$(date) {LINE}").environment == {"A": None, "B": None}
    assert one(f"export A=1\nexport A=2\n{LINE}").environment == {"A": None}


@pytest.mark.long
@given(NAMES, HANDLERS, st.sampled_from(["", "--settings=a.b ", "-v 2 ", "--traceback "]))
def test_any_quoted_name_is_found_as_it_was_written(destination: str, handler: str, options: str) -> None:
    line = f"python manage.py pubsub {options}{shlex.quote(destination)} {shlex.quote(handler)}"
    assert pairs(line) == [(destination, handler)]
    assert pairs(f"sh -c {shlex.quote(line)}") == [(destination, handler)]
    assert pairs(f"exec sh -c {shlex.quote(f'cd / && {line} &')}") == [(destination, handler)]


def test_quoted_commands_are_followed_only_so_deep() -> None:
    line = LINE
    for _ in range(30):
        line = f"sh -c {shlex.quote(line)}"
        if len(line) > 100_000:
            break
    assert reading(line).found == ()
