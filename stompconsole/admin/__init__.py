"""Brokers, consumers and the audit in Django's admin: where definitions are written.

Owns forms, their checks and their advice. Refuses to talk to workers or brokers: a saved row is all they need.
"""

from __future__ import annotations

from stompconsole.admin.audit_entries import AuditEntryAdmin
from stompconsole.admin.brokers import BrokerAdmin
from stompconsole.admin.consumers import ConsumerAdmin

__all__ = ["AuditEntryAdmin", "BrokerAdmin", "ConsumerAdmin"]
