"""asyncpg by way of pgbearer proxy.

The driver reads PGHOST (a folder is a Unix socket's), PGPORT, PGUSER, PGDATABASE and PGPASSFILE by itself.
"""

import asyncio
import json
from typing import Any

import asyncpg  # type: ignore[import-untyped]


async def main() -> None:
    """Connect, use the connection, and say as one line of JSON what came of it."""
    connection = await asyncpg.connect()
    try:
        print(json.dumps(await used(connection)))
    finally:
        await connection.close()


async def used(connection: Any) -> dict[str, object]:
    """What it is used for here."""
    who = await connection.fetchrow("SELECT system_user, current_user")
    said = {**who, "sum": await connection.fetchval("SELECT $1::int + $2::int", 40, 2)}
    await connection.execute("CREATE TEMPORARY TABLE numbers (number int)")
    await connection.copy_records_to_table("numbers", records=[(1,), (2,), (3,)])
    said["copied"] = await connection.fetchval("SELECT count(*) FROM numbers")
    try:
        await connection.execute("SELECT pg_sleep(600)", timeout=1)  # seconds; then it sends a cancel request
        said["cancelled"] = False
    except TimeoutError:
        said["cancelled"] = True
    return {**said, "after": await connection.fetchval("SELECT 1 + 1")}


asyncio.run(main())
