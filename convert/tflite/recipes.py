"""The ways to store a network, and what each promises about its tensors."""

from __future__ import annotations

from dataclasses import dataclass

from edge.errors import UsageError


@dataclass(frozen=True, slots=True)
class Recipe:
    name: str
    weights: str  # dtype the large convolution weights are stored in
    activations: str  # dtype between the operators, the model's input and output included
    calibrated: bool  # needs frames to find the ranges of activations
    min_agreement: float  # share of pixels that must be as in the re-targeted graph


RECIPES = {
    recipe.name: recipe
    for recipe in (
        Recipe("float32", "float32", "float32", False, 0.99),
        Recipe("float16", "float16", "float32", False, 0.99),
        Recipe("dynamic", "int8", "float32", False, 0.95),
        Recipe("int8", "int8", "int8", True, 0.95),
    )
}


def parse_recipes(text: str) -> list[Recipe]:
    """`float32,int8` -> recipes, in the order given, each once. Raises UsageError."""
    names = [name.strip() for name in text.split(",") if name.strip()]
    for name in names:
        if name not in RECIPES:
            raise UsageError(f"unknown recipe {name!r}: expected some of {','.join(RECIPES)}")
    if not names:
        raise UsageError(f"no recipe given: expected some of {','.join(RECIPES)}")
    return [RECIPES[name] for name in dict.fromkeys(names)]
