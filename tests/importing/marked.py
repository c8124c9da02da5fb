"""A handler that is marked, in a module that no ``handlers.py`` imports: no worker would find it."""

from __future__ import annotations

from typing import Any

import stompconsole


@stompconsole.handler
def marked(payload: Any) -> None:
    """Is only known once this module is imported."""
