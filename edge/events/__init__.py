"""Tells when what is seen meets rules: in lines, files, recordings and messages."""
