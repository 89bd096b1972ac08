"""Where a frozen graph comes from."""
