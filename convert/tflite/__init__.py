"""The .tflite files of a network: recipes, quantization, metadata."""
