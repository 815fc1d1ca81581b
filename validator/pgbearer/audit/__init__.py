"""The decision record, written before the answer."""
