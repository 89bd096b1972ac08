"""Frozen graphs: read, understood, moved to another size and stride."""
