from __future__ import annotations

import nets
import pytest
from ai_edge_litert.schema_py_generated import BuiltinOperator
from ai_edge_litert.tools import flatbuffer_utils

from convert.tflite.export import convert, save
from convert.tflite.first_run import meet_runtime
from convert.tflite.recipes import RECIPES
from edge.errors import ConversionError

pytestmark = pytest.mark.tensorflow
HW = (33, 49)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    folder = tmp_path_factory.mktemp("saved")
    save(nets.network(HW), HW, folder)
    return convert(folder, RECIPES["float32"])


def test_a_file_that_the_runtime_survives_comes_back(model: bytes) -> None:
    assert meet_runtime(model, "float32") is model


def test_a_file_that_ends_its_process_is_one_clear_line(model: bytes) -> None:
    parsed = flatbuffer_utils.read_model_from_bytearray(bytearray(model))
    for code in parsed.operatorCodes:
        if code.builtinCode == BuiltinOperator.MEAN:  # with the options of a mean, which the runtime reads as a split's
            code.builtinCode = code.deprecatedBuiltinCode = BuiltinOperator.SPLIT
    hostile = bytes(flatbuffer_utils.convert_object_to_bytearray(parsed))
    crashed = r"^int8: the runtime crashes over the file .* \(exit code -\d+, SIG"
    with pytest.raises(ConversionError, match=crashed) as caught:
        meet_runtime(hostile, "int8")
    assert "\n" not in str(caught.value)
