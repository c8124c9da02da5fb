"""What a broker or consumer may be, and how it becomes a value."""

from __future__ import annotations

import pytest
from django.core.exceptions import ValidationError
from django.core.management import call_command
from django.test import override_settings
from django.utils import timezone

from stompconsole.delivery.specs import Quoting, consume_spec
from stompconsole.models import AckMode, Broker, Codec, Consumer, Subscription

pytestmark = pytest.mark.django_db


@pytest.fixture
def broker() -> Broker:
    return Broker.objects.create(name="main", kind="auto")


def consumer(broker: Broker, **fields: object) -> Consumer:
    values = {"name": "orders", "destination": "/queue/orders", "handler": "orders.handlers.price_of", **fields}
    return Consumer(broker=broker, **values)


def problems(row: Broker | Consumer) -> dict[str, list[str]]:
    try:
        row.full_clean()
    except ValidationError as error:
        return error.message_dict
    return {}


def test_migrations_are_up_to_date() -> None:
    call_command("makemigrations", "--check", "--dry-run", verbosity=0)


@pytest.mark.parametrize("url", ["", "http://{host}:15672", "https://rabbit.internal/mq", "http://[::1]:8161"])
def test_usual_management_urls_are_accepted(broker: Broker, url: str) -> None:
    broker.management_url = url
    assert problems(broker) == {}


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("rabbit:15672", "Give a URL"),
        ("ftp://rabbit", "Give a URL"),
        ("http://", "Give a URL"),
        ("http://rabbit:port", "Give a URL"),
        ("http://ra bbit", "Give a URL"),
        ("http://guest:guest@rabbit:15672", "the login has fields of its own"),
        ("http://rabbit:15672/?a=b", "Only scheme, host, port and path"),
    ],
)
def test_management_urls_that_can_t_work_or_would_show_a_login_are_refused(broker: Broker, url: str, said: str) -> None:
    broker.management_url = url
    assert said in problems(broker)["management_url"][0]


@pytest.mark.parametrize(
    "destination", ["/queue/orders", "/topic/prices", "/exchange/amq.topic/x", "/amq/queue/x", "orders", "/queue/été"]
)
def test_usual_destinations_are_accepted(broker: Broker, destination: str) -> None:
    assert problems(consumer(broker, destination=destination)) == {}


@pytest.mark.parametrize(
    ("destination", "said"),
    [
        ("/queue/a b", "blanks"),
        ("/queue/a\nb", "line breaks"),
        ("/queue/a\0b", "can't contain"),
        ("/queue/\u202eorders", "can't contain"),
        ("/queue/orders.*", "* stands for many"),
        ("/queue/orders.>", "> stands for many"),
        ("/topic/orders.#", "# stands for many"),
        ("/queue/", "name is missing"),
        ("/queue", "name is missing"),
        ("/", "name is missing"),
        ("", "blank"),
    ],
)
def test_a_destination_that_can_not_work_is_refused_with_the_reason(
    broker: Broker, destination: str, said: str
) -> None:
    assert said in str(problems(consumer(broker, destination=destination))["destination"])


def test_rabbitmq_is_told_the_spelling_of_a_slash(broker: Broker) -> None:
    broker.kind = "rabbitmq"
    refused = problems(consumer(broker, destination="/queue/a/b"))
    assert "write /queue/a%2Fb" in str(refused["destination"])
    assert problems(consumer(broker, destination="/queue/a%2Fb")) == {}
    assert problems(consumer(broker, destination="/exchange/name/key")) == {}
    assert "/exchange/" in str(problems(consumer(broker, destination="/quee/a"))["destination"])


def test_a_broker_that_greeted_as_rabbitmq_is_judged_as_one(broker: Broker) -> None:
    running = consumer(broker)
    running.save()
    Subscription.objects.create(consumer=running, slot="1", server="", reported_at=timezone.now())
    Subscription.objects.create(consumer=running, slot="2", server="RabbitMQ/3.10.8", reported_at=timezone.now())
    assert "%2F" in str(problems(consumer(broker, name="b", destination="/queue/a/b"))["destination"])
    assert broker.dialect().kind == "rabbitmq"


def test_other_brokers_take_a_slash(broker: Broker) -> None:
    broker.kind = "activemq"
    assert problems(consumer(broker, destination="/queue/a/b")) == {}
    assert "several" in str(problems(consumer(broker, destination="/queue/a,/queue/b"))["destination"])


def test_dead_letters_can_not_go_back_to_where_they_came_from(broker: Broker) -> None:
    refused = problems(consumer(broker, dead_letter_destination="/queue/orders"))
    assert "for ever" in str(refused["dead_letter_destination"])


@pytest.mark.parametrize(
    ("field", "value"),
    [("concurrency", 0), ("concurrency", 101), ("prefetch", 0), ("prefetch", 10_001), ("max_attempts", 0),
     ("retry_factor", 0.5), ("retry_first_delay_s", -1), ("ack_mode", "sometimes"), ("codec", "xml"), ("name", "a b")],
)  # fmt: skip
def test_a_value_out_of_range_is_refused(broker: Broker, field: str, value: object) -> None:
    assert field in problems(consumer(broker, **{field: value}))


def test_a_consumer_becomes_a_frozen_value(broker: Broker) -> None:
    spec = consumer(broker, ack_mode="client", concurrency=4, codec="text", max_attempts=3).spec()
    assert (spec.ack_mode, spec.threads, spec.codec) == (AckMode.CLIENT, 4, Codec.TEXT)
    assert spec.retry.max_attempts == 3
    assert spec.dead_letters == "/queue/DLQ.orders"
    assert spec.broker.name == "main"
    assert spec == consumer(broker, ack_mode="client", concurrency=4, codec="text", max_attempts=3).spec()


def test_a_standby_needs_both_fields_or_none() -> None:
    assert "standby_port" in problems(Broker(name="a", standby_host="b"))
    assert "standby_host" in problems(Broker(name="a", standby_port=1))
    assert problems(Broker(name="a", standby_host="b", standby_port=1)) == {}
    assert [str(end) for end in Broker(name="a", standby_host="b", standby_port=1).spec().endpoints] == [
        "127.0.0.1:61613",
        "b:1",
    ]


@pytest.mark.parametrize("host", ["stomp://broker", "broker/x", "bro ker", "a\r\nb"])
def test_a_host_is_a_bare_name(host: str) -> None:
    assert "host" in problems(Broker(name="a", host=host))


def test_a_key_file_needs_its_certificate() -> None:
    assert "tls_cert_file" in problems(Broker(name="a", tls_key_file="key.pem"))


def test_milliseconds_of_the_row_are_seconds_in_the_value() -> None:
    spec = Broker(name="a", heartbeat_send_ms=1500, use_tls=True, tls_ca_certs="ca.pem").spec()
    assert spec.heartbeat_send_s == 1.5
    assert spec.endpoints[0].tls is not None
    assert spec.endpoints[0].tls.ca_certs == "ca.pem"


def test_a_pause_remembers_who_when_and_why_and_a_resume_forgets(broker: Broker) -> None:
    row = consumer(broker)
    row.mark_paused(None, "x" * 300)
    assert row.paused
    assert row.paused_at is not None
    assert len(row.paused_reason) == 200
    row.mark_resumed()
    assert (row.paused, row.paused_by, row.paused_at, row.paused_reason) == (False, None, None, "")


@pytest.mark.parametrize("destination", ["/topic/prices", "/queue/orders"])
@pytest.mark.parametrize("client_id", ["", "shop"])
@pytest.mark.parametrize("durable", [True, False])
def test_what_a_row_wants_of_the_broker_is_what_its_subscription_asks_for(
    broker: Broker, destination: str, client_id: str, durable: bool
) -> None:
    row = consumer(
        broker, destination=destination, client_id=client_id, durable=durable, exclusive=True, ack_mode="client"
    )
    assert row.wanted == consume_spec(row.spec()).wanted


@pytest.mark.parametrize(("rules", "setting"), [("$.pin", []), ("", ["x-token"])])
def test_where_redaction_has_rules_a_breaker_quotes_no_error(broker: Broker, rules: str, setting: list[str]) -> None:
    assert consumer(broker).spec().breaker.quoting is Quoting.MESSAGE
    with override_settings(STOMPCONSOLE={"REDACT": setting}):
        assert consumer(broker, redact=rules).spec().breaker.quoting is Quoting.TYPE
