"""Publishes before and after a fork: ``python -m tests.publishing.forking <broker> <destination>``."""

from __future__ import annotations

import os
import sys

import django

if __name__ == "__main__":
    django.setup()

    from django.db import connection

    from stompconsole import publish

    broker, destination = sys.argv[1:]
    publish(destination, "parent, before", broker=broker)
    connection.close()
    child = os.fork()
    if child == 0:
        publish(destination, "child", broker=broker)
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    publish(destination, "parent, after", broker=broker)
