"""Migrations on PostgreSQL."""

from __future__ import annotations

import psycopg
import pytest

from stompconsole.deadletters import portions, replay_rows, selection
from stompconsole.models import Replay, ReplayFlight, ReplayState
from tests.deadletters.making import make_consumer, make_dead_letters
from tests.support.databases import migrate, postgres_database
from tests.support.servers import TestServer


def test_migrations_go_forth_and_back_and_forth(postgres: TestServer) -> None:
    with postgres_database(postgres) as url:
        assert "Applying stompconsole.0001_initial" in migrate(url)
        assert "Unapplying stompconsole.0001_initial" in migrate(url, "stompconsole", "zero")
        assert "Applying stompconsole.0001_initial" in migrate(url)
        migrate(url, "--check")


def test_the_index_of_all_headers_makes_way_for_that_of_searched_ones_and_comes_back(postgres: TestServer) -> None:
    whole, searched = "stompconsole_deadletter_headers", "stompconsole_deadletter_searched_headers"
    with postgres_database(postgres) as url, psycopg.connect(url, autocommit=True) as session:

        def indexes() -> set[str]:
            return {name for (name,) in session.execute("SELECT indexname FROM pg_indexes")} & {whole, searched}

        migrate(url)
        assert indexes() == {searched}
        migrate(url, "stompconsole", "0006")
        assert indexes() >= {whole}
        migrate(url)
        assert indexes() == {searched}


def test_what_is_large_is_compressed_by_lz4_where_the_server_has_it(postgres: TestServer) -> None:
    with postgres_database(postgres) as url, psycopg.connect(url, autocommit=True) as session:

        def compressed() -> set[str]:
            found = session.execute("SELECT attname FROM pg_attribute WHERE attcompression = 'l'")
            return {name for (name,) in found}

        [(methods,)] = session.execute("SELECT enumvals FROM pg_settings WHERE name = 'default_toast_compression'")
        migrate(url)
        large = {"body", "document", "headers", "sealed", "search_text", "error_message", "traceback"}
        assert compressed() == (large if "lz4" in methods else set())
        migrate(url, "stompconsole", "0007")
        assert compressed() == set()


@pytest.mark.django_db(transaction=True)
def test_what_a_worker_had_begun_stays_in_doubt_forth_and_back(postgres_rows: str) -> None:
    letters = make_dead_letters(make_consumer(), 5)
    replay = selection.replay_selected([letter.pk for letter in letters], actor=None).replay
    assert replay is not None
    Replay.objects.update(state=ReplayState.RUNNING)
    first, second = (portions.portion(replay.pk, 0, (), most=most).outgoing for most in (2, 3))
    replay_rows.begin(replay.pk, first)
    replay_rows.begin(replay.pk, second[2:])
    replay_rows.record(replay.pk, [second[0].dead_letter_id], [])
    migrate(postgres_rows, "stompconsole", "0008")
    with psycopg.connect(postgres_rows, autocommit=True) as session:
        begun = session.execute("SELECT id FROM stompconsole_replayitem WHERE begun_at IS NOT NULL ORDER BY id")
        assert [pk for (pk,) in begun] == [message.item_id for message in second[1:]]
    migrate(postgres_rows)
    [flight] = ReplayFlight.objects.all()
    assert (flight.replay, flight.item_ids) == (replay, [message.item_id for message in second[1:]])
