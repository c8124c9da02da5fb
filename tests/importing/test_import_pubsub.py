"""``import_pubsub``: what it shows, what it creates, what it leaves out, and that it can be run again."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import override_settings

from stompconsole import audit, handlers
from stompconsole.models import AuditEntry, Broker, Consumer

pytestmark = pytest.mark.django_db

PRICE, TOTAL = "tests.importing.sample.price_of", "tests.importing.sample.total_of"
STOMP = {"STOMP_SERVER_HOST": "mq.example", "STOMP_CORRELATION_ID_REQUIRED": "false"}

Write = Callable[..., str]


@pytest.fixture(autouse=True)
def project() -> Iterator[None]:
    with override_settings(STOMPCONSOLE={"HANDLERS": ["tests.importing.sample.*"]}, **STOMP):
        yield


@pytest.fixture
def procfile(tmp_path: Path) -> Write:
    """Writes a Procfile of these commands, ``DESTINATION HANDLER`` each, and gives its path."""

    def write(*commands: str, name: str = "Procfile", before: str = "") -> str:
        path = tmp_path / name
        lines = (f"p{number}: {before}python manage.py pubsub {each}\n" for number, each in enumerate(commands))
        path.write_text("".join(lines))
        return str(path)

    return write


def run(*arguments: str) -> str:
    out = io.StringIO()
    call_command("import_pubsub", *arguments, stdout=out)
    return out.getvalue()


def fails(*arguments: str) -> tuple[str, str]:
    """What it wrote, and the error it ended with."""
    out = io.StringIO()
    with pytest.raises(CommandError) as raised:
        call_command("import_pubsub", *arguments, stdout=out)
    assert raised.value.returncode == 1
    return out.getvalue(), str(raised.value)


def test_nothing_is_written_unless_it_is_told_to_create(procfile: Write) -> None:
    path = procfile(f"/queue/orders {PRICE}")
    shown = run(path)
    assert "Consumers of the broker default, mq.example:61613:" in shown
    (row,) = [line for line in shown.splitlines() if "/queue/orders" in line]
    assert row.split() == ["orders", "/queue/orders", PRICE, "1", f"{path}:1"]
    assert "Nothing is written yet: --create creates 1 consumer." in shown
    assert not Consumer.objects.exists()
    assert not Broker.objects.exists()
    assert not AuditEntry.objects.exists()


def test_consumers_are_created_on_the_broker_of_the_settings_and_are_in_the_audit(procfile: Write) -> None:
    path = procfile(f"/queue/orders {PRICE}", f"/queue/totals {TOTAL}")
    assert "Created 2 consumers." in run("--create", path)
    orders, totals = Consumer.objects.order_by("name")
    assert (orders.name, orders.destination, orders.handler) == ("orders", "/queue/orders", PRICE)
    assert (orders.instances, orders.paused, orders.capture) == (1, False, True)
    assert (totals.broker.name, totals.broker.host) == ("default", "mq.example")
    entries = AuditEntry.objects.order_by("pk")
    assert [entry.action for entry in entries] == [audit.Action.BROKER_ADDED, *[audit.Action.CONSUMER_ADDED] * 2]
    assert entries[1].consumer == orders
    assert (entries[1].actor_name, entries[1].detail) == ("import_pubsub", f"from {path}:1")


def test_what_is_there_already_is_said_and_not_doubled(procfile: Write) -> None:
    path = procfile(f"/queue/orders {PRICE}")
    run("--create", path)
    path = procfile(f"/queue/orders {PRICE}", f"/queue/orders {TOTAL}")
    shown = run("--create", path)
    assert f"There already:\n  orders: /queue/orders {PRICE}, from {path}:1" in shown
    assert "Created 1 consumer." in shown
    assert [(row.name, row.handler) for row in Consumer.objects.order_by("name")] == [
        ("orders", PRICE),
        ("orders-total_of", TOTAL),
    ]
    assert "Created 0 consumers." in run("--create", path)


def test_a_line_that_is_there_twice_is_one_consumer_of_two_instances(procfile: Write) -> None:
    first = procfile(*[f"/queue/orders {PRICE}"] * 2)
    second = procfile(f"/queue/orders {PRICE}", name="Procfile.more")
    run("--create", first, second, first)
    assert Consumer.objects.get().instances == 3


def test_consumers_of_one_destination_get_names_of_their_own(procfile: Write) -> None:
    run("--create", procfile(f"/queue/orders {PRICE}", f"/queue/orders {TOTAL}", f"/topic/orders {TOTAL}"))
    assert [row.name for row in Consumer.objects.order_by("pk")] == ["orders", "orders-total_of", "orders-2"]


def test_a_topic_s_processes_become_one_instance_for_each_would_get_every_message(procfile: Write) -> None:
    shown = run("--create", procfile(*[f"/topic/prices {PRICE}"] * 2))
    assert "2 of them were started. On a topic each would get every message" in shown
    assert Consumer.objects.get().instances == 1


SETTINGS = {
    "STOMP_PROCESS_MSG_WORKERS": "4",
    "STOMP_CORRELATION_ID_REQUIRED": "yes",
    "STOMP_DURABLE_TOPIC_SUBSCRIPTION": "true",
    "STOMP_LISTENER_CLIENT_ID": "shop",
    "STOMP_SUBSCRIPTION_ID": "orders",
    "STOMP_DEFAULT_EXCLUSIVE_QUEUE": "1",
}
FIELDS = {
    "concurrency": 4, "prefetch": 40, "correlation_id_required": True, "durable": True, "client_id": "shop",
    "subscription_id": "orders", "exclusive": True,
}  # fmt: skip


def fields() -> dict[str, Any]:
    row = Consumer.objects.get()
    return {name: getattr(row, name) for name in FIELDS}


def test_the_settings_of_django_stomp_become_fields_of_the_row(procfile: Write) -> None:
    with override_settings(**SETTINGS):
        shown = run("--create", procfile(f"/topic/prices {PRICE}"))
    assert fields() == FIELDS
    assert "concurrency 4, prefetch 40, durable, exclusive, correlation-id required, client id shop" in shown


def test_what_a_line_is_started_with_wins_over_the_settings(procfile: Write) -> None:
    before = " ".join(f"{name}={value}" for name, value in SETTINGS.items()) + " "
    with override_settings(STOMP_PROCESS_MSG_WORKERS=9):
        run("--create", procfile(f"/topic/prices {PRICE}", before=before))
    assert fields() == FIELDS


def test_without_background_one_message_is_taken_at_a_time(procfile: Write) -> None:
    before = "STOMP_PROCESS_MSG_WORKERS=4 STOMP_PROCESS_MSG_ON_BACKGROUND=false "
    run("--create", procfile(f"/queue/orders {PRICE}", before=before))
    row = Consumer.objects.get()
    assert (row.concurrency, row.prefetch) == (1, 1)


def test_only_a_topic_s_subscription_is_durable(procfile: Write) -> None:
    run("--create", procfile(f"/queue/orders {PRICE}", before="STOMP_DURABLE_TOPIC_SUBSCRIPTION=1 "))
    assert not Consumer.objects.get().durable


def test_a_value_that_can_not_work_leaves_the_line_out(procfile: Write) -> None:
    shown, ended = fails(procfile(f"/queue/orders {PRICE}", before="STOMP_PROCESS_MSG_WORKERS=many "))
    assert "STOMP_PROCESS_MSG_WORKERS is 'many'; it must be a whole number" in shown
    assert ended == "1 left out: see above"


@pytest.mark.parametrize(
    ("before", "words"),
    [
        ("STOMP_PROCESS_MSG_WORKERS=$N ", "STOMP_PROCESS_MSG_WORKERS can't be known from"),
        ("STOMP_SERVER_HOST=other.example ", "it was started for other.example:61613, and default is mq.example:61613"),
        ("STOMP_GRACEFUL_WAIT_SECONDS=90 ", "STOMP_GRACEFUL_WAIT_SECONDS holds for a whole worker"),
    ],
)
def test_what_a_row_can_not_say_is_remarked(procfile: Write, before: str, words: str) -> None:
    assert words in run("--create", procfile(f"/queue/orders {PRICE}", before=before))
    assert Consumer.objects.exists()


def test_lines_of_one_consumer_that_differ_are_remarked(procfile: Write) -> None:
    first = procfile(f"/queue/orders {PRICE}", before="STOMP_PROCESS_MSG_WORKERS=2 ")
    second = procfile(f"/queue/orders {PRICE}", before="STOMP_PROCESS_MSG_WORKERS=3 ", name="Procfile.more")
    shown = run("--create", first, second)
    assert f"{second}:1 sets STOMP_PROCESS_MSG_WORKERS to something else: what {first}:1 says is taken" in shown
    assert Consumer.objects.get().concurrency == 2


def test_paused_consumers_wait_to_be_resumed(procfile: Write) -> None:
    run("--create", "--paused", procfile(f"/queue/orders {PRICE}"))
    row = Consumer.objects.get()
    assert row.paused
    assert row.paused_at is not None
    assert row.paused_reason == "imported, not resumed yet"
    assert AuditEntry.objects.latest("pk").detail.endswith(", paused")


def test_dead_letters_can_be_left_in_the_broker(procfile: Write) -> None:
    assert "no capture" in run("--create", "--no-capture", procfile(f"/queue/orders {PRICE}"))
    assert not Consumer.objects.get().capture


def test_dead_letters_that_have_a_consumer_of_their_own_are_left_to_it(procfile: Write) -> None:
    shown = run("--create", procfile(f"/queue/orders {PRICE}", f"/queue/DLQ.orders {TOTAL}"))
    assert "its dead letters are left to DLQ-orders" in shown
    assert {row.name: row.capture for row in Consumer.objects.all()} == {"orders": False, "DLQ-orders": True}


def test_a_consumer_whose_dead_letters_are_captured_already_is_named(procfile: Write) -> None:
    run("--create", procfile(f"/queue/orders {PRICE}"))
    shown = run(procfile(f"/queue/DLQ.orders {TOTAL}"))
    assert "the dead letters of orders are captured from there" in shown


class TestHandlers:
    """A handler that workers would not find: said with the line to add, and created only to wait, paused."""

    @pytest.mark.parametrize(
        ("handler", "words"),
        [
            ("tests.importing.gone.f", "there is no module 'tests.importing.gone'"),
            ("tests.importing.sample.gone", "module tests.importing.sample has no 'gone'"),
            ("tests.importing.sample.not_callable", "can't be called"),
            ("tests.handlers.samples.broken.any", "tests.handlers.samples.broken does not import"),
        ],
    )
    def test_one_that_can_not_be_had_leaves_its_line_out(self, procfile: Write, handler: str, words: str) -> None:
        path = procfile(f"/queue/a {handler}", f"/queue/b {PRICE}")
        with override_settings(STOMPCONSOLE={"HANDLERS": ["tests.*"]}):
            shown, ended = fails("--create", path)
        assert f"Left out:\n  {path}:1: /queue/a {handler}:" in shown
        assert words in shown
        assert ended == "1 left out: see above"
        assert [row.name for row in Consumer.objects.all()] == ["b"]

    def test_one_that_is_not_allowed_is_named_with_the_setting_that_would(self, procfile: Write) -> None:
        with override_settings(STOMPCONSOLE={"HANDLERS": ["orders.*"]}):
            shown, _ = fails(procfile(f"/queue/orders {PRICE}", f"/queue/totals {TOTAL}"))
        assert f"{PRICE} is not registered: put @stompconsole.handler above it" in shown
        assert f'STOMPCONSOLE = {{"HANDLERS": ["orders.*", "{PRICE}", "{TOTAL}"]}}' in shown
        assert not Consumer.objects.exists()

    def test_the_setting_that_is_shown_is_all_it_takes(self, procfile: Write) -> None:
        with override_settings(STOMPCONSOLE={"HANDLERS": [PRICE]}):
            run("--create", procfile(f"/queue/orders {PRICE}"))
        assert Consumer.objects.exists()

    def test_one_that_is_marked_where_no_worker_looks_is_named_with_the_import_to_add(
        self, procfile: Write, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(handlers, "_register", handlers._Register())
        monkeypatch.delitem(sys.modules, "tests.importing.marked", raising=False)
        shown, _ = fails(procfile("/queue/a tests.importing.marked.marked", "/queue/b tests.importing.marked.marked"))
        assert shown.count("add `from tests.importing.marked import marked` to one") == 2

    def test_one_that_is_registered_needs_nothing(self, procfile: Write) -> None:
        with override_settings(STOMPCONSOLE={}):
            run("--create", procfile("/queue/orders stompconsole.project.handlers.orders"))
        assert Consumer.objects.exists()

    def test_paused_its_consumer_is_created_and_waits_for_it(self, procfile: Write) -> None:
        shown = run("--create", "--paused", procfile("/queue/a tests.importing.gone.f"))
        assert "there is no module 'tests.importing.gone'" in shown
        assert Consumer.objects.get().paused


class TestBrokers:
    """The broker that consumers are created on."""

    def test_a_named_one_is_taken(self, procfile: Write) -> None:
        other = Broker.objects.create(name="other", host="other.example")
        with override_settings(STOMP_SERVER_HOST=None, STOMP_PROCESS_MSG_WORKERS=3):
            run("--create", "--broker", "other", procfile(f"/queue/orders {PRICE}"))
        row = Consumer.objects.get()
        assert (row.broker, row.concurrency) == (other, 3)

    def test_the_same_line_on_another_broker_is_another_consumer(self, procfile: Write) -> None:
        Broker.objects.create(name="other")
        path = procfile(f"/queue/orders {PRICE}")
        run("--create", path)
        run("--create", "--broker", "other", path)
        assert {(row.name, row.broker.name) for row in Consumer.objects.all()} == {
            ("orders", "default"),
            ("orders-price_of", "other"),
        }

    def test_one_that_there_is_not_is_said_with_those_there_are(self, procfile: Write) -> None:
        Broker.objects.create(name="other")
        with pytest.raises(CommandError, match="there is no broker named 'nope'; there are: other"):
            run("--broker", "nope", procfile(f"/queue/orders {PRICE}"))

    @override_settings(STOMP_SERVER_HOST=None)
    def test_without_any_the_setting_that_is_missing_is_named(self, procfile: Write) -> None:
        with pytest.raises(CommandError, match="Set STOMP_SERVER_HOST, or name one with --broker"):
            run(procfile(f"/queue/orders {PRICE}"))

    def test_what_the_broker_can_not_do_leaves_the_line_out(self, procfile: Write) -> None:
        Broker.objects.create(name="rabbit", kind="rabbitmq")
        shown, _ = fails("--broker", "rabbit", procfile(f"/queue/a/b {PRICE}", f"/queue/* {PRICE}"))
        assert "RabbitMQ takes no slash inside a name: write /queue/a%2Fb" in shown
        assert "* stands for many destinations" in shown

    def test_a_durable_subscriber_that_only_one_can_be_is_created_once(self, procfile: Write) -> None:
        Broker.objects.create(name="classic", kind="activemq")
        with override_settings(STOMP_DURABLE_TOPIC_SUBSCRIPTION=True, STOMP_LISTENER_CLIENT_ID="shop"):
            path = procfile(f"/topic/a {PRICE}", f"/topic/a {PRICE}", f"/topic/b {PRICE}")
            shown, _ = fails("--create", "--broker", "classic", path)
        assert "a is shop-listener already: give each a STOMP_LISTENER_CLIENT_ID" in shown
        assert Consumer.objects.get().instances == 1


def test_what_is_not_understood_is_named_and_the_rest_is_created(procfile: Write, tmp_path: Path) -> None:
    path = procfile(f"/queue/orders {PRICE}", f"$QUEUE {PRICE}")
    shown, ended = fails("--create", path, str(tmp_path / "gone.sh"))
    assert f"Not understood:\n  {path}:2: $QUEUE can't be known here" in shown
    assert f"{tmp_path / 'gone.sh'}: can't be read: No such file or directory." in shown
    assert ended == "2 not understood: see above"
    assert Consumer.objects.count() == 1


def test_files_without_any_are_said_to_have_none(tmp_path: Path) -> None:
    path = tmp_path / "start.sh"
    path.write_text("echo hello\n")
    assert fails(str(path)) == ("", "no pubsub DESTINATION HANDLER was found.")


def test_standard_input_is_read_for_a_dash(monkeypatch: pytest.MonkeyPatch) -> None:
    text = f"python manage.py pubsub /queue/orders {PRICE}\npython manage.py pubsub\n"
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
    shown, _ = fails("-")
    assert "standard input:1" in shown
    assert "standard input:2: pubsub takes a DESTINATION" in shown


def test_everything_is_created_or_nothing(procfile: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    written = []

    def fail_at_the_second(*arguments: Any, **options: Any) -> None:
        written.append(arguments)
        if len(written) == 3:
            connection.cursor().execute("SELECT * FROM nowhere")

    monkeypatch.setattr(audit, "record", fail_at_the_second)
    with pytest.raises(CommandError, match=r"nothing was created: .*nowhere"):
        run("--create", procfile(f"/queue/orders {PRICE}", f"/queue/totals {TOTAL}"))
    assert len(written) == 3
    assert not Consumer.objects.exists()
    assert not Broker.objects.exists()


@override_settings(STOMP_USE_SSL="maybe")
def test_settings_that_can_not_work_end_it_with_a_sentence(procfile: Write) -> None:
    with pytest.raises(CommandError, match="STOMP_USE_SSL is 'maybe'"):
        run(procfile(f"/queue/orders {PRICE}"))
