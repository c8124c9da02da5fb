"""Dialects: by greeting, and what each declares."""

from __future__ import annotations

from dataclasses import replace

import pytest

from stompconsole.brokers import BrokerKind, NackMeans, Wanted, dialect_for


@pytest.mark.parametrize(
    ("server", "kind"),
    [
        ("RabbitMQ/3.10.8", BrokerKind.RABBITMQ),
        ("ActiveMQ/5.17.2", BrokerKind.ACTIVEMQ),
        ("ActiveMQ/6.3.1", BrokerKind.ACTIVEMQ),
        ("ActiveMQ-Artemis/2.44.0 ActiveMQ Artemis Messaging Engine", BrokerKind.ARTEMIS),
        ("", BrokerKind.GENERIC),
        ("stompconsole-devbroker/0.1.0", BrokerKind.GENERIC),
    ],
)
def test_the_greeting_names_the_dialect(server: str, kind: BrokerKind) -> None:
    assert dialect_for("auto", server).kind is kind


def test_a_kind_set_by_hand_wins_over_the_greeting() -> None:
    assert dialect_for("activemq", "RabbitMQ/3.10.8").kind is BrokerKind.ACTIVEMQ


def test_no_dialect_ever_sends_persistent_false() -> None:
    for kind in BrokerKind:
        assert dialect_for(kind, "").send_headers("/queue/a")["persistent"] == "true"


def test_prefetch_is_said_in_each_brokers_own_header() -> None:
    wanted = Wanted(destination="/queue/a", prefetch=7)
    assert dialect_for("rabbitmq", "").subscribe(wanted).headers == {"prefetch-count": "7"}
    assert dialect_for("activemq", "").subscribe(wanted).headers == {"activemq.prefetchSize": "7"}
    assert dialect_for("artemis", "").subscribe(replace(wanted, prefetch=1)).headers == {
        "subscription-type": "ANYCAST",
        "consumer-window-size": "1",
    }


def test_artemis_is_told_queue_or_topic_on_both_frames() -> None:
    artemis = dialect_for("artemis", "")
    assert artemis.send_headers("/topic/a")["destination-type"] == "MULTICAST"
    topic = Wanted(destination="/topic/a", prefetch=10)
    assert artemis.subscribe(topic).headers["subscription-type"] == "MULTICAST"


def test_where_a_brokers_own_dead_letter_came_from_is_read_from_its_headers() -> None:
    assert dialect_for("rabbitmq", "").origin({"x-first-death-queue": "orders"}) == "/queue/orders"
    assert dialect_for("activemq", "").origin({"original-destination": "/queue/orders"}) == "/queue/orders"
    assert dialect_for("artemis", "").origin({"_AMQ_ORIG_ADDRESS": "orders"}) == "orders"
    assert dialect_for("generic", "").origin({"x-first-death-queue": "orders"}) == ""


def test_a_queue_declared_by_someone_else_is_used_without_declaring_it() -> None:
    error = (
        "precondition_failed: PRECONDITION_FAILED - inequivalent arg 'x-dead-letter-exchange' for queue 'orders' "
        "in vhost '/': received none but current is the value '' of type 'longstr'"
    )
    rabbitmq = dialect_for("rabbitmq", "")
    assert rabbitmq.undeclared("/queue/orders", error) == "/amq/queue/orders"
    assert rabbitmq.undeclared("/queue/other", error) is None
    assert rabbitmq.undeclared("/queue/orders", "access_refused") is None
    assert dialect_for("activemq", "").undeclared("/queue/orders", error) is None


def test_each_broker_says_what_nack_does_to_a_message() -> None:
    means = {kind: dialect_for(kind, "").nack_means for kind in ("rabbitmq", "activemq", "artemis")}
    assert means == {
        "rabbitmq": NackMeans.REQUEUED,
        "activemq": NackMeans.DEAD_LETTERED,
        "artemis": NackMeans.LOST,
    }


class TestArtemis:
    """What Artemis has to be told otherwise than others."""

    artemis = dialect_for("artemis", "")

    @pytest.mark.parametrize(
        ("destination", "route"),
        [
            ("/queue/a", {"destination": "/queue/a", "destination-type": "ANYCAST"}),
            ("a", {"destination": "a", "destination-type": "ANYCAST"}),
            ("/topic/a", {"destination": "/topic/a", "destination-type": "MULTICAST"}),
            ("a::b", {"destination": "a::b"}),
            ("/queue/Consumer.A.VirtualTopic.x", {"destination": "/topic/VirtualTopic.x::Consumer.A.VirtualTopic.x"}),
            ("Consumer.A.VirtualTopic.x", {"destination": "VirtualTopic.x::Consumer.A.VirtualTopic.x"}),
        ],
    )
    def test_a_send_says_queue_or_topic_unless_it_names_a_queue_of_an_address(
        self, destination: str, route: dict[str, str]
    ) -> None:
        assert self.artemis.route(destination) == route

    def test_a_virtual_topic_s_queue_is_one_on_the_topic_s_address(self) -> None:
        frame = self.artemis.subscribe(Wanted(destination="/queue/Consumer.A.VirtualTopic.x", prefetch=1))

        assert frame.destination == "/topic/VirtualTopic.x::Consumer.A.VirtualTopic.x"
        assert frame.headers["subscription-type"] == "MULTICAST"

    def test_its_window_is_in_bytes_and_there_is_none_where_nothing_is_acked(self) -> None:
        wanted = Wanted(destination="/queue/a", prefetch=100)

        assert self.artemis.subscribe(wanted).headers["consumer-window-size"] == str(100 * 2_048)
        assert "consumer-window-size" not in self.artemis.subscribe(replace(wanted, ack="auto")).headers
        # Taken for so many bytes there.
        assert "activemq.prefetchSize" not in self.artemis.subscribe(wanted).headers

    @pytest.mark.parametrize("name", ["orders.*", "*", "#", "/queue/orders.#", "/queue/*.orders"])
    def test_queues_by_a_pattern_are_refused(self, name: str) -> None:
        assert "no queues by a pattern" in self.artemis.refuses(name)

    @pytest.mark.parametrize("name", ["/topic/prices.*", "/topic/prices.#", "/queue/a*b", "/queue/orders", "orders"])
    def test_topics_by_a_pattern_are_not(self, name: str) -> None:
        assert self.artemis.refuses(name) == ""

    def test_names_that_would_mean_something_else_are_refused_with_the_spelling_that_works(self) -> None:
        assert "name the queue alone" in self.artemis.refuses("/queue/a::b")
        assert "would be part of it" in self.artemis.refuses("/queue/a?consumer.prefetchSize=2")

    @pytest.mark.parametrize(
        "name",
        [
            "destination-type", "expires", "timestamp", "receipt", "transaction", "_AMQ_DUPL_ID", "_AMQ_ORIG_ADDRESS",
            "_AMQ_ORIG_QUEUE", "_AMQ_ACTUAL_EXPIRY", "_AMQ_LARGE_SIZE", "_AMQ_SCHED_DELIVERY", "__AMQ_CID",
            "NATIVE_MESSAGE_ID", "JMS_AMQP_HEADER",
        ],
    )  # fmt: skip
    def test_what_it_makes_or_leaks_is_not_sent_again(self, name: str) -> None:
        assert self.artemis.resend_headers({name: "1", "x-mine": "2"}) == {"x-mine": "2"}

    def test_the_group_of_a_message_is_sent_again(self) -> None:
        assert self.artemis.resend_headers({"_AMQ_GROUP_ID": "g"}) == {"_AMQ_GROUP_ID": "g"}

    def test_the_stable_id_is_the_message_s_own_number_at_the_time_it_was_sent(self) -> None:
        again = [{"message-id": f"{consumer},2529", "timestamp": "17"} for consumer in (2552, 3011)]
        after_its_data_were_lost = {"message-id": "5,2529", "timestamp": "18"}

        assert self.artemis.stable_id(again[0]) == self.artemis.stable_id(again[1])
        assert self.artemis.stable_id(again[0]) != self.artemis.stable_id(after_its_data_were_lost)
        assert self.artemis.stable_id({}) == ""

    def test_the_queue_of_a_durable_subscription_is_called_by_client_id_and_name(self) -> None:
        wanted = Wanted(destination="/topic/prices", prefetch=1, subscriber="app-listener")

        assert self.artemis.own_address(wanted) == "/topic/prices::app-listener.app-listener"
        assert "in the queue app-listener.app-listener" in self.artemis.keeps(wanted)
        assert self.artemis.keeps(Wanted(destination="/topic/prices", prefetch=1)) == ""
