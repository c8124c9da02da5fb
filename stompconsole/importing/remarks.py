"""What whoever imports should know of a consumer that can be created, but not quite as it ran before."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from stompconsole.conf import StompSettings, settings_now
from stompconsole.importing.reading import Found
from stompconsole.models import Broker, Consumer, default_consumer
from stompconsole.models.names import looks_usual

BROKER_SETTINGS = ("STOMP_SERVER_HOST", "STOMP_SERVER_PORT")
GRACEFUL_WAIT = "STOMP_GRACEFUL_WAIT_SECONDS"


def possible_instances(row: Consumer, wanted: int) -> int:
    """How many of the processes that ran can be instances: on a topic each would get every message."""
    if not row.wanted.is_topic:
        return wanted
    if not row.wanted.is_durable:
        return 1
    return 1 if row.broker.pk and row.broker.dialect().cannot(row.wanted, wanted) else wanted


def about_number(row: Consumer, wanted: int) -> Iterator[str]:
    """Why there are fewer instances than there were processes."""
    if row.instances != wanted:
        yield (
            f"{wanted} of them were started. On a topic each would get every message, so it is one here;"
            " raise the instances if that is meant."
        )


def about_lines(lines: Sequence[Found], broker: Broker, stomp: StompSettings) -> Iterator[str]:
    """What the lines say that a row can't, or that can't be known from them."""
    yield from dict.fromkeys(remark for line in lines for remark in line.remarks)
    first = lines[0]
    for name in default_consumer.FIELDS_OF:
        if first.environment.get(name, "") is None:
            yield f"{name} can't be known from {first.place}: the project's own value is taken."
    for other in lines[1:]:
        names = [name for name in default_consumer.FIELDS_OF if _value(first, name) != _value(other, name)]
        if names:
            yield f"{other.place} sets {', '.join(names)} to something else: what {first.place} says is taken."
    given = [first.environment[name] for name in BROKER_SETTINGS if name in first.environment]
    if given and None not in given and (stomp.host, stomp.port) != (broker.host, broker.port):
        yield (
            f"it was started for {stomp.host}:{stomp.port}, and {broker.name} is {broker.host}:{broker.port}."
            " Import it by itself with --broker if that is another broker."
        )
    if GRACEFUL_WAIT in first.environment and stomp.graceful_wait_s != settings_now().graceful_wait_s:
        yield f"{GRACEFUL_WAIT} holds for a whole worker: set it where runworker is started."
    if not looks_usual(first.destination):
        yield "its destination begins with neither /queue/ nor /topic/: most brokers take that for a queue's name."


def about_neighbours(row: Consumer, neighbours: Iterable[Consumer]) -> Iterator[str]:
    """Whose dead letters go where another consumer takes its messages."""
    eater = taker(row, neighbours)
    if eater is not None:
        yield f"its dead letters are left to {eater.name}, which takes them: capture is off."
    for other in neighbours:
        if other.pk is not None and other.capture and other.dead_letters_go_to == row.destination:
            yield f"the dead letters of {other.name} are captured from there, and the two share them: switch that off."


def taker(row: Consumer, neighbours: Iterable[Consumer]) -> Consumer | None:
    """The consumer that takes this one's dead letters for its messages; None where they are captured."""
    return next((other for other in neighbours if other.destination == row.dead_letters_go_to), None)


def _value(line: Found, name: str) -> str | None:
    return line.environment.get(name)
