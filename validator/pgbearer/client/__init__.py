"""Log in, hold the token, and connect with it."""
