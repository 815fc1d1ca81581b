"""Verify an access token for one issuer; key sets and their refresh."""
