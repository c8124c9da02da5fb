"""Fails while it is imported."""

from __future__ import annotations

raise RuntimeError("no ledger today")
