"""Django's database backend for PostgreSQL, with logins by token: ``ENGINE = "pgbearer.client.django"``."""
