"""Rules and conditions: a pure function of verified claims and a request."""
