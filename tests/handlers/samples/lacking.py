"""Imports what is not there."""

from __future__ import annotations

import there_is_no_such_module  # type: ignore[import-not-found]

__all__ = ["there_is_no_such_module"]
