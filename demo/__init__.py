"""What `make demo` does: the real parts on one machine, and the story of three people told with them."""
