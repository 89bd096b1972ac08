"""DeepLab networks, built as frozen graphs in the official layouts."""
