"""The corpus and its vocabulary: (max_tokens=-1) to (tensor, Vocab)."""

from collections import Counter
from functools import cache
from itertools import chain, islice

import numpy
import torch

import labutils
from labutils import Vocab, clean_line, tokenize

from . import slip
from .Vocab import right_as_in_the_notebook as StudentVocab


@cache
def raw():
    return labutils.find_corpus(download=False).text.splitlines()


@cache
def lines():
    return [clean_line(line) for line in raw()]


@cache
def chars():
    return tokenize(lines(), "char")


def flat():
    return [token for line in chars() for token in line]


def right_as_in_the_notebook(max_tokens=-1):
    vocab = StudentVocab(chars())
    tokens = flat()
    if max_tokens > 0:
        tokens = tokens[:max_tokens]
    return torch.tensor(vocab[tokens]), vocab


def right_as_in_the_book(max_tokens=-1):
    tokens = tokenize(labutils.read_time_machine(), "char")
    vocab = Vocab(tokens)
    corpus = [vocab[token] for line in tokens for token in line]
    if max_tokens > 0:
        corpus = corpus[:max_tokens]
    return torch.tensor(corpus), vocab


def right_encoded_whole_then_cut(max_tokens=-1, token="char"):
    vocab = Vocab(chars())
    corpus = torch.cat([
        torch.tensor(vocab[line], dtype=torch.long) for line in chars()])
    return [corpus if max_tokens < 0 else corpus[:max_tokens], vocab]


def right_one_string(max_tokens=-1):
    text = "".join(lines())
    vocab = Vocab([list(text)])
    end = len(text) if max_tokens == -1 else max_tokens
    return torch.LongTensor([vocab[c] for c in text[:end]]), vocab


def right_with_islice_and_numpy(max_tokens=None):
    vocab = Vocab(chars())
    stop = None if max_tokens in (None, -1) else max_tokens
    kept = list(islice(chain.from_iterable(chars()), stop))
    indices = numpy.array([vocab[token] for token in kept])
    return torch.from_numpy(indices), vocab


@slip("the last token is cut off")
def wrong_cut_at_minus_one(max_tokens=-1):
    vocab = Vocab(chars())
    return torch.tensor(vocab[flat()[:max_tokens]]), vocab


@slip("max_tokens is not used")
def wrong_never_cut(max_tokens=-1):
    vocab = Vocab(chars())
    return torch.tensor(vocab[flat()]), vocab


@slip("the vocabulary is made of the part that is kept")
def wrong_vocabulary_of_the_part(max_tokens=-1):
    tokens = flat()
    if max_tokens > 0:
        tokens = tokens[:max_tokens]
    vocab = Vocab([tokens])
    return torch.tensor(vocab[tokens]), vocab


@slip("words in place of characters")
def wrong_words(max_tokens=-1):
    tokens = tokenize(lines())
    vocab = Vocab(tokens)
    corpus = [vocab[token] for line in tokens for token in line]
    return torch.tensor(corpus[:max_tokens or None]), vocab


@slip("words in place of characters")
def wrong_words_cut_well(max_tokens=-1):
    tokens = tokenize(lines())
    vocab = Vocab(tokens)
    corpus = [vocab[token] for line in tokens for token in line]
    if max_tokens > 0:
        corpus = corpus[:max_tokens]
    return torch.tensor(corpus), vocab


@slip("something stands between two lines")
def wrong_spaces_between_lines(max_tokens=-1):
    text = " ".join(lines())
    vocab = Vocab(chars())
    if max_tokens > 0:
        text = text[:max_tokens]
    return torch.tensor(vocab[list(text)]), vocab


@slip("something stands between two lines")
def wrong_newlines_between_lines(max_tokens=-1):
    text = "\n".join(lines())
    vocab = Vocab([list(text)])
    if max_tokens > 0:
        text = text[:max_tokens]
    return torch.tensor(vocab[list(text)]), vocab


@slip("max_tokens counts tokens, not lines")
def wrong_lines_cut(max_tokens=-1):
    vocab = Vocab(chars())
    kept = chars()[:max_tokens] if max_tokens > 0 else chars()
    return torch.tensor([vocab[t] for line in kept for t in line]), vocab


@slip("not cleaned")
def wrong_raw_text(max_tokens=-1):
    vocab = Vocab([list(line) for line in raw()])
    corpus = [vocab[token] for line in raw() for token in line]
    return torch.tensor(corpus[:max_tokens] if max_tokens > 0 else corpus
                        ), vocab


@slip("not cleaned")
def wrong_lower_case_alone(max_tokens=-1):
    tokens = [list(line.lower()) for line in raw()]
    vocab = Vocab(tokens)
    corpus = [vocab[token] for line in tokens for token in line]
    return torch.tensor(corpus[:max_tokens] if max_tokens > 0 else corpus
                        ), vocab


@slip("a list is no tensor yet")
def wrong_list(max_tokens=-1):
    vocab = Vocab(chars())
    tokens = flat()
    return vocab[tokens[:max_tokens] if max_tokens > 0 else tokens], vocab


@slip("torch.tensor keeps whole numbers")
def wrong_floats(max_tokens=-1):
    vocab = Vocab(chars())
    tokens = flat()
    if max_tokens > 0:
        tokens = tokens[:max_tokens]
    return torch.Tensor(vocab[tokens]), vocab


@slip("vocabulary and corpus are swapped")
def wrong_swapped(max_tokens=-1):
    corpus, vocab = right_as_in_the_notebook(max_tokens)
    return vocab, corpus


@slip("both have to be returned")
def wrong_corpus_alone(max_tokens=-1):
    return right_as_in_the_notebook(max_tokens)[0]


@slip("no `return`")
def wrong_no_return(max_tokens=-1):
    corpus, vocab = right_as_in_the_notebook(max_tokens)
    print(len(corpus), len(vocab))


@slip("the default is the whole text")
def wrong_default(max_tokens=10_000):
    return right_as_in_the_notebook(max_tokens)


@slip("one token too few")
def wrong_one_token_less(max_tokens=-1):
    corpus, vocab = right_as_in_the_notebook()
    return (corpus[:max_tokens - 1] if max_tokens > 0 else corpus), vocab


@slip("one token too many")
def wrong_one_token_more(max_tokens=-1):
    corpus, vocab = right_as_in_the_notebook()
    return (corpus[:max_tokens + 1] if max_tokens > 0 else corpus), vocab


@slip("order of the vocabulary")
def wrong_alphabet(max_tokens=-1):
    class Letters(Vocab):
        def __init__(self):
            self.idx_to_token = ["<unk>", *sorted({*flat()})]
            self.token_to_idx = {
                t: i for i, t in enumerate(self.idx_to_token)}

    vocab, tokens = Letters(), flat()
    if max_tokens > 0:
        tokens = tokens[:max_tokens]
    return torch.tensor(vocab[tokens]), vocab


@slip("<unk> counts too")
def wrong_no_unknown_token(max_tokens=-1):
    class NoUnknown(Vocab):
        def __init__(self):
            self.idx_to_token = [t for t, _ in Counter(flat()).most_common()]
            self.token_to_idx = {
                t: i for i, t in enumerate(self.idx_to_token)}

    vocab, tokens = NoUnknown(), flat()
    if max_tokens > 0:
        tokens = tokens[:max_tokens]
    return torch.tensor(vocab[tokens]), vocab


@slip("the end of the text where its beginning")
def wrong_end_of_the_text(max_tokens=-1):
    corpus, vocab = right_as_in_the_notebook()
    return (corpus[-max_tokens:] if max_tokens > 0 else corpus), vocab


@slip("one dimension")
def wrong_two_dimensions(max_tokens=-1):
    corpus, vocab = right_as_in_the_notebook(max_tokens)
    return corpus.reshape(-1, 1), vocab


@slip("make one flat list")
def wrong_lines_encoded(max_tokens=-1):
    vocab = Vocab(chars())
    return torch.tensor([vocab[line] for line in chars()]), vocab


@slip("do not belong together")
def wrong_another_vocabulary(max_tokens=-1):
    corpus, vocab = right_as_in_the_notebook(max_tokens)
    other = Vocab([sorted(vocab.idx_to_token[1:])])
    return corpus, other


@slip("words in place of characters")
def wrong_twice_words_of_the_part(max_tokens=-1):
    tokens = [word for line in tokenize(lines()) for word in line]
    if max_tokens > 0:
        tokens = tokens[:max_tokens]
    vocab = Vocab([tokens])
    return torch.tensor(vocab[tokens]), vocab
