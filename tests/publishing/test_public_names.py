"""What a team imports: there, and importable before anything is set up."""

from __future__ import annotations

import subprocess
import sys

import pytest

import stompconsole
from tests.support.processes import ROOT


@pytest.mark.long
def test_public_names_import_before_django_is_set_up() -> None:
    code = (
        "import stompconsole\n"
        "for name in stompconsole.__all__: getattr(stompconsole, name)\n"
        "from stompconsole.correlation import CorrelationIdFilter\n"
        "from stompconsole.publishing import process_senders, broker_spec\n"
        "from django.apps import apps; assert not apps.ready"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True, timeout=60, cwd=ROOT)


def test_importing_the_package_imports_no_django() -> None:
    code = "import sys, stompconsole; stompconsole.carry; stompconsole.Retry; assert 'django' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60, cwd=ROOT)


def test_every_public_name_is_listed_once_and_has_a_docstring() -> None:
    assert sorted(set(stompconsole.__all__)) == sorted(stompconsole.__all__)
    assert set(stompconsole.__all__) == set(stompconsole._HOMES)
    for name in stompconsole.__all__:
        assert getattr(stompconsole, name).__doc__, name


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    assert not hasattr(stompconsole, "publisher_of_all")
