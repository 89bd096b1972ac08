"""Files of class names: plain text, CSV or JSON, with the colours where a file has them."""
