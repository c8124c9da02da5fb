"""Dead letters from a shell: the same filters and the same audit as on the pages."""

from __future__ import annotations

import io
import json
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import override_settings
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stompconsole.deadletters import exchange
from stompconsole.deadletters.filters import MAX_GROUPS
from stompconsole.deadletters.trying.engine import TrialEngine
from stompconsole.models import AuditEntry, Consumer, DeadLetter, Failure, FailureGroup, Replay
from tests.deadletters.dumping import dumped
from tests.deadletters.engines import running_engine
from tests.deadletters.making import Captures, died, make_consumer, make_dead_letters, tallied
from tests.deadletters.trials import allowed

pytestmark = pytest.mark.django_db(transaction=True)


def run(*arguments: str) -> str:
    out = io.StringIO()
    call_command("deadletters", *arguments, stdout=out, stderr=io.StringIO())
    return out.getvalue()


def told(*arguments: str) -> Any:
    return json.loads(run(*arguments, "--json"))


@pytest.fixture
def _some() -> None:
    consumer = make_consumer(name="orders")
    failing = died(consumer="orders", error_type="KeyError")
    Captures(consumer).give(
        (failing, b'{"order": 1}'),
        (died(consumer="orders", error_type="TimeoutError"), b'{"order": 2}'),
        (died(consumer="orders", error_type="TimeoutError"), b"\xff\x00"),
    )


@pytest.mark.usefixtures("_some")
def test_a_list_takes_the_filters_of_the_page() -> None:
    listed = told("list", "--error-type", "TimeoutError", "--text", "json:order=2")
    assert (listed["total"], [line["consumer"] for line in listed["dead_letters"]]) == (1, ["orders"])
    assert "3 of 3" in run("list")
    assert "0 of 0" in run("list", "--state", "discarded")


@pytest.mark.usefixtures("_some")
def test_what_is_scheduled_is_listed_by_its_state_and_exported_with_its_due_time(tmp_path: Path) -> None:
    at = datetime(2030, 1, 1, tzinfo=UTC)
    parked = died(consumer="orders", due_at=at, retry_step=1)
    Captures(make_consumer()).give((parked, b"{}"))
    listed = told("list", "--state", "scheduled")
    assert (listed["total"], listed["dead_letters"][0]["due_at"]) == (1, "2030-01-01T00:00:00Z")
    assert "3 of 3" in run("list"), "it is not dead"
    run("export", str(tmp_path / "out"), "--state", "scheduled")
    assert json.loads((tmp_path / "out").read_text())["due_at"] == "2030-01-01T00:00:00Z"
    assert "0 dead letters would be discarded" in run("discard", "--state", "scheduled", "--dry-run")


def _parked(*errors: str) -> None:
    at = datetime(2030, 1, 1, tzinfo=UTC)
    captures = Captures(make_consumer(name="orders"))
    captures.give(*((died(consumer="orders", error_type=error, due_at=at, retry_step=1), b"{}") for error in errors))


def test_retries_are_sent_now_or_cancelled_by_the_filters_and_audited() -> None:
    _parked("KeyError", "TimeoutError", "TimeoutError")
    assert told("send-now", "--error-type", "TimeoutError", "--dry-run")["count"] == 2
    assert "3 retries would be cancelled. Nothing was changed." in run("cancel", "--dry-run")
    assert not AuditEntry.objects.exists()

    sent = told("send-now", "--error-type", "TimeoutError")
    assert sent == {"count": 2, "skipped": 0, "replay": Replay.objects.get().pk}
    assert "1 retry cancelled." in run("cancel", "--consumer", "orders")
    states = DeadLetter.objects.order_by("error_type").values_list("error_type", "state")
    assert list(states) == [("KeyError", "dead"), ("TimeoutError", "replaying"), ("TimeoutError", "replaying")]
    actors = AuditEntry.objects.order_by("pk").values_list("action", "actor_name")
    assert [action for action, _ in actors] == ["retries sent now", "retries cancelled"]
    assert all(name.endswith("at a shell") for _, name in actors)


@pytest.mark.parametrize("act", ["send-now", "cancel"])
def test_retries_that_are_not_there_are_left_alone(act: str) -> None:
    assert "0 retries would be" in run(act)
    with pytest.raises(CommandError, match="'dead': what waits for its retry is scheduled"):
        run(act, "--state", "dead")
    assert not AuditEntry.objects.exists()


@pytest.mark.usefixtures("_some")
def test_one_is_shown_whole() -> None:
    row = DeadLetter.objects.get(error_type="KeyError")
    shown = told("show", str(row.pk))
    assert (shown["body"], shown["failures"][0]["error_type"]) == ('{"order": 1}', "KeyError")
    assert "error type: KeyError" in run("show", str(row.pk))


@pytest.mark.usefixtures("_some")
def test_groups_are_listed_largest_first() -> None:
    assert [heap["dead"] for heap in told("groups")] == [2, 1]
    assert told("groups", "--by", "consumer") == [{"label": "orders", "dead": 3, "total": 3}]
    assert "TimeoutError" in run("groups").splitlines()[0]


@pytest.mark.usefixtures("_some")
@pytest.mark.parametrize("act", ["replay", "discard"])
def test_a_dry_run_counts_and_changes_nothing(act: str) -> None:
    counted = told(act, "--error-type", "TimeoutError", "--dry-run")
    assert (counted["count"], counted["by_error"], counted["changed"]) == (2, {"TimeoutError": 2}, False)
    assert set(DeadLetter.objects.values_list("state", flat=True)) == {"dead"}
    assert "Nothing was changed" in run(act, "--dry-run")


def test_what_a_dry_run_does_not_list_it_counts() -> None:
    consumer = make_consumer()
    for number in range(MAX_GROUPS + 2):
        make_dead_letters(consumer, 1, error_type=f"Error{number:02}", origin=f"/queue/{number:02}")
    assert "2  other errors" in run("discard", "--dry-run")
    counted = told("discard", "--dry-run")
    assert (counted["other_errors"], counted["other_origins"], len(counted["by_error"])) == (2, 2, MAX_GROUPS)


@pytest.mark.usefixtures("_some")
def test_a_replay_goes_by_a_plan_and_names_who_asked_for_it() -> None:
    answer = told(
        "replay", "--error-type", "TimeoutError", "--rate", "5", "--canary", "1,5", "--reason", "ledger is back"
    )
    replay = Replay.objects.get(pk=answer["replay"])
    assert (replay.total, replay.rate, replay.canary, replay.reason) == (2, 5.0, [1, 5], "ledger is back")
    entry = AuditEntry.objects.get(action="replay created")
    assert entry.actor_name.endswith(" at a shell")


@pytest.mark.usefixtures("_some")
def test_a_discard_says_how_many() -> None:
    assert told("discard", "--consumer", "orders")["discarded"] == 3
    assert "0 dead letters would be discarded" in run("discard")


@pytest.mark.usefixtures("_some")
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["list", "--group", "x"], "no id of a failure group"),
        (["list", "--text", "attempts:many"], "is no number"),
        (["list", "--state", "alive"], "is none of"),
        (["show", "7"], "is no id"),
        (["show", str(uuid.UUID(int=7))], "there is no dead letter"),
        (["replay", "--rate", "fast"], "--rate: 'fast' is no rate"),
        (["import", "/nowhere/at/all"], "/nowhere/at/all"),
        (["export", "/nowhere/at/all"], "/nowhere/at/all"),
    ],
)
def test_what_makes_no_sense_is_told(arguments: list[str], words: str) -> None:
    with pytest.raises(CommandError, match=words):
        run(*arguments)
    assert not Replay.objects.exists()


@pytest.mark.usefixtures("_some")
def test_what_was_exported_and_deleted_is_imported_as_it_was(tmp_path: Path) -> None:
    before = {row.pk: exchange.as_dict(row) for row in DeadLetter.objects.all()}
    counts = tallied()
    file = str(tmp_path / "letters.ndjson")
    run("export", file, "--state", "all")
    assert "0 dead letters; 3 were there already" in run("import", file)
    DeadLetter.objects.all().delete()
    FailureGroup.objects.all().delete()
    assert told("import", file) == {"created": 3, "known": 0, "problems": []}
    assert {row.pk: exchange.as_dict(row) for row in DeadLetter.objects.all()} == before
    assert {(cell.state, count) for cell, count in tallied().items()} == {
        (cell.state, count) for cell, count in counts.items()
    }
    assert Failure.objects.count() == 3
    assert AuditEntry.objects.filter(action="dead letters imported").count() == 1


def test_lines_that_can_not_be_read_are_named_and_the_others_stored(tmp_path: Path) -> None:
    good = {"id": str(uuid.uuid4()), "failed_at": "2026-01-01T00:00:00Z", "body": "x", "consumer": "gone"}
    bad = [
        "{",
        "[]",
        json.dumps({**good, "id": "7"}),
        json.dumps({**good, "failed_at": "yesterday"}),
        json.dumps({**good, "headers": {"a": 1}}),
        json.dumps({**good, "attempts": "many"}),
        json.dumps({**good, "body_base64": "%"}),
        json.dumps({**good, "failures": [1]}),
        "[" * 50_000,
    ]
    file = tmp_path / "letters.ndjson"
    file.write_text("\n".join(["", *bad, json.dumps(good)]))
    with pytest.raises(CommandError, match="9 lines could not be read"):
        run("import", str(file))
    row = DeadLetter.objects.get()
    assert (row.consumer_name, row.state, bytes(row.body)) == ("gone", "dead", b"x")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@pytest.mark.long
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(JSON)
def test_any_json_is_read_or_told(value: Any) -> None:
    done = exchange.read([json.dumps(value)], actor=None)
    assert done.created or done.problems


@pytest.mark.slow
@pytest.mark.usefixtures("_some")
def test_a_replay_from_a_shell_edits_what_it_sends() -> None:
    edits = ("--set-header", "fixed=yes", "--set-json", 'sku="A"', "--remove-json", "order", "--remove-header", "old")
    dry = run("replay", *edits, "--dry-run")
    assert "Of 3 that were looked at 2 would be edited, 0 stay as they are, 1 can't be edited" in dry
    assert "no UTF-8 text" in dry
    run("replay", *edits)
    assert [edit["act"] for edit in Replay.objects.get().edits] == [
        "set header",
        "remove header",
        "set json",
        "remove json",
    ]


@pytest.mark.parametrize(
    ("edit", "told"),
    [
        (("--set-header", "fixed"), "write --set-header NAME=VALUE"),
        (("--set-json", "sku=A"), "no JSON"),
        (("--set-header", "destination=x"), "is locked"),
    ],
)
def test_an_edit_that_makes_no_sense_is_told_in_the_shell(edit: tuple[str, str], told: str) -> None:
    with pytest.raises(CommandError, match=told):
        run("replay", *edit)


def test_stored_rows_are_redacted_by_the_rules_now_in_force() -> None:
    consumer = make_consumer(name="orders")
    Captures(consumer).give(
        (died(consumer="orders"), b'{"pin": "hunter2"}'), (died(consumer="orders"), b'{"pin": null}')
    )
    DeadLetter.objects.update(state="discarded")
    Consumer.objects.update(redact="$.pin")
    assert "1 dead letters would be redacted. Nothing was changed." in run("redact", "--dry-run")
    assert told("redact", "--dry-run") == {"seen": 2, "redacted": 1, "changed": False}
    assert told("redact", "--consumer", "nobody") == {"seen": 0, "redacted": 0, "changed": True}
    assert told("redact", "--consumer", "orders") == {"seen": 2, "redacted": 1, "changed": True}
    assert "hunter2" not in dumped()
    entry = AuditEntry.objects.get(action="dead letters redacted")
    assert "at a shell" in entry.actor_name
    assert "Redacted 0 of 2 dead letters." in run("redact")


def test_what_can_not_be_redacted_ends_the_command_with_an_error() -> None:
    consumer = make_consumer(name="orders", redact="$.pin")
    Captures(consumer).give((died(consumer="orders"), b'{"pin": "hunter2", "name": "x-y-z"}'))
    Consumer.objects.update(redact="$.name")
    with override_settings(SECRET_KEY="another"), pytest.raises(CommandError, match="1 dead letters could not"):
        run("redact")


@pytest.mark.long
@pytest.mark.usefixtures("_some")
def test_handlers_are_tried_from_a_shell(monkeypatch: pytest.MonkeyPatch) -> None:
    Consumer.objects.update(handler="tests.deadletters.tried.passes", codec="bytes")
    with allowed(monkeypatch), running_engine(TrialEngine):
        found = told("try", "--limit", "2", "--wait")
        assert (found["state"], found["result"], len(found["items"])) == ("done", "2 of 2 would pass now.", 2)
        assert "1 of 1 would pass now." in run("try", "--error-type", "KeyError", "--wait")
        assert "a worker carries it out" in run("try")
        with pytest.raises(CommandError, match="nothing to try"):
            run("try", "--consumer", "nobody")
    with pytest.raises(CommandError, match="TRY_HANDLERS"):
        run("try")
