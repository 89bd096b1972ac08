"""Moves labels along with what they name, from the frame that was labelled to the frame that is shown."""
