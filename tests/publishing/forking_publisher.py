"""Sends with one publisher before and after a fork: ``python -m tests.publishing.forking_publisher <destination>``."""

from __future__ import annotations

import os
import sys

import django

if __name__ == "__main__":
    django.setup()

    from stompconsole import build_publisher

    (destination,) = sys.argv[1:]
    publisher = build_publisher()
    publisher.send("parent, before", destination)
    child = os.fork()
    if child == 0:
        publisher.send("child", destination)
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    publisher.send("parent, after", destination)
