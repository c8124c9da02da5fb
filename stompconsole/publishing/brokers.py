"""Which broker is meant: the row with a name, or what the STOMP_* settings say.

The models are imported when first needed: ``from stompconsole import publish`` works before apps are ready.
"""

from __future__ import annotations

from stompconsole.conf import settings_now
from stompconsole.delivery.specs import BrokerSpec
from stompconsole.errors import ConfigurationError

DEFAULT = "default"
"""The row that the STOMP_* settings describe."""


def broker_spec(name: str = DEFAULT) -> BrokerSpec:
    """The broker row with this name, as a value; ``default`` is made from the STOMP_* settings if need be.

    Raises ConfigurationError naming the brokers there are.
    """
    from stompconsole.models import Broker
    from stompconsole.models.default_broker import keep_default_broker

    row = Broker.objects.filter(name=name).first()
    if row is None and name == DEFAULT:
        row = keep_default_broker()
    if row is None:
        known = ", ".join(Broker.objects.values_list("name", flat=True)) or "none"
        hint = " and STOMP_SERVER_HOST is not set" if name == DEFAULT else ""
        raise ConfigurationError(f"there is no broker named {name!r}{hint}; there are: {known}. Add it in the admin.")
    return row.spec()


def spec_from_settings() -> BrokerSpec:
    """What the STOMP_* settings say, without a look at the database; the row ``default`` where they name no host.

    Raises ConfigurationError.
    """
    from stompconsole.models.default_broker import from_settings

    stomp = settings_now().stomp
    return broker_spec() if stomp is None else from_settings(stomp).spec()
