"""What pyproject.toml cannot say: the long description is README.md without what leads nowhere outside the project."""

import re
from pathlib import Path

from setuptools import setup

PICTURES = r"!\[[^]]*\]\((?!https?:)[^)]*\)\n*"
NAMED_BY_PATH = r"\[(?P<path>[^]]+)\]\((?P=path)\)"
OTHER_FILES = r"\[(?P<text>[^]]+)\]\((?!https?:|#)(?P<path>[^)]+)\)"
NOTE = """\
*The commands below are run in the project's folder, which the source archive (`.tar.gz`) holds, with all pages that are
named here.*

"""


def description(readme: str) -> str:
    """A note after the title and first paragraph, and the names of files where they were linked."""
    text = re.sub(PICTURES, "", readme)
    text = re.sub(NAMED_BY_PATH, r"`\g<path>`", text)
    text = re.sub(OTHER_FILES, r"\g<text> (`\g<path>`)", text)
    head, rest = text.split("## ", 1)
    return f"{head}{NOTE}## {rest}"


setup(
    long_description=description((Path(__file__).parent / "README.md").read_text(encoding="utf-8")),
    long_description_content_type="text/markdown",
)
