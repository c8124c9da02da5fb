"""Where a broker is and how to log in."""

from __future__ import annotations

from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.urls import reverse

from stompconsole.brokers import BrokerKind, Dialect, dialect_for
from stompconsole.brokers.depths import Management
from stompconsole.delivery.specs import BrokerSpec, DeadLetterVia, Failback
from stompconsole.models.names import validate_host, validate_http_url
from stompconsole.models.secrets import EncryptedCharField
from stompconsole.transport.session import Endpoint, Login, Place, Tls

PORT_VALIDATORS = [MinValueValidator(1), MaxValueValidator(65535)]


class Broker(models.Model):
    """A STOMP broker: endpoint, standby, login and how it deviates from plain STOMP 1.2."""

    name = models.SlugField(unique=True, help_text="Short name, shown on every page.")
    kind = models.CharField(
        max_length=20,
        choices=[(kind.value, kind.label) for kind in BrokerKind],
        default=BrokerKind.AUTO.value,
        help_text="Automatic reads it from the broker's greeting.",
    )
    host = models.CharField(max_length=255, default="127.0.0.1", validators=[validate_host])
    port = models.PositiveIntegerField(default=61613, validators=PORT_VALIDATORS)
    standby_host = models.CharField(
        max_length=255, blank=True, validators=[validate_host], help_text="Tried when the first can't be reached."
    )
    standby_port = models.PositiveIntegerField(null=True, blank=True, validators=PORT_VALIDATORS)
    vhost = models.CharField(
        "virtual host", max_length=255, blank=True, help_text="RabbitMQ needs one; empty means / there."
    )
    user = models.CharField(max_length=255, blank=True)
    password = EncryptedCharField(blank=True, default="")
    client_id = models.CharField(
        max_length=255, blank=True, help_text="Leave it empty: ActiveMQ takes one connection of each client id only."
    )
    use_tls = models.BooleanField("TLS", default=False)
    tls_verify = models.BooleanField("verify the certificate", default=True)
    tls_ca_certs = models.CharField(
        "CA file", max_length=500, blank=True, help_text="A PEM file on the workers' machines."
    )
    tls_cert_file = models.CharField("client certificate file", max_length=500, blank=True)
    tls_key_file = models.CharField("client key file", max_length=500, blank=True)
    tls_key_password = EncryptedCharField("client key password", blank=True, default="")
    heartbeat_send_ms = models.PositiveIntegerField("heart-beats sent every (ms)", default=10_000)
    heartbeat_receive_ms = models.PositiveIntegerField("heart-beats expected every (ms)", default=10_000)
    connect_timeout_s = models.FloatField("connect time limit (s)", default=10.0, validators=[MinValueValidator(0.1)])
    receipt_timeout_s = models.FloatField("receipt time limit (s)", default=10.0, validators=[MinValueValidator(0.1)])
    reconnect_pause_s = models.FloatField(
        "longest pause between attempts to connect (s)", default=10.0, validators=[MinValueValidator(0.1)]
    )
    failback = models.CharField(
        "when the first answers again",
        max_length=10,
        choices=[
            (Failback.STAY.value, "stay on the standby until it fails"),
            (Failback.RETURN.value, "return to the first"),
        ],
        default=Failback.STAY.value,
    )
    failback_check_s = models.FloatField(
        "look whether the first answers every (s)", default=15.0, validators=[MinValueValidator(1.0)]
    )
    dead_letter_via = models.CharField(
        max_length=10,
        choices=[
            (DeadLetterVia.SEND.value, "send: works on any broker, the failure stays with the message"),
            (DeadLetterVia.NACK.value, "nack: the broker's own way"),
        ],
        default=DeadLetterVia.SEND.value,
    )
    management_url = models.CharField(
        "management URL",
        max_length=500,
        blank=True,
        validators=[validate_http_url],
        help_text=(
            "Where workers ask how much waits: http://{host}:15672 for RabbitMQ, http://{host}:8161 for ActiveMQ and"
            " Artemis. {host} is the broker's host, the standby's while that is in use."
        ),
    )
    management_user = models.CharField(
        max_length=255, blank=True, help_text="Empty: the user and password above. It needs to see queues, no more."
    )
    management_password = EncryptedCharField(blank=True, default="")
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        return reverse("admin:stompconsole_broker_change", args=[self.pk])

    def clean(self) -> None:
        if bool(self.standby_host) != bool(self.standby_port):
            missing = "standby_port" if self.standby_host else "standby_host"
            raise ValidationError({missing: "A standby needs both a host and a port. Give both or neither."})
        if self.tls_key_file and not self.tls_cert_file:
            raise ValidationError({"tls_cert_file": "A key file needs its certificate file."})

    def dialect(self) -> Dialect:
        """What the broker can do: by its kind, or by the greeting a worker heard last; plain STOMP 1.2 until then."""
        return dialect_for(self.kind, self.greeting())

    @property
    def is_known(self) -> bool:
        """Whether it is known what the broker can do; else ``dialect`` is plain STOMP 1.2 for want of better."""
        return self.kind != BrokerKind.AUTO or bool(self.greeting())

    def greeting(self) -> str:
        """How the broker greeted a worker that is connected now; empty without one, or if it doesn't say what it is."""
        heard = self.consumers.filter(subscriptions__server__gt="").order_by("-subscriptions__reported_at")
        return heard.values_list("subscriptions__server", flat=True).first() or ""

    def spec(self) -> BrokerSpec:
        """The row as a frozen value, the only form that leaves the models.

        Raises ConfigurationError when a stored password can't be decrypted.
        """
        return BrokerSpec(
            name=self.name,
            kind=self.kind,
            endpoints=self._endpoints(),
            login=Login(user=self.user, password=self.password.reveal(), vhost=self.vhost, client_id=self.client_id),
            heartbeat_send_s=self.heartbeat_send_ms / 1000,
            heartbeat_receive_s=self.heartbeat_receive_ms / 1000,
            connect_timeout_s=self.connect_timeout_s,
            receipt_timeout_s=self.receipt_timeout_s,
            dead_letter_via=DeadLetterVia(self.dead_letter_via),
            reconnect_pause_s=self.reconnect_pause_s,
            failback=Failback(self.failback),
            failback_check_s=self.failback_check_s,
        )

    def management(self) -> Management | None:
        """Its HTTP side; None without a URL. Raises ConfigurationError when a stored password can't be decrypted."""
        if not self.management_url:
            return None
        own = bool(self.management_user)
        return Management(
            url=self.management_url,
            user=self.management_user if own else self.user,
            password=(self.management_password if own else self.password).reveal(),
            vhost=self.vhost,
            verify=self.tls_verify,
            ca_certs=self.tls_ca_certs,
        )

    def _endpoints(self) -> tuple[Endpoint, ...]:
        tls = self._tls()
        primary = Endpoint(host=self.host, port=self.port, tls=tls)
        if not (self.standby_host and self.standby_port):
            return (primary,)
        standby = Endpoint(host=self.standby_host, port=self.standby_port, tls=tls, place=Place.STANDBY)
        return (primary, standby)

    def _tls(self) -> Tls | None:
        if not self.use_tls:
            return None
        return Tls(
            verify=self.tls_verify,
            ca_certs=self.tls_ca_certs,
            cert_file=self.tls_cert_file,
            key_file=self.tls_key_file,
            key_password=self.tls_key_password.reveal(),
        )
