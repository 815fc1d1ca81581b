"""Fixtures stand in fix_*.py by topic; this file only names them and prints what is under test."""

pytest_plugins: list[str] = []
