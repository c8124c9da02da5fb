"""A database full of dead letters, written by SQL alone: what pages and plans are timed on.

Five hundred failure groups of twenty consumers over a fortnight; half of the letters are in five groups. One in ten was
processed by one large replay, one in twenty is discarded, the rest is dead.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

CONSUMERS = 20
GROUPS = 500
DAYS = 14
LARGE = 5
"""Groups that hold half of all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sql:
    """How a database spells what the statements here need."""

    series: str
    new_id: str
    at: str
    day: str
    blob: str
    json: str


_SQL = {
    "postgresql": Sql(
        series="generate_series(0, {count} - 1) AS s(n)",
        new_id="gen_random_uuid()",
        at="now() - (s.n * {step}) * interval '1 second'",
        day="((now() - (s.n * {step}) * interval '1 second') AT TIME ZONE 'UTC')::date",
        blob="convert_to({text}, 'UTF8')",
        json="({text})::jsonb",
    ),
    "sqlite": Sql(
        series="(WITH RECURSIVE c(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM c WHERE n + 1 < {count}) SELECT n FROM c)"
        " AS s",
        new_id="lower(hex(randomblob(16)))",
        at="strftime('%%Y-%%m-%%d %%H:%%M:%%f', 'now', '-' || (s.n * {step}) || ' seconds') || '000'",
        day="strftime('%%Y-%%m-%%d', 'now', '-' || (s.n * {step}) || ' seconds')",
        blob="CAST({text} AS BLOB)",
        json="{text}",
    ),
}

# In brackets throughout: SQLite's || binds tighter than its arithmetic.
_GROUP = f"(CASE WHEN s.n %% 2 = 0 THEN (s.n / 2) %% {LARGE} ELSE (s.n / 2) %% {GROUPS} END)"
_STATE = "(CASE WHEN s.n %% 10 = 3 THEN 'processed' WHEN s.n %% 20 = 1 THEN 'discarded' ELSE 'dead' END)"
_BODY = (
    """'{"order": {"id": ' || s.n || '}, "customer": "c-' || (s.n %% 5000) || '", "note": "' || '"""
    + "x" * 200
    + """' || '"}'"""
)
_HEADERS = (
    """'{"tenant": "t-' || (s.n %% 100) || '", "order": "o-' || s.n || '", "content-type": "application/json"}'"""
)


def fill(count: int) -> None:
    """``count`` dead letters and all that belongs to them."""
    from django.db import connection, transaction

    from stompconsole.deadletters import tallies
    from stompconsole.models import postgres

    sql = _SQL[connection.vendor]
    step = timedelta(days=DAYS).total_seconds() / count
    with transaction.atomic():
        first_consumer, first_group = _owners()
        with connection.cursor() as cursor:
            _insert(cursor, _letters(sql, first_consumer, first_group), sql, count, step)
            cursor.execute(
                "INSERT INTO stompconsole_failure (id, dead_letter_id, at, error_type, error_message, traceback,"
                f" handler, worker, attempts) SELECT {sql.new_id}, id, failed_at, error_type, error_message, traceback,"
                " handler, worker, attempts FROM stompconsole_deadletter"
            )
            cursor.execute(
                "INSERT INTO stompconsole_grouphour (group_id, hour, count) SELECT group_id, hour, count(*) FROM ("
                f"SELECT group_id, {_HOUR[connection.vendor]} AS hour FROM stompconsole_deadletter) hours"
                " GROUP BY group_id, hour"
            )
        tallies.recount()
        _replayed(first_group)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
    # As housekeeping does every minute.
    postgres.merge_what_is_pending(connection)


_HOUR = {
    "postgresql": "date_trunc('hour', failed_at)",
    "sqlite": "strftime('%Y-%m-%d %H:00:00', failed_at)",
}


def _insert(cursor: Any, values: dict[str, str], sql: Sql, count: int, step: float) -> None:
    columns, selected = ", ".join(f'"{name}"' for name in values), ", ".join(values.values())
    source = sql.series.format(count=count)
    statement = f"INSERT INTO stompconsole_deadletter ({columns}) SELECT {selected} FROM {source}"
    cursor.execute(statement.replace("{step}", repr(step)).replace("%%", "%"))


def _letters(sql: Sql, first_consumer: int, first_group: int) -> dict[str, str]:
    """What stands in each column of a dead letter that has no default."""
    from stompconsole.models import DeadLetter

    body, group = _BODY, _GROUP
    own = {
        "id": sql.new_id,
        "consumer_id": f"{first_consumer} + ({group} %% {CONSUMERS})",
        "consumer_name": f"'consumer-' || ({group} %% {CONSUMERS})",
        "group_id": f"{first_group} + {group}",
        "day": sql.day,
        "state": _STATE,
        "state_at": sql.at,
        "origin": f"'/queue/consumer-' || ({group} %% {CONSUMERS})",
        "destination": f"'/queue/DLQ.consumer-' || ({group} %% {CONSUMERS})",
        "message_id": "'T_1@@session-' || s.n",
        "correlation_id": "'corr-' || s.n",
        "content_type": "'application/json'",
        "headers": sql.json.replace("{text}", _HEADERS),
        "body": sql.blob.replace("{text}", body),
        "body_size": "300",
        "search_text": f"{body} || 'orders.errors.Error' || {group}",
        "document": sql.json.replace("{text}", body),
        "error_type": f"'orders.errors.Error' || ({group} %% 50)",
        "error_message": "'line ' || s.n || ' has no price'",
        "traceback": "'Traceback (most recent call last): File \"/srv/shop/orders/handlers.py\", line 42'",
        "handler": "'orders.handlers.price_of'",
        "worker": "'web-' || (s.n %% 4) || ':4121'",
        "attempts": "1 + s.n %% 3",
        "replays": "(CASE WHEN s.n %% 10 = 3 THEN 1 ELSE 0 END)",
        "first_failed_at": sql.at,
        "failed_at": sql.at,
        "captured_at": sql.at,
    }
    rest = [field for field in DeadLetter._meta.concrete_fields if field.column not in own]  # noqa: SLF001
    return {**own, **{str(field.column): _literal(field.get_default()) for field in rest}}


def _literal(value: object) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, bool):
        return str(value)
    return str(value) if isinstance(value, int) else f"'{value}'"


def _owners() -> tuple[int, int]:
    """Consumers and groups; the ids of the first of each, which those of the others follow."""
    from django.utils import timezone

    from stompconsole.models import Broker, Consumer, FailureGroup

    broker = Broker.objects.create(name="bench", host="127.0.0.1", port=1)
    consumers = [
        Consumer.objects.create(
            name=f"consumer-{number}",
            broker=broker,
            destination=f"/queue/consumer-{number}",
            handler="orders.handlers.x",
        )
        for number in range(CONSUMERS)
    ]
    now = timezone.now()
    groups = FailureGroup.objects.bulk_create(
        FailureGroup(
            key=f"{number:040x}",
            consumer=consumers[number % CONSUMERS],
            consumer_name=f"consumer-{number % CONSUMERS}",
            error_type=f"orders.errors.Error{number % 50}",
            message="line … has no price",
            place=f"orders/handlers.py in part_{number}",
            first_failed_at=now - timedelta(days=DAYS),
            last_failed_at=now,
        )
        for number in range(GROUPS)
    )
    return consumers[0].pk, groups[0].pk


def _replayed(first_group: int) -> None:
    """One large replay that is done, with an item for each letter that was processed."""
    from django.db import connection
    from django.utils import timezone

    from stompconsole.models import FailureGroup, Replay, ReplayItem

    replay = Replay.objects.create(state="done", selection="dead letters", finished_at=timezone.now())
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO stompconsole_replayitem (replay_id, dead_letter_id, state, active, note, group_id, doubtful,"
            " sent_at, outcome_at) SELECT %s, id, 'processed', %s, '', group_id, %s, failed_at, failed_at"
            " FROM stompconsole_deadletter WHERE state = 'processed'",
            [replay.pk, False, False],
        )
    Replay.objects.filter(pk=replay.pk).update(total=ReplayItem.objects.count())
    FailureGroup.objects.filter(pk__lt=first_group + LARGE).update(last_replay=replay)
