"""Prints the metadata of a model as tflite-support reads it, and the names of the files in it, as JSON."""

from __future__ import annotations

import json
import sys


def main(model: str) -> None:
    sys.modules["tensorflow"] = None  # type: ignore[assignment]  # which it would import where it is there

    from tflite_support import metadata

    shown = metadata.MetadataDisplayer.with_model_file(model)
    json.dump([json.loads(shown.get_metadata_json()), shown.get_packed_associated_file_list()], sys.stdout)


main(sys.argv[1])
