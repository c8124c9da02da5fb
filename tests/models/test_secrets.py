"""Passwords at rest: encrypted, never shown, never lost."""

from __future__ import annotations

import io
import json
import logging
import pickle

import pytest
from cryptography.fernet import Fernet
from django.core.exceptions import FieldError
from django.core.management import call_command
from django.db import connection
from django.forms import ModelForm, model_to_dict, modelform_factory
from django.template import Context, Template
from django.test import override_settings

from stompconsole.errors import ConfigurationError
from stompconsole.models import Broker
from stompconsole.models.secret_input import SEALED
from stompconsole.models.secrets import MASK, Secret, Undecipherable

PASSWORD = "correct horse <b>battery</b> staple"

pytestmark = pytest.mark.django_db


@pytest.fixture
def broker() -> Broker:
    made = Broker.objects.create(name="rabbit", host="localhost", user="app", password=PASSWORD, tls_key_password="")
    return Broker.objects.get(pk=made.pk)


def stored() -> str:
    with connection.cursor() as cursor:
        cursor.execute("SELECT password FROM stompconsole_broker")
        row = cursor.fetchone()
    assert row is not None
    return str(row[0])


def test_the_column_holds_ciphertext(broker: Broker) -> None:
    assert PASSWORD not in stored()
    assert stored().startswith("gAAAA")


def test_the_row_gives_the_password_through_its_spec_alone(broker: Broker) -> None:
    assert broker.spec().login.password == PASSWORD
    assert broker.password.reveal() == PASSWORD
    assert type(broker.password.reveal()) is str


def test_a_secret_does_not_print(broker: Broker, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        logging.getLogger("x").info("%s %r %s", broker.password, broker.password, broker.__dict__)
    shown = caplog.text + f"{broker.password} {broker.password!r} {broker!r} {broker.spec()!r}" + str(vars(broker))
    assert PASSWORD not in shown
    assert MASK in shown


def test_a_template_does_not_print_it(broker: Broker) -> None:
    page = Template("{{ b.password }} {{ b.password|safe }} {{ b.password|upper }} {{ b.password|length }}")
    assert PASSWORD not in page.render(Context({"b": broker}))
    assert "BATTERY" not in page.render(Context({"b": broker}))


def test_a_row_that_was_never_saved_does_not_print_it_either() -> None:
    row = Broker(name="new", password=PASSWORD)
    assert PASSWORD not in f"{row.password} {vars(row)}"
    row.password = "other"
    assert repr(row.password) == repr(MASK)
    assert row.spec().login.password == "other"


def test_what_puts_it_into_json_fails(broker: Broker) -> None:
    with pytest.raises(TypeError):
        json.dumps(broker.password)


def test_a_deferred_column_is_read_when_it_is_asked_for(broker: Broker) -> None:
    assert Broker.objects.defer("password").get().password.reveal() == PASSWORD


def test_a_secret_compares_as_the_text_it_is(broker: Broker) -> None:
    assert broker.password == PASSWORD
    assert broker.password != "other"
    assert broker.password != 7
    assert len({broker.password, Secret(PASSWORD)}) == 1
    assert pickle.loads(pickle.dumps(broker.password)).reveal() == PASSWORD


def test_an_empty_secret_is_stored_empty(broker: Broker) -> None:
    assert broker.tls_key_password == ""
    assert not broker.tls_key_password


def test_exports_give_ciphertext_and_come_back(broker: Broker, tmp_path_factory: pytest.TempPathFactory) -> None:
    out = io.StringIO()
    call_command("dumpdata", "stompconsole.broker", stdout=out)
    assert PASSWORD not in out.getvalue()
    assert json.loads(out.getvalue())[0]["fields"]["password"].startswith(SEALED)

    fixture = tmp_path_factory.mktemp("fixtures") / "brokers.json"
    fixture.write_text(out.getvalue())
    Broker.objects.all().delete()
    call_command("loaddata", str(fixture), verbosity=0)
    assert Broker.objects.get(name="rabbit").password.reveal() == PASSWORD


def test_model_to_dict_has_no_plain_text(broker: Broker) -> None:
    assert PASSWORD not in repr(model_to_dict(broker))


@pytest.mark.parametrize("lookup", ["password", "password__startswith", "password__contains", "password__regex"])
def test_nothing_can_be_found_by_a_secret(broker: Broker, lookup: str) -> None:
    with pytest.raises(FieldError):
        Broker.objects.filter(**{lookup: "g"}).exists()


def test_a_key_that_was_replaced_stays_readable_as_a_fallback(broker: Broker) -> None:
    with override_settings(SECRET_KEY="newer", SECRET_KEY_FALLBACKS=["tests-need-no-secret"]):
        assert Broker.objects.get().password.reveal() == PASSWORD


def test_own_keys_take_over_from_the_derived_one_without_locking_anybody_out(broker: Broker) -> None:
    with override_settings(STOMPCONSOLE={"SECRET_KEYS": [Fernet.generate_key().decode()]}):
        found = Broker.objects.get()
        assert found.password.reveal() == PASSWORD
        found.save()
    assert isinstance(Broker.objects.get().password, Undecipherable)


@override_settings(SECRET_KEY="lost")
def test_without_a_key_the_row_still_loads_and_says_so(broker: Broker) -> None:
    found = Broker.objects.get()
    assert isinstance(found.password, Undecipherable)
    assert not found.password
    assert "can't be decrypted" in str(found.password)
    with pytest.raises(ConfigurationError, match="SECRET_KEY_FALLBACKS"):
        found.spec()


def test_saving_a_row_without_its_key_does_not_lose_the_ciphertext(broker: Broker) -> None:
    before = stored()
    with override_settings(SECRET_KEY="lost"):
        found = Broker.objects.get()
        found.host = "elsewhere"
        found.save()
    assert stored() == before
    assert Broker.objects.get().password.reveal() == PASSWORD


class TestForms:
    """Write-only: what is stored is never rendered, nothing typed keeps it, a tick clears it."""

    form = modelform_factory(Broker, fields=["name", "password"])

    def bound(self, broker: Broker, **data: str) -> ModelForm[Broker]:
        return self.form({"name": broker.name, **data}, instance=broker)

    def test_the_value_is_never_rendered(self, broker: Broker) -> None:
        for form in (self.form(instance=broker), self.bound(broker, password="typed-in", name="")):
            html = form.as_p()
            assert "battery" not in html
            assert "typed-in" not in html
            assert 'type="password"' in html
            assert "Set. Leave it empty to keep it." in html

    def test_nothing_typed_keeps_what_is_stored(self, broker: Broker) -> None:
        form = self.bound(broker, password="")
        assert form.is_valid()
        assert "password" not in form.changed_data
        assert form.save().password.reveal() == PASSWORD
        assert Broker.objects.get().password.reveal() == PASSWORD

    def test_something_typed_replaces_it_blanks_included(self, broker: Broker) -> None:
        form = self.bound(broker, password=" new ")
        assert form.is_valid()
        assert form.changed_data == ["password"]
        form.save()
        assert Broker.objects.get().password.reveal() == " new "

    def test_a_tick_clears_it(self, broker: Broker) -> None:
        form = self.bound(broker, **{"password-clear": "on"})
        assert form.is_valid()
        assert form.changed_data == ["password"]
        form.save()
        assert Broker.objects.get().password == ""

    def test_both_is_refused(self, broker: Broker) -> None:
        form = self.bound(broker, password="x", **{"password-clear": "on"})
        assert not form.is_valid()
        assert "not both" in str(form.errors)

    @pytest.mark.parametrize("typed", [SEALED + "gAAAA", "a\nb", "a\0b", "x" * 1001])
    def test_what_can_not_be_a_password_is_refused(self, broker: Broker, typed: str) -> None:
        form = self.bound(broker, password=typed)
        assert not form.is_valid()
        assert typed not in form.as_p()

    def test_a_row_without_one_says_so(self) -> None:
        html = self.form(instance=Broker(name="new")).as_p()
        assert "Not set." in html
        assert "Clear" not in html

    @override_settings(SECRET_KEY="lost")
    def test_a_row_whose_key_is_lost_says_so(self, broker: Broker) -> None:
        assert "Can&#x27;t be decrypted" in self.form(instance=Broker.objects.get()).as_p()


def test_a_secret_is_masked_only_if_there_is_one() -> None:
    assert str(Secret("x")) == MASK
    assert str(Secret("")) == ""
