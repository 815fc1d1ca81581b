"""SQLAlchemy by way of pgbearer proxy; psycopg below it.

Libpq reads PGHOST (a folder is a Unix socket's), PGPORT, PGUSER, PGDATABASE and PGPASSFILE by itself.
"""

import json
from typing import Any

import psycopg
from sqlalchemy import Connection, create_engine, text

engine = create_engine("postgresql+psycopg://")


def main() -> None:
    """Connect, use the connection, and say as one line of JSON what came of it."""
    with engine.connect() as connection:
        print(json.dumps(used(connection)))


def used(connection: Connection) -> dict[str, object]:
    """What it is used for here."""
    (who,) = connection.execute(text("SELECT system_user, current_user")).mappings()
    total = text("SELECT CAST(:one AS int) + CAST(:other AS int)")
    said = {**who, "sum": connection.scalar(total, {"one": 40, "other": 2})}
    connection.execute(text("CREATE TEMPORARY TABLE numbers (number int) ON COMMIT PRESERVE ROWS"))
    bare: psycopg.Connection[Any] = connection.connection.driver_connection  # type: ignore[assignment]
    with bare.cursor() as cursor, cursor.copy("COPY numbers FROM STDIN") as copy:
        for number in (1, 2, 3):
            copy.write_row([number])
    said["copied"] = connection.scalar(text("SELECT count(*) FROM numbers"))
    connection.commit()
    said["cancelled"] = cancelled(bare)
    return {**said, "after": connection.scalar(text("SELECT 1 + 1"))}


def cancelled(bare: psycopg.Connection[Any]) -> bool:
    """Cancel a long query as soon as it says that it runs."""
    bare.add_notice_handler(lambda _: bare.cancel_safe())
    try:
        bare.execute("DO $$ BEGIN RAISE NOTICE 'it runs'; PERFORM pg_sleep(600); END $$")
    except psycopg.errors.QueryCanceled:
        bare.rollback()
        return True
    return False


if __name__ == "__main__":
    main()
