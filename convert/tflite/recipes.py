"""Lists the ways to store a network, and what each promises about its tensors."""

from __future__ import annotations

from dataclasses import dataclass

from edge.errors import UsageError


@dataclass(frozen=True, slots=True)
class Recipe:
    """A way to store a network. All that making it needs is here: another one is another row of `RECIPES`."""

    name: str
    weights: str  # dtype the large convolution weights are stored in
    activations: str  # dtype between the operators, the model's input and output included
    min_agreement: float  # share of pixels that must be as in the re-targeted graph
    quantizer: str = ""  # LiteRT's quantization recipe; empty where TensorFlow Lite's converter stores the weights

    @property
    def calibrated(self) -> bool:
        """Whether frames are needed to find the ranges of activations."""
        return bool(self.quantizer)


RECIPES = {
    recipe.name: recipe
    for recipe in (
        Recipe("float32", "float32", "float32", 0.99),
        Recipe("float16", "float16", "float32", 0.99),
        Recipe("dynamic", "int8", "float32", 0.95),
        Recipe("int8", "int8", "int8", 0.95, quantizer="static_wi8_ai8"),
    )
}
FLOAT = RECIPES["float32"]  # what calibrated recipes are quantized from


def parse_recipes(text: str) -> list[Recipe]:
    """Returns the recipes of `float32,int8`, in the order given, each once. Raises UsageError."""
    names = [name.strip() for name in text.split(",") if name.strip()]
    for name in names:
        if name not in RECIPES:
            raise UsageError(f"unknown recipe {name!r}: expected some of {','.join(RECIPES)}")
    if not names:
        raise UsageError(f"no recipe given: expected some of {','.join(RECIPES)}")
    return [RECIPES[name] for name in dict.fromkeys(names)]
