"""``pubsub`` in Procfile, supervisor's and systemd's files."""

from __future__ import annotations

import pytest

from tests.importing.reading import one, pairs, problems, reading

COMMAND = "python manage.py pubsub /queue/orders app.handlers.price_of"
PAIR = ("/queue/orders", "app.handlers.price_of")


def test_a_procfile_names_its_processes() -> None:
    text = f"web: gunicorn shop.wsgi\n# old: {COMMAND}\n\norders: A=1 {COMMAND}\nmore: cd x && {COMMAND}\n"
    found = reading(text, "Procfile")
    assert [(str(each.place), each.environment) for each in found.found] == [
        ("Procfile:4", {"A": "1"}),
        ("Procfile:5", {}),
    ]
    assert found.problems == ()


def test_a_line_of_a_procfile_that_is_none_is_named() -> None:
    assert "Procfile.dev:2: not a line of a Procfile" in problems(f"web: x\n{COMMAND}", "Procfile.dev")[0]


SUPERVISOR = """
; the shop
[supervisord]
environment = LANG="C", A='1'

[program:orders]
command=/venv/bin/python manage.py pubsub /queue/orders
    app.handlers.price_of ; the new one
process_name=%(program_name)s_%(process_num)02d
numprocs=3 ; as many as there are cores
environment=STOMP_PROCESS_MSG_WORKERS="4",A=2,
    SECRET="a,b%%c",HOME="%(ENV_HOME)s"

[program:web]
command=gunicorn shop.wsgi
"""


def test_a_program_of_supervisor_runs_as_often_as_numprocs_says() -> None:
    found = one(SUPERVISOR, "shop.ini")
    assert (found.destination, found.handler) == PAIR
    assert found.instances == 3
    assert str(found.place) == "shop.ini:7"
    assert found.environment == {
        "LANG": "C", "A": "2", "STOMP_PROCESS_MSG_WORKERS": "4", "SECRET": "a,b%%c", "HOME": None,
    }  # fmt: skip


def test_processes_whose_number_is_in_the_command_are_different_consumers() -> None:
    text = (
        "[program:shards]\nnumprocs=2\nnumprocs_start=7\n"
        "command=./manage.py pubsub /queue/s-%(process_num)02d-%(program_name)s app.h"
    )
    assert pairs(text, "supervisord.conf") == [("/queue/s-07-shards", "app.h"), ("/queue/s-08-shards", "app.h")]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[program:x]\ncommand=./manage.py pubsub /queue/%(ENV_Q)s app.h", "a.ini:2: ${%(ENV_Q)s} can't be known"),
        (
            f"[program:x]\ncommand={COMMAND}\nnumprocs=%(ENV_N)s",
            "numprocs: how many run can't be known from '%(ENV_N)s'",
        ),
        (f"[program:x]\ncommand={COMMAND}\nnumprocs=0", "What is scaled to 0 does not run"),
        (f"[program:x]\ncommand={COMMAND}\nnumprocs=99999999999", "allowed are 1 to 1,000"),
        (f"[watcher:x]\ncmd = {COMMAND}", "a.ini:2: pubsub in [watcher:x]; only programs of supervisor"),
    ],
)
def test_what_supervisor_would_know_and_the_file_does_not_say_is_named(text: str, words: str) -> None:
    (said,) = problems(text, "a.ini")
    assert words in said
    assert reading(text, "a.ini").found == ()


UNIT = """
[Unit]
Description=Orders: python manage.py pubsub

[Service]
Environment=QUEUE=/queue/orders "A=b c"
Environment=STOMP_CORRELATION_ID_REQUIRED=no
EnvironmentFile=-/etc/shop.env
ExecStart=-/venv/bin/python manage.py pubsub \\
  ${QUEUE} \\
  app.handlers.price_of
Restart=always
"""


def test_a_unit_of_systemd_starts_it_with_its_environment() -> None:
    found = one(UNIT, "orders.service")
    assert (found.destination, found.handler) == PAIR
    assert found.environment == {"QUEUE": "/queue/orders", "A": "b c", "STOMP_CORRELATION_ID_REQUIRED": "no"}
    assert str(found.place) == "orders.service:9"
    assert "EnvironmentFile is not read" in found.remarks[0]


def test_a_template_unit_is_said_to_be_one() -> None:
    text = f"[Service]\nExecStart={COMMAND}\n"
    assert "a template unit" in one(text, "orders@.service").remarks[0]
    assert one(text, "orders.service").remarks == ()
    said = problems("[Service]\nExecStart=./manage.py pubsub /queue/%i app.h", "orders@.service")
    assert "has a %i in it" in said[0]


def test_a_percent_sign_of_a_destination_is_written_twice_in_a_unit() -> None:
    assert pairs("[Service]\nExecStart=./manage.py pubsub /queue/a%%2Fb app.h", "a.service") == [
        ("/queue/a%2Fb", "app.h")
    ]
