"""pg_hba.conf as PostgreSQL reads it: its lines, what is wrong with one, and which connections one speaks of."""

from pgbearer.hba.line import Line, Token
from pgbearer.hba.parse import MAX_LINES, MAX_TEXT, Parsed, parse
from pgbearer.hba.reach import Reach, reach, shadowed

__all__ = ["MAX_LINES", "MAX_TEXT", "Line", "Parsed", "Reach", "Token", "parse", "reach", "shadowed"]
