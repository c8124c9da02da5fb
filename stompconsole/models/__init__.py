"""The rows: definitions, leases and status, throughput, dead letters, replays, the audit."""

from __future__ import annotations

from stompconsole.delivery.specs import AckMode, Codec, DeadLetterVia, Purpose, SubscriptionState
from stompconsole.models.audit import AuditEntry
from stompconsole.models.broker import Broker
from stompconsole.models.consumer import Consumer
from stompconsole.models.deadletter import DeadLetter, DeadLetterState, Failure
from stompconsole.models.group import Expected, FailureGroup, GroupHour, LetterTally
from stompconsole.models.replay import LetterEdit, Replay, ReplayItem, ReplayItemState, ReplayState
from stompconsole.models.subscription import Subscription
from stompconsole.models.throughput import ThroughputBucket
from stompconsole.models.trial import Trial, TrialItem, TrialItemState, TrialState
from stompconsole.models.worker import Worker, WorkerState

__all__ = [
    "AckMode",
    "AuditEntry",
    "Broker",
    "Codec",
    "Consumer",
    "DeadLetter",
    "DeadLetterState",
    "DeadLetterVia",
    "Expected",
    "Failure",
    "FailureGroup",
    "GroupHour",
    "LetterEdit",
    "LetterTally",
    "Purpose",
    "Replay",
    "ReplayItem",
    "ReplayItemState",
    "ReplayState",
    "Subscription",
    "SubscriptionState",
    "ThroughputBucket",
    "Trial",
    "TrialItem",
    "TrialItemState",
    "TrialState",
    "Worker",
    "WorkerState",
]
