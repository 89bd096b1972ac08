"""The embedded demo: a DeepLab graph in the official layout, trained on generated road scenes."""
