"""pgbearer.yaml to typed settings, with every problem at once."""
