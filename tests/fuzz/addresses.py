"""Addresses by chance: whatever is written into one, no message may show what opens it."""

from __future__ import annotations

import random
import string
from pathlib import Path

from case import Case
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from edge.address import public
from edge.data import SourceInfo
from edge.errors import SinkError, SourceError, UsageError
from edge.sinks.open import open_sink
from edge.sinks.web.address import parse_address
from edge.sources.network import SCHEMES, check_address
from edge.sources.open import open_source
from edge.sources.options import SourceOptions

MARK = "S3cr3t"  # by which a secret is found again
EXAMPLES = 60
NOWHERE = "127.0.0.1:1"  # where nobody listens, which is said at once

words = st.text(string.ascii_letters + string.digits + "-._~%", max_size=8)
odd = st.text(st.characters(exclude_categories=["Cs", "Z", "Cc"]), max_size=6)
schemes = st.sampled_from([*SCHEMES, "RTSP", "Http", "ftp", "file", "concat", "web", "udp", "x+y.z-1"])
secrets = st.builds(lambda a, b: f"{a}{MARK}{b}", odd, odd)
hosts = st.one_of(st.just(NOWHERE), st.just("[::1]:1"), words)


@st.composite
def addresses(draw: st.DrawFn) -> str:
    """An address with a password, a query, a fragment, or all of them, that hold `MARK`."""
    user = f"{draw(words)}:{draw(secrets)}@"
    query = draw(st.sampled_from(["?token=", "?user=a&password=", "#", "?x#"])) + draw(secrets).replace("@", "%40")
    kept = draw(st.sampled_from([(user, ""), ("", query), (user, query)]))
    return f"{draw(schemes)}://{kept[0]}{draw(hosts)}/{draw(words)}{kept[1]}"


def check_hidden(address: str, before: str, after: str) -> None:
    """`public` shows no secret, of an address alone or in a sentence, and changes nothing at the second time."""
    for text in (address, f"{before} {address} {after}", f"'{address}': {after}", f"({address})."):
        shown = public(text)
        assert MARK not in shown, (text, shown)
        assert public(shown) == shown, (text, shown)


def check_refused(address: str) -> None:
    """A source or an output that cannot be opened says so, without the secret."""
    for opening in (check_address, parse_address, _open_output):
        try:
            opening(address)
        except (UsageError, SinkError) as exc:
            assert MARK not in str(exc), exc
    if NOWHERE not in address:
        return
    try:
        open_source(address, SourceOptions(timeout_s=1.0)).close()
    except (UsageError, SourceError) as exc:
        assert MARK not in str(exc), exc
        assert "\n" not in str(exc)
    else:
        raise AssertionError(f"{address} was opened")


def check_any_text(text: str) -> None:
    """Whatever a source or an output is called, only our own errors come of it."""
    assert public(public(text)) == public(text)
    for opening in (check_address, parse_address, _open_here):
        try:
            opening(text)
        except (UsageError, SourceError):
            continue


def _open_output(spec: str) -> None:
    open_sink(spec, SourceInfo("s", None, None, None)).close()


def _open_here(text: str) -> None:
    if "://" not in text and not text.strip("0123456789/."):
        return  # a camera, or the whole disk
    if text not in ("auto", "demo", "-") and "://" not in text:
        open_source(text).close()


def attack(number: int, examples: int = EXAMPLES) -> None:
    """Runs every check on examples that the number chooses. Raises AssertionError with the smallest that fails."""
    checks = (
        given(addresses(), words, words)(check_hidden),
        given(addresses())(check_refused),
        given(st.one_of(st.text(max_size=40), addresses(), st.from_regex(r"\w*:/*[@?#/:]*\w*", fullmatch=True)))(
            check_any_text
        ),
    )
    for check in checks:
        bounded = settings(
            max_examples=examples,
            database=None,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            phases=[Phase.generate, Phase.shrink],
        )(seed(number)(check))
        bounded()


def make(chance: random.Random, material: Path) -> Case:
    """A batch of addresses."""
    number = chance.randrange(2**32)
    return Case("addresses", [str(number)], check=lambda: attack(number))
