"""What PostgreSQL does that `pgbearer cnpg check` and the pages go by."""

import re
import subprocess
from pathlib import Path

import pytest

from tests.integration.fix_postgres import MakeServer

BECOMES = """
SET SESSION AUTHORIZATION writer;
UPDATE pg_group SET grosysid = 999999 WHERE groname = 'people';
UPDATE pg_group SET grosysid = (
    SELECT roleid FROM pg_auth_members WHERE member = 'writer'::regrole AND roleid NOT IN (SELECT oid FROM pg_roles)
) WHERE groname = 'dba';
SET ROLE dba;
SELECT current_setting('is_superuser');
"""


def test_who_writes_all_data_becomes_a_superuser_that_cannot_log_in(postgres_server: MakeServer) -> None:
    """If it does so no more, `people_write_no_roles` of pgbearer.cnpg.about_roles, and the pages, say too much."""
    server = postgres_server()
    server.sql("CREATE ROLE people")
    server.sql("CREATE ROLE dba SUPERUSER")
    server.sql("CREATE ROLE writer LOGIN IN ROLE people, pg_read_all_data, pg_write_all_data")
    assert server.sql(BECOMES) == "on"


def test_who_writes_all_data_takes_groups_away(postgres_server: MakeServer) -> None:
    """By their names pg_hba.conf and pgbearer.forbid_passwords know them."""
    server = postgres_server({"pgbearer.forbid_passwords": "+people"})
    server.sql("CREATE ROLE people")
    server.sql("CREATE ROLE writer LOGIN IN ROLE people, pg_write_all_data")
    renamed = "UPDATE pg_group SET groname = 'x' WHERE groname = 'people'"
    server.sql(f"SET SESSION AUTHORIZATION writer; {renamed}; ALTER ROLE writer PASSWORD 'x'")
    assert server.sql("SELECT rolpassword IS NOT NULL FROM pg_authid WHERE rolname = 'writer'") == "t"


def test_what_the_page_has_against_it_keeps_groups_as_they_are(postgres_server: MakeServer) -> None:
    page = Path("docs/cloudnativepg.md").read_text()
    (remedy,) = re.findall(r"`(SET allow_system_table_mods = on; ALTER VIEW [^`]*;)`", page)
    server = postgres_server()
    server.sql("CREATE ROLE people")
    server.sql("CREATE ROLE writer LOGIN IN ROLE people, pg_read_all_data, pg_write_all_data")
    server.sql(remedy)
    for change in ("UPDATE pg_group SET groname = 'x'", "UPDATE pg_group SET grosysid = 1", "DELETE FROM pg_group"):
        with pytest.raises(subprocess.CalledProcessError) as refused:
            server.sql(f"SET SESSION AUTHORIZATION writer; {change} WHERE groname = 'people'")
        assert "permission denied for table pg_authid" in refused.value.stderr
    assert server.sql("SELECT groname FROM pg_group WHERE groname = 'people'") == "people"
