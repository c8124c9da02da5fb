"""Users and rows of the admin's tests."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client

from stompconsole.models import Broker, Consumer
from tests.admin.forms import HANDLER, PASSWORD


@pytest.fixture
def broker(db: None) -> Broker:
    """A broker with a password, as it comes from the database."""
    made = Broker.objects.create(name="rabbit", user="app", password=PASSWORD)
    return Broker.objects.get(pk=made.pk)


@pytest.fixture
def consumer(broker: Broker) -> Consumer:
    return Consumer.objects.create(name="orders", broker=broker, destination="/queue/orders", handler=HANDLER)


@pytest.fixture
def client_of(db: None) -> Callable[..., Client]:
    """A logged-in staff user with the named permissions of our app."""

    def make(*codenames: str) -> Client:
        user = User.objects.create_user("tester", password="x", is_staff=True)
        found = Permission.objects.filter(content_type__app_label="stompconsole", codename__in=codenames)
        assert found.count() == len(codenames)
        user.user_permissions.set(found)
        client = Client()
        client.force_login(user)
        return client

    return make
