# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Holds the Markdown files to two rules: each sentence is a line of its own, and each relative link leads somewhere.

With a sentence a line, a changed sentence is one changed line in a diff. Tables, code and headings stay as they are.
``--write`` breaks the lines; without it, files that would change are named and the exit code is 1, as it is for a broken link.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

_FENCE = re.compile(r"^\s*(```|~~~)")
_VERBATIM = re.compile(r"^\s*(\||#|<)|^\s*(>\s?)*([-*+]|\d+\.)?\s*$")
_BLOCK = re.compile(r"^(?P<indent>\s*(?:>\s?)*)(?P<marker>(?:[-*+]|\d+\.)\s+|)(?P<text>.*)$")
_CODE = re.compile(r"`[^`]*`")
_SENTENCE_END = re.compile(r"[.!?][\"')\]*_]*\s+(?!(?:[-*+]|\d+\.)\s)(?=[\"'(\[*_]*[A-Za-z0-9…\0])")
_ABBREVIATION = re.compile(r"(?:^|[\s(])(?:e\.g|i\.e|etc|cf|vs|No)\.$")
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+\s+(.*?)\s*#*$")


@dataclass
class _Paragraph:
    """Lines that Markdown shows as one flow of text."""

    first: str
    indent: str
    lines: list[str] = field(default_factory=list)

    def sentences(self) -> Iterator[str]:
        prefix = self.first
        for sentence in split(" ".join(self.lines)):
            yield prefix + sentence
            prefix = self.indent


def split(text: str) -> list[str]:
    """The sentences of a text. What is between backticks is never broken."""
    masked = _CODE.sub(lambda code: "\0" * len(code.group()), text)
    ends = [end.end() for end in _SENTENCE_END.finditer(masked) if not _ABBREVIATION.search(masked[: end.start() + 1])]
    return [text[begin:end].strip() for begin, end in zip([0, *ends], [*ends, len(text)])]


def one_sentence_a_line(text: str) -> str:
    """A Markdown text with each sentence on a line of its own."""
    written: list[str] = []
    paragraph: _Paragraph | None = None
    for line, is_code in _lines(text):
        block = _BLOCK.match(line)
        assert block is not None
        is_text = not (is_code or _VERBATIM.match(line))
        if paragraph is not None and (not is_text or block["marker"]):
            written += paragraph.sentences()
            paragraph = None
        if not is_text:
            written.append(line)
        elif paragraph is None:
            first = block["indent"] + block["marker"]
            paragraph = _Paragraph(first, block["indent"] + " " * len(block["marker"]), [block["text"].strip()])
        else:
            paragraph.lines.append(block["text"].strip())
    if paragraph is not None:
        written += paragraph.sentences()
    return "\n".join(written) + "\n"


def _lines(text: str) -> Iterator[tuple[str, bool]]:
    """Each line, and whether it is code between fences."""
    fenced = False
    for line in text.splitlines():
        fence = bool(_FENCE.match(line))
        yield line, fenced or fence
        fenced ^= fence


def broken_links(file: Path) -> Iterator[str]:
    """What is wrong with the relative links of a file, each in one sentence."""
    for number, (line, is_code) in enumerate(_lines(file.read_text()), 1):
        for target in [] if is_code else _LINK.findall(_CODE.sub("", line)):
            path, _sharp, anchor = target.partition("#")
            there = file.parent / path if path else file
            if re.match(r"[a-z]+:", target):
                continue
            if not there.exists():
                yield f"{file}:{number}: {path} is not there"
            elif anchor and anchor not in anchors(there.read_text()):
                yield f"{file}:{number}: {there} has no heading #{anchor}"


def anchors(text: str) -> set[str]:
    """The names under which the headings of a Markdown text can be linked to."""
    headings = (_HEADING.match(line) for line, is_code in _lines(text) if not is_code)
    return {re.sub(r"[^\w\- ]", "", heading[1].lower()).replace(" ", "-") for heading in headings if heading}


def _wrapped_wrongly(files: Iterable[Path], write: bool) -> Iterator[str]:
    for file in files:
        text = file.read_text()
        wanted = one_sentence_a_line(text)
        if text != wanted and write:
            file.write_text(wanted)
        elif text != wanted:
            lines = zip(text.splitlines(), [*wanted.splitlines(), ""])
            number = next((number for number, (is_, wanted_) in enumerate(lines, 1) if is_ != wanted_), 1)
            yield f"{file}:{number}: not one sentence a line; scripts/documents.py --write breaks it"


def main() -> None:
    """Check the named Markdown files, or break their lines."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--write", action="store_true", help="break the lines where they are wrong")
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE")
    arguments = parser.parse_args()
    faults = [*_wrapped_wrongly(arguments.files, arguments.write), *(fault for file in arguments.files for fault in broken_links(file))]
    print(*faults, sep="\n", end="\n" if faults else "")
    sys.exit(1 if faults else 0)


if __name__ == "__main__":
    main()
