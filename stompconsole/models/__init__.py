"""The rows: definitions, leases and status, throughput, dead letters, replays, the audit."""

from __future__ import annotations

from stompconsole.delivery.specs import LONGEST_HELD_S, AckMode, Codec, DeadLetterVia, Purpose, SubscriptionState
from stompconsole.models import lookups as lookups
from stompconsole.models.audit import AuditEntry
from stompconsole.models.broker import Broker
from stompconsole.models.broker_letters import BrokerBrowse, BrokerReplay, ErrandState
from stompconsole.models.consumer import Consumer
from stompconsole.models.deadletter import DeadLetter, DeadLetterState, Failure
from stompconsole.models.depth import QueueDepth
from stompconsole.models.group import Expected, FailureGroup, GroupHour, LetterTally
from stompconsole.models.replay import LetterEdit, Replay, ReplayFlight, ReplayItem, ReplayItemState, ReplayState
from stompconsole.models.sample import HandledSample
from stompconsole.models.subscription import Subscription, open_breakers
from stompconsole.models.throughput import ThroughputBucket
from stompconsole.models.trial import Trial, TrialItem, TrialItemState, TrialState
from stompconsole.models.worker import Worker, WorkerState, living_workers

__all__ = [
    "LONGEST_HELD_S",
    "AckMode",
    "AuditEntry",
    "Broker",
    "BrokerBrowse",
    "BrokerReplay",
    "Codec",
    "Consumer",
    "DeadLetter",
    "DeadLetterState",
    "DeadLetterVia",
    "ErrandState",
    "Expected",
    "Failure",
    "FailureGroup",
    "GroupHour",
    "HandledSample",
    "LetterEdit",
    "LetterTally",
    "Purpose",
    "QueueDepth",
    "Replay",
    "ReplayFlight",
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
    "living_workers",
    "open_breakers",
]
