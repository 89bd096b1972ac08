"""Holds the colours of the page, for light and for dark, and its layout for desks, phones and paper.

Red says one thing, that something failed or is over the budget; it is never the only thing that says it.
"""

from __future__ import annotations

import re

INK, QUIET, LINE, ACCENT, DOT, BAD, WARM = (
    "#1f2328",
    "#57606a",
    "#d8dee4",
    "#0b57d0",
    "#5b7f95",
    "#b3121d",
    "#9a5800",
)
STAGES = {"preprocess": "#6fb1d6", "invoke": "#24518a", "postprocess": "#d98c3f", "render": "#7fae4b"}

_DARK = {
    INK: "#e6e6e6",
    QUIET: "#a0a8b0",
    LINE: "#343b44",
    ACCENT: "#8ab4f8",
    DOT: "#7d9bb0",
    BAD: "#ff8a80",
    WARM: "#f0b35e",
    "#6fb1d6": "#8cc7ea",
    "#24518a": "#5b8fd6",
    "#d98c3f": "#e0a366",
    "#7fae4b": "#98c566",
    "#ffffff": "#14181d",
    "#fff4e0": "#33270f",
}
_COLOUR = re.compile("|".join(_DARK))


def following(style: str) -> str:
    """Returns CSS whose colours, those above as they are for light, follow light and dark."""
    return _COLOUR.sub(lambda found: f"var(--c{found[0][1:]})", style)


def _variables(dark: bool) -> str:
    return "; ".join(f"--c{light[1:]}: {other if dark else light}" for light, other in _DARK.items())


_LAYOUT = f"""
html {{ background: #ffffff }}
body {{ font: 16px/1.5 system-ui, sans-serif; color: {INK}; max-width: 1240px; margin: 2rem auto; padding: 0 1rem }}
h1 {{ font-size: 1.6rem; margin-bottom: 0 }} h2 {{ font-size: 1.2rem; margin-top: 2.2rem }}
h1, h2, p, li {{ overflow-wrap: anywhere }} figure {{ margin: 0; min-width: 0 }}
.scroll {{ overflow-x: auto }} table {{ border-collapse: collapse; font-size: 13px }}
th, td {{ padding: .3rem .5rem; text-align: right; border-bottom: 1px solid {LINE}; font-weight: normal }}
td {{ white-space: nowrap }} thead th {{ vertical-align: bottom; color: {QUIET} }}
tbody th {{ text-align: left; min-width: 11rem; max-width: 22rem; overflow-wrap: anywhere; background: #ffffff }}
[aria-label="Every pair"] tbody th, [aria-label="IoU of each class"] tbody th {{ min-width: 6rem }}
.scroll th:first-child {{ position: sticky; left: 0 }}
td.text, th.text {{ text-align: left }} td.long {{ white-space: normal; overflow-wrap: anywhere }}
td.long span {{ display: inline-block; max-width: min(60rem, calc(100vw - 13rem)) }}
tr.doubtful td {{ color: {WARM} }} tr.front th {{ font-weight: 600; color: {ACCENT} }}
tr.failed th, tr.failed td, tr td.over {{ color: {BAD} }} td.over {{ font-weight: 600 }}
.warning {{ background: #fff4e0; border-left: 4px solid {WARM}; padding: .4rem .8rem; margin: .4rem 0 }}
.plots, .pictures {{ display: grid; gap: 1.5rem 2rem }}
.plots, .pictures {{ grid-template-columns: repeat(auto-fill, minmax(min(100%, 27rem), 1fr)) }}
.plots h2 {{ margin: 1rem 0 .4rem }} .plots svg {{ width: 100%; height: auto; display: block }}
.pictures img {{ width: 100%; height: auto; display: block; border-radius: 4px }}
.quiet, figcaption {{ color: {QUIET} }} figcaption b {{ color: {INK} }}
figcaption {{ font-size: 14px; margin-top: .4rem }}
.seen {{ display: flex; flex-wrap: wrap; gap: 0 1em }} .seen span {{ white-space: nowrap }}
.seen i {{ display: inline-block; width: .8em; height: .8em; border-radius: 2px; border: 1px solid {QUIET} }}
.seen i {{ margin-right: .3em }}
code {{ font-size: 13px; overflow-wrap: anywhere }}
@media (max-width: 640px) {{
  body {{ margin: 1rem auto }}
  tbody th {{ min-width: 9.5rem; max-width: 10rem }} td.text {{ white-space: normal }}
}}
@media print {{
  body {{ max-width: none; margin: 0; font-size: 12px }} .scroll {{ overflow: visible }}
  table {{ font-size: 8.5px }} th, td {{ padding: .2rem .3rem }} td {{ white-space: normal }}
  tbody th {{ min-width: 0 }} td.long span {{ display: inline; max-width: none }} figcaption {{ font-size: 10px }}
  .plots {{ grid-template-columns: 1fr 1fr }} .pictures {{ grid-template-columns: 1fr 1fr 1fr; gap: 1rem }}
  figure, tr, .warning {{ break-inside: avoid }} h2 {{ break-after: avoid }} thead {{ display: table-header-group }}
  .seen i, .warning {{ print-color-adjust: exact }}
}}
@page {{ size: A4 landscape; margin: 12mm }}
"""

CSS = f""":root {{ color-scheme: light dark; {_variables(dark=False)} }}
@media screen and (prefers-color-scheme: dark) {{ :root {{ {_variables(dark=True)} }} }}
{following(_LAYOUT)}"""
