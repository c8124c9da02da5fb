"""``pubsub`` in compose files and Kubernetes manifests."""

from __future__ import annotations

import pytest

from tests.importing.reading import one, pairs, problems, reading

PAIR = ("/queue/orders", "app.handlers.price_of")


def compose(service: str, rest: str = "") -> str:
    return f"{rest}\nservices:\n  orders:\n" + "".join(f"    {line}\n" for line in service.strip().splitlines())


@pytest.mark.parametrize(
    "service",
    [
        "command: python manage.py pubsub /queue/orders app.handlers.price_of",
        'command: ["python", "manage.py", "pubsub", "/queue/orders", "app.handlers.price_of"]',
        "entrypoint: [python, manage.py]\ncommand: [pubsub, /queue/orders, app.handlers.price_of]",
        "entrypoint: python manage.py\ncommand: pubsub '/queue/orders' app.handlers.price_of",
        "command: pubsub /queue/orders app.handlers.price_of",
        'command: sh -c "./manage.py migrate && ./manage.py pubsub /queue/orders app.handlers.price_of"',
        "command: >\n  python manage.py pubsub\n  /queue/orders\n  app.handlers.price_of",
        "command:\n  - sh\n  - -c\n  - |\n    set -e\n    exec ./manage.py pubsub /queue/orders app.handlers.price_of",
        "command: !override [python, manage.py, pubsub, /queue/orders, app.handlers.price_of]",
    ],
)
def test_the_command_of_a_service_may_be_a_text_or_a_list(service: str) -> None:
    found = one(compose(service), "docker-compose.yml")
    assert (found.destination, found.handler, found.instances) == (*PAIR, 1)


def test_a_line_of_a_script_in_a_block_is_named_as_its_own() -> None:
    service = "command:\n  - sh\n  - -c\n  - |\n    set -e\n    exec ./manage.py pubsub /queue/orders app.h"
    found = one(compose(service), "c.yml")
    assert compose(service).splitlines()[found.place.line - 1].strip().startswith("exec")


FULL = """
x-base: &base
  image: shop
  env_file: .env
  environment: &env
    STOMP_PROCESS_MSG_WORKERS: 4
    STOMP_CORRELATION_ID_REQUIRED: no
    STOMP_SERVER_PASSWORD: ${PASSWORD}
    STOMP_SERVER_USER:
services:
  web:
    <<: *base
    command: gunicorn shop.wsgi
  orders:
    <<: *base
    command: &command
      - python
      - manage.py
      - pubsub
      - /queue/orders
      - app.handlers.price_of
    deploy: {replicas: 2}
  other:
    extends: orders
    environment:
      - STOMP_PROCESS_MSG_WORKERS=8
      - STOMP_SERVER_HOST
    scale: 3
  third:
    extends: {service: other}
    command: [python, manage.py, pubsub, /topic/prices, app.handlers.price_of]
"""


def test_anchors_and_extends_are_followed() -> None:
    found = reading(FULL, "compose.yaml")
    assert found.problems == ()
    assert [(each.destination, each.instances, each.place.line) for each in found.found] == [
        ("/queue/orders", 2, 19),
        ("/queue/orders", 3, 19),
        ("/topic/prices", 3, 31),
    ]
    assert found.found[0].environment == {
        "STOMP_PROCESS_MSG_WORKERS": "4", "STOMP_CORRELATION_ID_REQUIRED": "no",
        "STOMP_SERVER_PASSWORD": None, "STOMP_SERVER_USER": None,
    }  # fmt: skip
    assert found.found[1].environment["STOMP_PROCESS_MSG_WORKERS"] == "8"
    assert found.found[1].environment["STOMP_SERVER_HOST"] is None
    assert "env_file is not read" in found.found[0].remarks[0]


def test_services_that_extend_one_another_in_a_ring_come_to_an_end() -> None:
    text = "services:\n  a: {extends: b}\n  b: {extends: a, command: python manage.py pubsub /queue/a app.h}\n"
    assert pairs(text, "compose.yml") == [("/queue/a", "app.h"), ("/queue/a", "app.h")]


@pytest.mark.parametrize(
    ("service", "words"),
    [
        ("command: python manage.py pubsub ${QUEUE} app.h", "c.yml:4: ${QUEUE} can't be known"),
        ("command: [python, manage.py, pubsub, $QUEUE, app.h]", "$QUEUE can't be known"),
        ("command: [python, manage.py, pubsub, /queue/$$x, app.h]", "$$ can't be known"),
        ("command: [sh, [pubsub], python manage.py pubsub]", "a command is a text, or a list of texts"),
        ("scale: ${N}\ncommand: python manage.py pubsub /queue/a app.h", "how many run can't be known from '${N}'"),
        ("scale: 0\ncommand: python manage.py pubsub /queue/a app.h", "What is scaled to 0 does not run"),
    ],
)
def test_what_compose_would_put_in_is_named(service: str, words: str) -> None:
    (said,) = problems(compose(service), "c.yml")
    assert words in said


DEPLOYMENT = """
apiVersion: v1
kind: List
items:
- apiVersion: apps/v1
  kind: Deployment
  metadata: {name: orders}
  spec:
    replicas: 2
    template:
      spec:
        containers:
        - name: orders
          command: ["python", "manage.py"]
          args: ["pubsub", "$(QUEUE)", "app.handlers.price_of"]
          env:
          - {name: QUEUE, value: /queue/orders}
          - name: STOMP_SERVER_PASSWORD
            valueFrom: {secretKeyRef: {name: mq, key: password}}
---
apiVersion: batch/v1
kind: CronJob
spec:
  jobTemplate:
    spec:
      template:
        spec:
          containers:
          - args: [pubsub, /queue/nightly, app.handlers.price_of]
---
kind: Pod
spec:
  containers:
  - command: [sh, -c, "./manage.py pubsub $(OTHER) app.h"]
"""


def test_containers_of_kubernetes_are_found_wherever_their_template_is() -> None:
    found = reading(DEPLOYMENT, "orders.yaml")
    assert [(each.destination, each.instances) for each in found.found] == [("/queue/orders", 2), ("/queue/nightly", 1)]
    assert found.found[0].environment == {"QUEUE": "/queue/orders", "STOMP_SERVER_PASSWORD": None}
    assert [str(problem) for problem in found.problems] == [
        "orders.yaml:34: $(OTHER) can't be known here: write out what it stands for."
    ]


@pytest.mark.parametrize("replicas", ["0", "many"])
def test_replicas_that_are_no_number_of_instances_are_named(replicas: str) -> None:
    text = (
        f"kind: Deployment\nspec:\n  replicas: {replicas}\n  template: {{spec: {{containers: [{{args: "
        "[pubsub, /queue/a, app.h]}]}}"
    )
    assert len(problems(text, "a.yml")) == 1
    assert reading(text, "a.yml").found == ()


def test_yaml_that_is_neither_is_named_only_if_it_may_hold_one() -> None:
    assert "neither a compose file" in problems("jobs: [python manage.py pubsub /queue/a app.h]", "ci.yml")[0]
    assert problems("jobs: [make test]", "ci.yml") == []
