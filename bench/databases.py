"""Databases to measure on: SQLite in a file, PostgreSQL that keeps what it commits. Each one new, its tables there."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.support.databases import migrate, postgres_database
from tests.support.pool import ServerPool

SQLITE = "sqlite"
POSTGRESQL = "postgresql"
DATABASES = (SQLITE, POSTGRESQL)


class Databases:
    """Copies of databases that were migrated once. To be closed."""

    def __init__(self, pool: ServerPool) -> None:
        self._pool = pool
        self._stack = ExitStack()
        self._folder = Path(self._stack.enter_context(TemporaryDirectory(prefix="stompconsole-bench-")))
        self._templates: dict[str, str] = {}

    def close(self) -> None:
        """Drop what was made."""
        self._stack.close()

    def fresh(self, kind: str) -> AbstractContextManager[str]:
        """The URL of a new database, dropped at the end."""
        return self._sqlite() if kind == SQLITE else self._postgres()

    @contextmanager
    def _sqlite(self) -> Iterator[str]:
        if SQLITE not in self._templates:
            migrate(_url(self._folder / "template.sqlite3"))
            self._templates[SQLITE] = str(self._folder / "template.sqlite3")
        with TemporaryDirectory(dir=self._folder) as folder:
            path = Path(folder) / "bench.sqlite3"
            # With its write-ahead log, in which all of it may still be.
            for suffix in ("", "-wal"):
                if Path(self._templates[SQLITE] + suffix).exists():
                    shutil.copyfile(self._templates[SQLITE] + suffix, f"{path}{suffix}")
            yield _url(path)

    @contextmanager
    def _postgres(self) -> Iterator[str]:
        server = self._pool.server("durable_postgres")
        if POSTGRESQL not in self._templates:
            self._templates[POSTGRESQL] = self._stack.enter_context(postgres_database(server))
            migrate(self._templates[POSTGRESQL])
        with postgres_database(server, template=self._templates[POSTGRESQL]) as url:
            yield url


def _url(path: Path) -> str:
    return f"sqlite:///{path}"
