"""How a token is had from an authorization server: each grant as steps, and what a person sees of it."""
