"""psycopg connections that log in with a token, and where a token may go."""
