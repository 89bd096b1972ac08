"""How well models label pictures whose labels are known."""
