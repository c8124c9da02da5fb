# One image for the web server and the workers; docker-compose.yml says which is which.
FROM python:3.12-slim

ENV PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    PIP_NO_CACHE_DIR=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    STOMPCONSOLE_VAR=/var/lib/stompconsole

RUN useradd --system --uid 10001 --user-group --create-home --home-dir /var/lib/stompconsole stompconsole

WORKDIR /srv/stompconsole
COPY pyproject.toml constraints.txt README.md LICENSE manage.py ./
COPY stompconsole stompconsole
COPY templates templates
COPY static static
RUN pip install --upgrade "pip>=25.3" \
    && pip install --constraint constraints.txt --build-constraint constraints.txt --editable ".[redis,postgres]"

USER stompconsole
EXPOSE 8000
CMD ["daphne", "-b", "0.0.0.0", "-p", "8000", "stompconsole.project.asgi:application"]
