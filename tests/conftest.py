"""Fixtures stand in fix_*.py by topic; this file only names them and prints what is under test."""

pytest_plugins = [
    "tests.fix_machine",
    "tests.e2e.fix_keycloak",
    "tests.e2e.fix_stack",
    "tests.e2e.fix_kinds",
    "tests.e2e.fix_agents",
    "tests.e2e.fix_kinds_door",
    "tests.e2e.fix_deciders",
    "tests.e2e.fix_decided",
    "tests.e2e.fix_debian_server",
    "tests.e2e.fix_post_quantum",
    "tests.integration.fix_issuer",
    "tests.unit.fix_tokens",
    "tests.integration.fix_postgres",
    "tests.integration.fix_service",
    "tests.integration.fix_chain",
    "tests.integration.fix_proxy",
    "tests.integration.fix_decider",
    "tests.e2e.fix_kubernetes",
    "tests.e2e.fix_spire",
    "tests.attacks.fix_door",
]
