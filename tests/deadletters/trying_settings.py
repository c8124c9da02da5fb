"""The tests' settings as the process sees them in which handlers are tried."""

from tests.settings import *  # noqa: F403

STOMPCONSOLE = {"HANDLERS": ["tests.deadletters.tried.*"], "TRY_HANDLERS": True}
STOMP_SERVER_HOST = "127.0.0.1"
# Where nobody listens: whatever tried to send would fail.
STOMP_SERVER_PORT = 1
