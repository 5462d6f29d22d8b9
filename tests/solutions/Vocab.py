"""Tokens and indices: (tokens, min_freq=0, reserved_tokens=()) to a class.

`tokens` is a list of lines, each a list of tokens. len(vocab), vocab[token],
vocab[list], to_tokens(index or list); idx_to_token, token_freqs.
"""
# ruff: noqa: N801, the names of these classes are sentences

from collections import Counter, defaultdict
from itertools import chain

from . import slip


class right_as_in_the_notebook:
    def __init__(self, tokens, min_freq=0, reserved_tokens=()):
        self.token_freqs = self.count(tokens)
        frequent = [t for t, freq in self.token_freqs
                    if freq >= min_freq and t not in reserved_tokens]
        self.idx_to_token = ["<unk>", *reserved_tokens, *frequent]
        self.token_to_idx = {t: i for i, t in enumerate(self.idx_to_token)}

    def count(self, tokens):
        return Counter(t for line in tokens for t in line).most_common()

    def __len__(self):
        return len(self.idx_to_token)

    def __getitem__(self, tokens):
        if isinstance(tokens, str):
            return self.token_to_idx.get(tokens, 0)
        return [self[token] for token in tokens]

    def to_tokens(self, indices):
        if isinstance(indices, int):
            return self.idx_to_token[indices]
        return [self.idx_to_token[index] for index in indices]


Notebook = right_as_in_the_notebook


class right_as_in_the_book(Notebook):
    def __init__(self, tokens=None, min_freq=0, reserved_tokens=None):
        tokens = tokens or []
        counter = Counter(chain.from_iterable(tokens))
        self._token_freqs = sorted(
            counter.items(), key=lambda x: x[1], reverse=True)
        self.idx_to_token = ["<unk>"] + (reserved_tokens or [])
        self.token_to_idx = {t: i for i, t in enumerate(self.idx_to_token)}
        for token, freq in self._token_freqs:
            if freq < min_freq:
                break
            if token not in self.token_to_idx:
                self.idx_to_token.append(token)
                self.token_to_idx[token] = len(self.idx_to_token) - 1

    def __getitem__(self, tokens):
        if not isinstance(tokens, (list, tuple)):
            return self.token_to_idx.get(tokens, 0)
        return [self.__getitem__(token) for token in tokens]

    def to_tokens(self, indices):
        if not isinstance(indices, (list, tuple)):
            return self.idx_to_token[indices]
        return [self.idx_to_token[index] for index in indices]

    @property
    def token_freqs(self):
        return self._token_freqs


class right_with_keywords_alone:
    """A dictionary from index to token."""

    def __init__(self, tokens, *, min_freq=0, reserved_tokens=()):
        counts = {}
        for token in chain.from_iterable(tokens):
            counts[token] = counts.get(token, 0) + 1
        self.token_freqs = sorted(
            ([t, n] for t, n in counts.items()), key=lambda pair: -pair[1])
        names = ["<unk>", *reserved_tokens]
        names += [t for t, n in self.token_freqs if not n < min_freq]
        names = list(dict.fromkeys(names))
        self.idx_to_token = dict(enumerate(names))
        self.index = defaultdict(int, {t: i for i, t in enumerate(names)})

    def __len__(self):
        return len(self.idx_to_token)

    def __getitem__(self, key):
        if type(key) is str:
            return self.index[key]
        return list(map(self.__getitem__, key))

    def to_tokens(self, indices):
        try:
            return list(map(self.idx_to_token.__getitem__, indices))
        except TypeError:
            return self.idx_to_token[indices]


def right_as_a_function(tokens, min_freq=0, reserved_tokens=()):
    return Notebook(tokens, min_freq, reserved_tokens)


def by_count(tokens, counts, least=0):
    return sorted((t for t in tokens if counts[t] >= least),
                  key=lambda t: -counts[t])


def order(words, make):
    """A class with its tokens in the order that `make` gives them.

    It takes reserved tokens, those of the text, counts and min_freq.
    """

    def init(self, tokens, min_freq=0, reserved_tokens=()):
        Notebook.__init__(self, tokens, min_freq, reserved_tokens)
        counts = Counter(t for line in tokens for t in line)
        names = make([*reserved_tokens], list(counts), counts, min_freq)
        self.idx_to_token = names
        self.token_to_idx = {t: i for i, t in enumerate(names)}

    return slip(words)(type("Ordered", (Notebook,), {"__init__": init}))


wrong_order_of_appearance = order(
    "order of the vocabulary", lambda r, t, counts, least:
    ["<unk>", *r, *(x for x in t if counts[x] >= least)])
wrong_alphabet = order(
    "order of the vocabulary",
    lambda r, t, *rest: ["<unk>", *r, *sorted(by_count(t, *rest))])
wrong_ties_by_the_alphabet = order(
    "ties in the vocabulary",
    lambda r, t, *rest: ["<unk>", *r, *by_count(sorted(t), *rest)])
wrong_ties_backwards = order(
    "ties in the vocabulary",
    lambda r, t, *rest: ["<unk>", *r, *by_count(t[::-1], *rest)])
wrong_no_unknown_token = order(
    "<unk> is missing", lambda r, t, *rest: [*r, *by_count(t, *rest)])
wrong_reserved_before_unknown = order(
    "<unk> has index 0",
    lambda r, t, *rest: [*r, "<unk>", *by_count(t, *rest)])
wrong_reserved_last = order(
    "reserved tokens come right after <unk>",
    lambda r, t, *rest: ["<unk>", *by_count(t, *rest), *r])
wrong_no_reserved = order(
    "the reserved tokens are left out",
    lambda r, t, *rest: ["<unk>", *by_count(t, *rest)])
wrong_min_freq_ignored = order(
    "min_freq is not used",
    lambda r, t, counts, least: ["<unk>", *r, *by_count(t, counts)])
wrong_more_than_min_freq = order(
    "exactly min_freq times is kept",
    lambda r, t, counts, least: ["<unk>", *r, *by_count(t, counts, least + 1)])
wrong_rare_ones_kept = order(
    "min_freq the wrong way round",
    lambda r, t, counts, least: [
        "<unk>", *r, *by_count([x for x in t if counts[x] < least], counts)])
wrong_twice_no_unknown_and_alphabet = order(
    "<unk> is missing",
    lambda r, t, *rest: [*r, *sorted(by_count(t, *rest))])


def changed(words, **methods):
    """The notebook's class with other methods, marked with its slip."""
    return slip(words)(type("Changed", (Notebook,), methods))


def later(words, what, make, **methods):
    """A class that in the end sets an attribute to something else."""

    def init(self, tokens, min_freq=0, reserved_tokens=()):
        Notebook.__init__(self, tokens, min_freq, reserved_tokens)
        setattr(self, what, make(self, min_freq, reserved_tokens))

    return changed(words, __init__=init, **methods)


def looked_up(one, several=None):
    """A __getitem__ of two functions, of vocab and a token or a list."""

    def getitem(self, tokens):
        if isinstance(tokens, str):
            return one(self, tokens)
        if several:
            return several(self, tokens)
        return [one(self, token) for token in tokens]

    return getitem


wrong_unknown_crashes = changed(
    "unknown tokens crash",
    __getitem__=looked_up(lambda self, token: self.token_to_idx[token]))
wrong_unknown_crashes_in_a_list = changed(
    "unknown tokens crash",
    __getitem__=looked_up(
        lambda self, token: self.token_to_idx.get(token, 0),
        lambda self, tokens: [self.token_to_idx[t] for t in tokens]))
wrong_unknown_is_none = changed(
    "an unknown token has the index of <unk>, 0",
    __getitem__=looked_up(lambda self, t: self.token_to_idx.get(t)))
wrong_grows = later(
    "has made the vocabulary longer", "token_to_idx",
    lambda self, *_: defaultdict(int, self.token_to_idx),
    __len__=lambda self: len(self.token_to_idx),
    __getitem__=looked_up(lambda self, token: self.token_to_idx[token]))
wrong_rare_tokens_keep_an_index = later(
    "a rare token is unknown", "token_to_idx",
    lambda self, least, reserved: {t: i for i, t in enumerate(
        ["<unk>", *reserved, *dict(self.token_freqs)])})
wrong_rare_tokens_not_counted = later(
    "rare tokens too", "token_freqs",
    lambda self, least, _: [p for p in self.token_freqs if p[1] >= least])
wrong_indices_from_one = later(
    "indices count from 0", "token_to_idx",
    lambda self, *_: {t: i for i, t in enumerate(self.idx_to_token, 1)})
wrong_reserved_tokens_grow = later(
    "the list handed in was changed", "idx_to_token",
    lambda self, _, reserved: (
        reserved.insert(0, "<unk>") or reserved.extend(
            self.idx_to_token[len(reserved):]) or reserved))
wrong_len_without_unknown = changed(
    "<unk> and reserved tokens included",
    __len__=lambda self: len(self.idx_to_token) - 1)
wrong_strings_taken_apart = changed(
    "a string is one token",
    __getitem__=lambda self, tokens: [
        self.token_to_idx.get(token, 0) for token in tokens])
wrong_no_lists = changed(
    "a list of tokens gives a list of indices",
    __getitem__=lambda self, tokens: self.token_to_idx.get(tokens, 0))
wrong_to_tokens_takes_lists_alone = changed(
    "one index gives one token",
    to_tokens=lambda self, indices: [self.idx_to_token[i] for i in indices])
wrong_to_tokens_joins = changed(
    "a list of indices gives a list of tokens",
    to_tokens=lambda self, indices: "".join(
        self.idx_to_token[i] for i in indices))
wrong_lines_counted = changed(
    "tokens is a list of lines",
    count=lambda self, tokens: Counter(tokens).most_common())
wrong_letters_counted = changed(
    "the words are taken apart",
    count=lambda self, tokens: Counter(
        "".join(chain.from_iterable(tokens))).most_common())
wrong_first_line_alone = changed(
    "only the first line is counted",
    count=lambda self, tokens: Counter(tokens[0]).most_common())


@slip("the list handed in was changed")
def wrong_lines_are_sorted(tokens, min_freq=0, reserved_tokens=()):
    vocab = Notebook(tokens, min_freq, reserved_tokens)
    for line in tokens:
        line.sort()
    return vocab


@slip("lists that belong to the class")
class wrong_one_list_for_all(Notebook):
    idx_to_token = ["<unk>"]  # noqa: RUF012
    token_to_idx = {"<unk>": 0}  # noqa: RUF012

    def __init__(self, tokens, min_freq=0, reserved_tokens=()):
        self.token_freqs = self.count(tokens)
        kept = [t for t, n in self.token_freqs if n >= min_freq]
        for token in [*reserved_tokens, *kept]:
            if token not in self.token_to_idx:
                self.token_to_idx[token] = len(self.idx_to_token)
                self.idx_to_token.append(token)


@slip("without them")
def wrong_default_reserved(tokens, min_freq=0, reserved_tokens=None):
    return Notebook(tokens, min_freq, reserved_tokens)


@slip("by default")
def wrong_default_min_freq(tokens, min_freq=2, reserved_tokens=()):
    return Notebook(tokens, min_freq, reserved_tokens)


@slip("keep its arguments")
def wrong_no_options(tokens):
    return Notebook(tokens)


@slip("a method is missing")
class wrong_no_len:
    __init__, count = Notebook.__init__, Notebook.count
    __getitem__, to_tokens = Notebook.__getitem__, Notebook.to_tokens


@slip("a method is missing")
class wrong_no_to_tokens:
    __init__, count = Notebook.__init__, Notebook.count
    __getitem__, __len__ = Notebook.__getitem__, Notebook.__len__


@slip("token_freqs is missing")
def wrong_no_counts(tokens, min_freq=0, reserved_tokens=()):
    vocab = Notebook(tokens, min_freq, reserved_tokens)
    del vocab.token_freqs
    return vocab


@slip("a reserved one that is also in the text")
class wrong_reserved_twice(Notebook):
    def __init__(self, tokens, min_freq=0, reserved_tokens=()):
        self.token_freqs = self.count(tokens)
        frequent = [t for t, freq in self.token_freqs if freq >= min_freq]
        self.idx_to_token = ["<unk>", *reserved_tokens, *frequent]
        self.token_to_idx = {t: i for i, t in enumerate(self.idx_to_token)}
