"""What starts processes, read for the ``pubsub`` commands in it. No Django, nothing is run, nothing is expanded.

The files of this folder are the kinds of file that are known.
"""

from __future__ import annotations

from stompconsole.importing.reading.files import read, read_path
from stompconsole.importing.reading.found import Found, Place, Problem, Reading

__all__ = ["Found", "Place", "Problem", "Reading", "read", "read_path"]
