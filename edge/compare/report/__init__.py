"""What a comparison measured, as files."""
