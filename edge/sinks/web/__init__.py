"""The web page as a sink."""
