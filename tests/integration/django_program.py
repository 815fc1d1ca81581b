"""A program with Django, which a test runs and talks to: lines of standard output ask, lines of standard input answer.

Arguments: the settings of the database, without a source, as JSON; the issuer; and what to do.
"""

import json
import sys
import threading
from pathlib import Path
from typing import Any

from pgbearer.client import AccessToken

_one_at_a_time = threading.Lock()


def ask(*words: object) -> str:
    """One question, one answer; a pool's threads ask too."""
    with _one_at_a_time:
        print(*words, flush=True)  # noqa: T201
        return sys.stdin.readline().strip()


class Asking:
    """A source of tokens that the test gives."""

    def __init__(self, issuer: str) -> None:
        self.issuer = issuer

    def token(self) -> AccessToken:
        return AccessToken(ask("token"))


def begin(database: dict[str, Any], issuer: str, folder: str) -> Any:
    """Set Django up, with one application that is made on the spot."""
    import django
    from django.conf import settings

    application = Path(folder) / "shop"
    application.mkdir(exist_ok=True)
    (application / "__init__.py").touch()
    (application / "models.py").write_text(
        "from django.db import models\n\nclass Order(models.Model):\n    what = models.CharField(max_length=20)\n"
    )
    sys.path.insert(0, folder)
    options = database.setdefault("OPTIONS", {})
    if "profile" not in options:
        options["source"] = Asking(issuer)
    settings.configure(
        DATABASES={"default": database},
        INSTALLED_APPS=["shop"],
        DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
        USE_TZ=True,
    )
    django.setup()
    from django.db import connection

    return connection


def migrate() -> None:
    """Make the migrations of the application, and make its tables."""
    from django.core.management import call_command

    call_command("makemigrations", "shop", verbosity=0)
    call_command("migrate", verbosity=0)


def orders() -> list[str]:
    """Write one more order, in a transaction, and read all."""
    from django.apps import apps
    from django.db import transaction

    order = apps.get_model("shop", "Order")
    with transaction.atomic():
        order.objects.create(what=f"order {order.objects.count() + 1}")
    return [made.what for made in order.objects.order_by("id")]


def across_the_end(connection: Any) -> None:
    """Two requests with a token's end between them."""
    from django.core.signals import request_finished, request_started

    migrate()
    for _ in range(2):
        request_started.send(None)
        ask("orders", *orders())
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_backend_pid()")
            pid = cursor.fetchone()[0]
        request_finished.send(None)
        ask("ended", pid)
    connection.close_pool()


def once(_connection: Any) -> None:
    """One request."""
    migrate()
    ask("orders", *orders())


def without_source(connection: Any) -> None:
    """As if nobody had read the page."""
    del connection.settings_dict["OPTIONS"]["source"]
    orders()


def refused(_connection: Any) -> None:
    """What Django says of a login that is refused."""
    from django.db import OperationalError

    try:
        orders()
    except OperationalError as error:
        ask("refused", json.dumps(str(error)))


if __name__ == "__main__":
    globals()[sys.argv[4]](begin(json.loads(sys.argv[1]), sys.argv[2], sys.argv[3]))
