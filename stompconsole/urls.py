"""The console's URLs: ``path("console/", include("stompconsole.urls"))``."""

from __future__ import annotations

from django.urls import path, re_path

from stompconsole.dashboard.views import (
    audit,
    broker_letters,
    bulk_editing,
    consumers,
    dead_letters,
    discarding,
    editing,
    groups,
    nowhere,
    overview,
    probes,
    replays,
    scheduling,
    steering,
    trials,
    workers,
)
from stompconsole.dashboard.views.streaming import stream

app_name = "stompconsole"

urlpatterns = [
    path("", overview.overview, name="overview"),
    path("consumers/<slug:name>/", consumers.consumer, name="consumer"),
    path("consumers/<slug:name>/pause/", consumers.pause, name="consumer-pause"),
    path("consumers/<slug:name>/resume/", consumers.resume, name="consumer-resume"),
    path("consumers/<slug:name>/try/", consumers.try_now, name="consumer-try"),
    path("consumers/<slug:name>/broker-letters/", broker_letters.broker_letters_of, name="broker-letters"),
    path("consumers/<slug:name>/broker-letters/look/", broker_letters.look, name="broker-letters-look"),
    path("consumers/<slug:name>/broker-letters/replay/", broker_letters.replay, name="broker-letters-replay"),
    path("consumers/<slug:name>/broker-letters/<int:pk>/cancel/", broker_letters.cancel, name="broker-letters-cancel"),
    path("broker-letters/", broker_letters.all_of_them, name="broker-letters-all"),
    path("dead-letters/", dead_letters.dead_letters, name="dead-letters"),
    path("dead-letters/discard/", discarding.discard, name="discard"),
    path("dead-letters/undo/", discarding.undo, name="undo"),
    path("dead-letters/send-now/", scheduling.send_now, name="retries-send"),
    path("dead-letters/cancel/", scheduling.cancel, name="retries-cancel"),
    path("dead-letters/restore/", scheduling.restore, name="retries-restore"),
    path("dead-letters/<uuid:pk>/", dead_letters.dead_letter, name="dead-letter"),
    path("dead-letters/<uuid:pk>/edit/", editing.edit, name="dead-letter-edit"),
    path("dead-letters/<uuid:pk>/body/", dead_letters.dead_letter_body, name="dead-letter-body"),
    path("dead-letters/<uuid:pk>/edited/<int:item>/", bulk_editing.edited, name="dead-letter-edited"),
    path("groups/", groups.groups, name="groups"),
    path("groups/<int:pk>/", groups.group, name="group"),
    path("groups/<int:pk>/tend/", groups.tend, name="group-tend"),
    path("replays/", replays.replays, name="replays"),
    path("replays/new/", replays.plan, name="replay-plan"),
    path("replays/new/edit/", bulk_editing.edit_many, name="replay-edit"),
    path("replays/<int:pk>/", replays.replay, name="replay"),
    path("replays/<int:pk>/pause/", steering.pause, name="replay-pause"),
    path("replays/<int:pk>/resume/", steering.resume, name="replay-resume"),
    path("replays/<int:pk>/rate/", steering.rate, name="replay-rate"),
    path("replays/<int:pk>/canary/", steering.end_canary, name="replay-end-canary"),
    path("replays/<int:pk>/cancel/", steering.cancel, name="replay-cancel"),
    path("trials/new/", trials.plan, name="trial-plan"),
    path("trials/<int:pk>/", trials.trial, name="trial"),
    path("trials/<int:pk>/cancel/", trials.cancel, name="trial-cancel"),
    path("workers/", workers.workers, name="workers"),
    path("audit/", audit.audit, name="audit"),
    path("stream/", stream, name="stream"),
    path("metrics", probes.metrics, name="metrics"),
    path("healthz", probes.healthz, name="healthz"),
    path("readyz", probes.readyz, name="readyz"),
    re_path(nowhere.PATTERN, nowhere.nowhere, name="nowhere"),
]
