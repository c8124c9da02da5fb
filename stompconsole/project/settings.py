"""Settings of the project form: runs as it stands, and is put on other infrastructure by the environment.

``environment`` names the variables that are read. Without any: SQLite, an in-memory channel layer, loopback only.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import dj_database_url

from stompconsole.conf import STOMP_SETTING_NAMES
from stompconsole.project.environment import console_settings, flag, secret_key, text, words

BASE_DIR = Path(__file__).resolve().parents[2]
VAR_DIR = Path(text("STOMPCONSOLE_VAR") or BASE_DIR / "var")
"""Where the project keeps what it makes: SQLite, the development key, collected static files."""

SECRET_KEY = secret_key(VAR_DIR / "secret_key")
DEBUG = flag("DEBUG")
ALLOWED_HOSTS = words("ALLOWED_HOSTS")
CSRF_TRUSTED_ORIGINS = words("CSRF_TRUSTED_ORIGINS")

INSTALLED_APPS = [
    "daphne",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "django_htmx",
    "stompconsole",
    "stompconsole.project",
    "channels",
]

MIDDLEWARE = [
    "stompconsole.middleware.CorrelationIdMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
]

ROOT_URLCONF = "stompconsole.project.urls"
ASGI_APPLICATION = "stompconsole.project.asgi.application"
WSGI_APPLICATION = "stompconsole.project.wsgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        # In a checkout the templates stand beside the package; in a wheel they are inside it.
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

SQLITE_OPTIONS = {
    "transaction_mode": "IMMEDIATE",  # a transaction that turns into a writer half-way fails without waiting
    "timeout": 20,
    "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
}

POSTGRES_OPTIONS = {
    # A server that is gone without a word, as after a failover, is noticed within 15 s and not after two hours.
    "connect_timeout": 5,
    "keepalives_idle": 5,
    "keepalives_interval": 3,
    "keepalives_count": 3,
    "tcp_user_timeout": 15_000,  # in milliseconds
}


def _database() -> dict[str, Any]:
    url = text("DATABASE_URL") or f"sqlite:///{VAR_DIR / 'db.sqlite3'}"
    database: dict[str, Any] = dict(dj_database_url.parse(url))
    if database["ENGINE"] == "django.db.backends.sqlite3":
        database["OPTIONS"] = {**SQLITE_OPTIONS, **database.get("OPTIONS", {})}
        Path(database["NAME"]).parent.mkdir(parents=True, exist_ok=True)
    if database["ENGINE"] == "django.db.backends.postgresql":
        database["OPTIONS"] = {**POSTGRES_OPTIONS, **database.get("OPTIONS", {})}
    return database


DATABASES = {"default": _database()}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"


def _channel_layer() -> dict[str, Any]:
    url = text("REDIS_URL")
    if not url:
        return {"BACKEND": "channels.layers.InMemoryChannelLayer"}
    # Without it redis-py ends a wait for the next message after 5 s, and whoever waits with it.
    host = {"address": url, "socket_timeout": None}
    return {"BACKEND": "channels_redis.core.RedisChannelLayer", "CONFIG": {"hosts": [host]}}


CHANNEL_LAYERS = {"default": _channel_layer()}

AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator"},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.NumericPasswordValidator"},
]
LOGIN_URL = "admin:login"
LOGIN_REDIRECT_URL = "stompconsole:overview"

LANGUAGE_CODE = "en-gb"
TIME_ZONE = "UTC"
USE_I18N = True
USE_TZ = True

STATIC_URL = "static/"
STATIC_ROOT = VAR_DIR / "static"
STATIC_ROOT.mkdir(parents=True, exist_ok=True)
STATICFILES_DIRS = [folder for folder in [BASE_DIR / "static"] if folder.is_dir()]
WHITENOISE_USE_FINDERS = True  # so that nothing has to be collected before the first start

HTTPS = flag("HTTPS")
"""Set it when the console is reached over TLS, by itself or behind a proxy that sets X-Forwarded-Proto."""
SESSION_COOKIE_SECURE = HTTPS
CSRF_COOKIE_SECURE = HTTPS
SECURE_SSL_REDIRECT = HTTPS
SECURE_HSTS_SECONDS = 31_536_000 if HTTPS else 0
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if HTTPS else None
SESSION_COOKIE_SAMESITE = "Lax"
X_FRAME_OPTIONS = "DENY"

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "filters": {"correlation_id": {"()": "stompconsole.correlation.CorrelationIdFilter"}},
    "formatters": {"plain": {"format": "%(asctime)s %(levelname)-7s %(name)s [%(correlation_id)s]: %(message)s"}},
    "handlers": {
        "stderr": {"class": "logging.StreamHandler", "formatter": "plain", "filters": ["correlation_id"]},
    },
    "root": {"handlers": ["stderr"], "level": text("LOG_LEVEL")},
    "loggers": {
        "httpx": {"level": "WARNING"},
        "django.server": {"handlers": ["stderr"], "level": "INFO", "propagate": False},
    },
}

STOMPCONSOLE = console_settings()
globals().update({name: os.environ[name] for name in STOMP_SETTING_NAMES if name in os.environ})
