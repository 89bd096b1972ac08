"""What `convert-model --list` shows: the official models."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict

from convert.models.official import address
from convert.models.zoo import LICENCE, MODELS, SOURCE, OfficialModel
from edge.cli.terminal import fitted

USUAL = "val, one scale"


def show(as_json: bool) -> None:
    """Prints the official models as a table, or as JSON."""
    if as_json:
        print(json.dumps([_row(name, model) for name, model in MODELS.items()], indent=1))  # noqa: T201
        return
    from rich.console import Console

    console = Console()
    console.print(_table())
    for line in _notes():
        console.print(fitted(line, sys.stdout), highlight=False, soft_wrap=True)


def _row(name: str, model: OfficialModel) -> dict[str, object]:
    return {"name": name, "address": address(name), "licence": LICENCE, **asdict(model)}


def _table() -> object:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    made = Table(box=SIMPLE_HEAD, padding=0, show_edge=False, pad_edge=False)
    made.add_column("model", no_wrap=True)
    for name in ("mIoU", "stride", "GMAC", "counted", "at 513x1025", "MB"):
        made.add_column(name, justify="right", no_wrap=True)
    for name, model in MODELS.items():
        made.add_row(
            name,
            f"{model.mean_iou:.2f} %",
            str(model.measured_stride),
            "-" if model.published_gmac is None else f"{model.published_gmac:g}",
            f"{model.gmac:g}",
            f"{model.gmac_513x1025:g}",
            f"{model.megabytes:g}",
        )
    return made


def _notes() -> list[str]:
    different = "; ".join(f"{name} on {model.measured}" for name, model in MODELS.items() if model.measured != USUAL)
    return [
        "",
        f"mIoU of 1025x2049 at that output stride on {USUAL} ({different}), GMAC and MB of the download are published:",
        f"  {SOURCE}",
        "counted: GMAC of 1025x2049, and of 513x1025, at the stride that convert-model takes by itself",
        f"licence: {LICENCE}, that of the repository that publishes them; Cityscapes' pictures have terms of their own",
        "int8, as far as it was measured:",
        *(f"  {name}: {model.int8 or 'not known'}" for name, model in MODELS.items()),
    ]
