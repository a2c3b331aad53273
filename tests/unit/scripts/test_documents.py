# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is held of Markdown files: a sentence is a line, a link leads somewhere."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from scripts import documents


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("One. Two! Three?", ["One.", "Two!", "Three?"]),
        (
            "Run it again: it looks before it acts. `state: absent` goes back.",
            ["Run it again: it looks before it acts.", "`state: absent` goes back."],
        ),
        ("**Be safe.** A LUN is found by name.", ["**Be safe.**", "A LUN is found by name."]),
        ('"Not there." (Hyper-V) Look again.', ['"Not there."', "(Hyper-V) Look again."]),
        ("ONTAP 9.11.1 or later, e.g. `9.16`, i.e. REST.", ["ONTAP 9.11.1 or later, e.g. `9.16`, i.e. REST."]),
        ("The message `No. Not here.` says it.", ["The message `No. Not here.` says it."]),
        ("It is **real**. [this](a.md) tells more.", ["It is **real**.", "[this](a.md) tells more."]),
        ("It masks by initiator. tgt does not, etc. and so on.", ["It masks by initiator.", "tgt does not, etc. and so on."]),
        ("Names are not unique. vSphere has folders.", ["Names are not unique.", "vSphere has folders."]),
        ('It waits … and then it goes on. **"… undone"** is told.', ["It waits … and then it goes on.", '**"… undone"** is told.']),
    ],
)
def test_sentences_are_told_apart(text: str, sentences: list[str]) -> None:
    assert documents.split(text) == sentences


def test_a_paragraph_that_was_wrapped_becomes_one_line_for_each_sentence() -> None:
    assert (
        documents.one_sentence_a_line("The first line\ngoes on. The second\nis here.\n") == "The first line goes on.\nThe second is here.\n"
    )


def test_an_item_of_a_list_keeps_its_indentation() -> None:
    assert documents.one_sentence_a_line("- One. Two\n  more.\n- Next.\n") == "- One.\n  Two more.\n- Next.\n"


@pytest.mark.parametrize("text", ["```\nOne. Two.\nx\n```\n", "| a. B. | c |\n|---|---|\n", "# One. Two.\n", "<!-- One. Two. -->\n"])
def test_code_tables_headings_and_markup_stay_as_they_are(text: str) -> None:
    assert documents.one_sentence_a_line(text) == text


@given(st.text(alphabet="ab. A?`*-|#\n1>", max_size=60))
@example(">-\n? 1")
def test_what_was_broken_is_not_broken_again(text: str) -> None:
    broken = documents.one_sentence_a_line(text)
    assert documents.one_sentence_a_line(broken) == broken


@given(st.text(alphabet="abcA?!.\n ", max_size=60))
def test_no_word_is_lost(text: str) -> None:
    assert documents.one_sentence_a_line(text).split() == text.split()


@pytest.fixture
def guide(tmp_path: Path) -> Path:
    (tmp_path / "other.md").write_text("# A heading, `code` and more\n\n```\n# no heading\n```\n")
    return tmp_path / "guide.md"


@pytest.mark.parametrize(
    "link",
    ["other.md", "other.md#a-heading-code-and-more", "https://example.com/nowhere", "#here", "."],
)
def test_a_link_that_leads_somewhere_is_no_fault(guide: Path, link: str) -> None:
    guide.write_text(f"# Here\n\nSee [it]({link}).\n")
    assert list(documents.broken_links(guide)) == []


@pytest.mark.parametrize(
    ("link", "fault"),
    [
        ("missing.md", "missing.md is not there"),
        ("other.md#no-heading", "other.md has no heading #no-heading"),
        ("#nowhere", "guide.md has no heading #nowhere"),
    ],
)
def test_a_link_that_leads_nowhere_is_named_with_its_line(guide: Path, link: str, fault: str) -> None:
    guide.write_text(f"# Here\n\nSee [it]({link}).\n")
    (told,) = documents.broken_links(guide)
    assert told.startswith(f"{guide}:3: ")
    assert told.endswith(fault)


def test_what_is_code_is_no_link(guide: Path) -> None:
    guide.write_text("`[it](missing.md)`\n\n```\n[it](missing.md)\n```\n")
    assert list(documents.broken_links(guide)) == []


@pytest.mark.parametrize(("write", "code", "left"), [(False, 1, "One. Two.\n"), (True, 0, "One.\nTwo.\n")])
def test_the_lines_are_broken_only_when_that_is_asked_for(
    guide: Path, monkeypatch: pytest.MonkeyPatch, write: bool, code: int, left: str
) -> None:
    guide.write_text("One. Two.\n")
    monkeypatch.setattr("sys.argv", ["documents.py", *(["--write"] if write else []), str(guide)])
    with pytest.raises(SystemExit) as end:
        documents.main()
    assert (end.value.code, guide.read_text()) == (code, left)
