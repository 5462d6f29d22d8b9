"""The open exercises of notebook 1, done with what the course offers."""

import re
from collections import Counter

import torch
from solutions.Vocab import right_as_in_the_notebook as Vocab

import labutils
from labutils import plots
from labutils.corpus import practice_text

LINES = practice_text().text.splitlines()


def clean_line(line, kept=""):
    """The notebook's, which may keep some punctuation as well."""
    return re.sub(f"[^A-Za-z{kept}]+", " ", line).strip().lower()


def test_rare_words_become_unknown():
    words = labutils.tokenize(map(clean_line, LINES))
    every, frequent = Vocab(words), Vocab(words, min_freq=5)
    flat = [word for line in words for word in line]
    unknown = sum(frequent[word] == 0 for word in flat) / len(flat)
    # Most of the words go, and with them the smaller part of the text.
    assert len(frequent) < len(every) / 4
    assert 0 < unknown < 0.5


def test_punctuation_can_be_kept():
    found = {}
    for kept in ("", ".,?"):
        lines = [clean_line(line, kept) for line in LINES]
        chars = labutils.tokenize(lines, "char")
        found[kept] = Vocab(chars), sum(map(len, chars))
    (plain, N), (richer, N_richer) = found.values()
    assert set(richer.idx_to_token) - set(plain.idx_to_token) == set(".,?")
    # By a character for each mark, and one more where it stands alone.
    marks = sum(map("".join(LINES).count, ".,?"))
    assert N + marks / 2 < N_richer < N + 2 * marks
    assert {*richer.idx_to_token[:11]} == {*plain.idx_to_token[:11]}


def test_a_text_of_ones_own_is_counted(tmp_path):
    path = tmp_path / "mine.txt"
    path.write_text("我們回到家,天就黑了。\n我們 don't 家", encoding="utf-8")
    with path.open(encoding="utf-8") as file:
        text = file.read()
    # \w knows every script; without spaces, characters are the next best.
    words = re.findall(r"\w+", text.lower())
    assert "don" in words and "我們回到家" in words
    signs = Counter(re.findall(r"\w", text)).most_common()
    assert ("家", 2) in signs
    ax = plots.plot_frequencies({
        "words": [n for _, n in Counter(words).most_common()],
        "signs": [n for _, n in signs]})
    assert torch.tensor(ax.lines[1].get_ydata()).sum() == sum(
        n for _, n in signs)
