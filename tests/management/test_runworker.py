"""The command line of ``runworker``: Channels' own, and ours for the channel ``stomp``."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from channels.layers import InMemoryChannelLayer
from django.core.exceptions import ImproperlyConfigured
from django.core.management import CommandError, call_command, get_commands
from django.test import override_settings

from stompconsole.management.commands import runworker
from stompconsole.worker.channels_worker import ChannelsWorker
from tests.support import processes


class Recorder(ChannelsWorker):
    """A worker that does not run."""

    made: list[Recorder] = []

    def run(self) -> None:
        Recorder.made.append(self)


@pytest.fixture(autouse=True)
def _recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runworker.Command, "worker_class", Recorder)
    Recorder.made.clear()


def test_our_command_stands_before_channels_own() -> None:
    assert get_commands()["runworker"] == "stompconsole"


def test_other_channels_get_the_default_application() -> None:
    call_command("runworker", "mails", "thumbnails")
    assert Recorder.made[0].channels == ["mails", "thumbnails"]
    assert Recorder.made[0].application is not None


@override_settings(ASGI_APPLICATION=None)
def test_stomp_alone_needs_no_application() -> None:
    call_command("runworker", "stomp")
    assert Recorder.made[0].channels == ["stomp"]
    with pytest.raises(ImproperlyConfigured):
        call_command("runworker", "stomp", "mails")


@override_settings(CHANNEL_LAYERS={})
def test_stomp_alone_needs_no_channel_layer() -> None:
    call_command("runworker", "stomp")
    assert isinstance(Recorder.made[0].channel_layer, InMemoryChannelLayer)
    for channels in (["stomp", "mails"], ["mails"]):
        with pytest.raises(CommandError, match="CHANNEL_LAYERS"):
            call_command("runworker", *channels)


@override_settings(CHANNEL_LAYERS={"other": {"BACKEND": "channels.layers.InMemoryChannelLayer"}})
def test_another_layer_can_be_chosen() -> None:
    call_command("runworker", "stomp", "--layer", "other")
    assert Recorder.made[0].channel_layer is not None


@pytest.mark.slow
def test_a_failure_ends_the_process_with_1_and_a_traceback(tmp_path: Path) -> None:
    environment = {
        "DATABASE_URL": f"sqlite:///{tmp_path / 'db.sqlite3'}",
        "DJANGO_SETTINGS_MODULE": "tests.worker.settings",
    }
    with processes.start_manage("migrate", env=environment) as migration:
        assert migration.wait(90) == 0
    with processes.start([sys.executable, "-m", "tests.management.dying"], env=environment) as process:
        assert process.wait(60) == 1
        assert "CRITICAL" in process.text()
        assert "Dying has failed: the worker ends" in process.text()
        assert "ZeroDivisionError: there is a bug in it" in process.text()
