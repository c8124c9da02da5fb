"""The register: what may be a handler, what a path may name, and what is said when it can't be had."""

from __future__ import annotations

import functools
import logging
import os
import types
from typing import Any

import pytest

from stompconsole import handlers
from stompconsole.errors import ConfigurationError, HandlerNotFound
from stompconsole.handlers import handler, import_any, registered, resolve
from tests.handlers.samples import good

SAMPLES = "tests.handlers.samples"
GOOD = f"{SAMPLES}.good"


@pytest.fixture(autouse=True)
def _as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handlers._register, "handlers", dict(handlers._register.handlers))
    monkeypatch.setattr(handlers._register, "failures", {})


def test_a_handler_is_registered_under_its_dotted_path_and_returned_unchanged() -> None:
    entry = registered()[f"{GOOD}.price_of"]
    assert entry.function is good.price_of
    assert (entry.name, entry.summary) == ("Price of an order", "Prices an order.")
    assert registered()[f"{GOOD}.later"].name == "later"


def test_registering_the_same_path_again_keeps_the_newest() -> None:
    # As a reload of the module would make it: another function under the same name.
    again = types.FunctionType(good.price_of.__code__, {"__name__": GOOD}, "price_of")
    assert handler(again) is again
    assert resolve(f"{GOOD}.price_of") is again


def test_registered_handlers_are_in_order_and_read_only() -> None:
    assert list(registered()) == sorted(registered())
    with pytest.raises(TypeError):
        registered()["x"] = registered()[f"{GOOD}.later"]  # type: ignore[index]


@pytest.mark.parametrize(
    "function",
    [lambda payload: None, functools.partial(print), good.LIMIT, type("Thing", (), {}), print],
    ids=["lambda", "partial", "value", "class", "builtin"],
)
def test_what_a_worker_could_not_find_again_is_refused(function: Any) -> None:
    with pytest.raises(ConfigurationError, match="can't be a handler"):
        handler(function)


def test_a_nested_function_is_refused() -> None:
    def inner(payload: Any) -> None:
        pass

    with pytest.raises(ConfigurationError, match="top of its module"):
        handler(inner)


def test_a_function_of_the_main_module_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(good.unregistered, "__module__", "__main__")
    with pytest.raises(ConfigurationError, match=r"handlers\.py"):
        handler(good.unregistered)


def test_an_unregistered_path_is_refused_with_the_list_of_what_there_is() -> None:
    with pytest.raises(HandlerNotFound) as raised:
        resolve(f"{GOOD}.unregistered")
    assert f"'{GOOD}.unregistered' is not a registered handler" in str(raised.value)
    assert f"{GOOD}.price_of" in str(raised.value)


def test_what_is_not_allowed_is_not_even_imported() -> None:
    with pytest.raises(HandlerNotFound, match="not a registered handler"):
        resolve(f"{SAMPLES}.broken.anything")


def test_a_pattern_allows_a_path_that_is_not_registered() -> None:
    assert resolve(f"{GOOD}.unregistered", [f"{GOOD}.*"]) is good.unregistered


def test_a_pattern_does_not_reach_what_the_module_merely_imported() -> None:
    assert good.system is os.system
    with pytest.raises(HandlerNotFound, match=r"is really posix\.system"):
        resolve(f"{GOOD}.system", [f"{GOOD}.*"])


@pytest.mark.parametrize("path", ["os.system", "posix.system", "builtins.eval", "subprocess.run"])
def test_paths_to_the_machine_are_refused(path: str) -> None:
    with pytest.raises(HandlerNotFound):
        resolve(path, [f"{GOOD}.*"])


@pytest.mark.parametrize(
    ("path", "said"),
    [
        (f"{SAMPLES}.missing.f", f"there is no module '{SAMPLES}.missing'"),
        ("nowhere_at_all.f", "there is no module 'nowhere_at_all'"),
        (f"{SAMPLES}.lacking.f", f"{SAMPLES}.lacking does not import: ModuleNotFoundError"),
        (f"{SAMPLES}.broken.f", f"{SAMPLES}.broken does not import: RuntimeError: no ledger today"),
        (f"{GOOD}.nothing", f"module {GOOD} has no 'nothing'"),
        (f"{GOOD}.LIMIT", "can't be called: it is of type int"),
        ("plain", "is not a dotted path"),
        ("", "is not a dotted path"),
        ("a b.c", "is not a dotted path"),
        ("..x", "is not a dotted path"),
    ],
)
def test_each_way_of_missing_is_told_apart(path: str, said: str) -> None:
    with pytest.raises(HandlerNotFound) as raised:
        import_any(path)
    assert said in str(raised.value)


def test_a_module_that_does_not_import_is_kept_and_the_others_run_on(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR, "stompconsole.handlers"):
        handlers.discover(f"{SAMPLES}.broken")
    assert handlers.failures() == {f"{SAMPLES}.broken": "RuntimeError: no ledger today"}
    assert "does not import" in caplog.text
    with pytest.raises(HandlerNotFound, match=r"broken does not import: RuntimeError: no ledger today"):
        resolve(f"{SAMPLES}.broken.f")


def test_handlers_of_installed_apps_are_found_by_themselves() -> None:
    assert "stompconsole.project.handlers.orders" in registered()
