"""The slips that checks know by name, one sentence each."""

import re
from collections.abc import Iterable

SWAPPED = ("batch and time swapped: batches come as (B, T), inside the "
           "network time comes first, (T, B)")
NOT_CARRIED = ("state not carried from step to step: each step needs the "
               "state that the step before has made")
START_IGNORED = ("the state handed in is ignored: the first step must start "
                 "from it, not from zeros")
OLD_STATE = ("the state handed in is returned; expected the one after the "
             "last step")
NOT_DETACHED = ("state not detached between batches: keep its numbers and "
                "forget the steps that led to them (detach)")
CELL_LOST = ("the LSTM's cell state is lost: C has to be carried from step to "
             "step, and returned, next to H")
GATE_ORDER = "the gates are in the wrong order"
MISSING_BIAS = "a missing bias"
TARGETS = ("off-by-one targets: the target of a token is the token right "
           "after it")
CLIP_EACH = ("clipping each parameter by itself: one factor, from the norm "
             "over all gradients together, has to scale them all")
CLIP_VALUE = ("clipping by value: it changes the direction; scale all "
              "gradients by one factor")
NOT_ZEROED = ("gradients not zeroed: backward() adds to what is there, so "
              "they have to go back to zero after (or before) every step")
ARGMAX_AXIS = ("argmax over the wrong axis: take it over the vocabulary, in "
               "the row of the last step")
SOFTMAX = ("softmax before the cross-entropy: F.cross_entropy takes the "
           "scores (logits) as they are and does the softmax itself")
WIDTH = ("one-hot of the wrong width: as many places as the vocabulary has "
         "tokens (V), whatever tokens the batch happens to hold")
UNKNOWN = ("unknown tokens crash: a token that is not in the vocabulary has "
           "index 0")
TIES = ("ties in the vocabulary: tokens with the same count keep the order of "
        "their first appearance")
ORDER = ("order of the vocabulary: <unk>, then the reserved tokens, then the "
         "most frequent token first")
WRONG_COUNT = ("the loss is divided by the wrong count: it is a mean over "
               "tokens, B * T of them in a batch")
OVER_BATCHES = ("perplexity averaged over batches instead of tokens: a short "
                "batch counts as much as a long one; add up the loss of all "
                "tokens, divide once, then take exp")
REUSED = ("the random sampler reuses subsequences: each may be drawn once in "
          "an epoch")
DROPPED = ("the random sampler drops subsequences: every one that fills a "
           "batch is used, and one token more than the last row is enough")
NO_GRADIENT = ("the graph is cut: torch.no_grad, detach, .data, .item or "
               "numpy in the forward pass leaves nothing for backward")
NOTHING = "no `return` (what is printed is shown, not handed back)"
CHANGED = "the list handed in was changed: work on a copy, list(...)"
FLOATS = ("floats in place of indices: torch.tensor keeps whole numbers, "
          "torch.Tensor and .float() do not")
NO_TENSOR = ("a list is no tensor yet: torch.tensor makes one of numbers, "
             "torch.stack or torch.cat one of tensors")

# What PyTorch and Python say, and what it most often means here.
ERRORS = (
    (r"backward through the graph a second time", NOT_DETACHED),
    (r"leaf Variable that requires grad is being used in an in-place",
     "the update itself must not be recorded: do it inside `with "
     "torch.no_grad():`"),
    (r"modified by an inplace operation", "a tensor that backward still needs "
     "was changed in place; or " + NOT_DETACHED),
    (r"does not require grad and does not have a grad_fn", NO_GRADIENT),
    (r"input\.size\(-1\) must be equal to input_size|"
     r"Class values must be smaller than num_classes", WIDTH),
    (r"Expected hidden(\[\d\])? size", SWAPPED),
    (r"hx should also be|unbatched 2-D", "a layer takes one-hot inputs (T, B, "
     "V) and a state (L, B, H): three axes each"),
    (r"inconsistent (input_size|hidden_size)|inconsistent hidden",
     "shapes that do not fit: torch.nn keeps its weights transposed, a "
     "row for each unit"),
    (r"before Module\.__init__",
     "`super().__init__()` is missing: it comes first in __init__"),
    (r"only one element tensors can be converted|"
     r"only 0-dimensional arrays can be converted", "one number is expected "
     "where a tensor has several: torch.tanh works on tensors, math.tanh does "
     "not; torch.stack or torch.cat joins tensors, torch.tensor does not"),
    (r"numpy\(\) on Tensor that requires grad", "no numpy where gradients "
     "have to pass; elsewhere .detach() comes before it, or torch.no_grad()"),
    (r"invalid for input of size", "a reshape to sizes that do not fit: read "
     "them off a tensor (.shape) instead of writing numbers"),
    (r"one_hot is only applicable to index",
     "F.one_hot takes indices, whole numbers: .float() comes after it, "
     "and what is one-hot already needs none"),
    (r"'tuple' object does not support item assignment",
     "a tuple cannot be changed: make a new one"),
    (r"stack expects each tensor to be equal size|"
     r"Sizes of tensors must match|expected sequence of length",
     "a row at the end is shorter than the others: keep one token back "
     "for the last target, and leave out rows that fill no batch"),
    (r"mat1 and mat2 shapes cannot be multiplied|"
     r"size of tensor a .* must match the size of tensor b", "shapes that do "
     "not fit: " + SWAPPED + "; or two matrices are mixed up"),
    (r"Expected input batch_size|Expected target size",
     "logits and targets in different shapes: both need one row for each "
     "token, in the same order. Perhaps " + SWAPPED),
    (r"'NoneType' object has no attribute '(zero_|data)'", "there is no "
     "gradient: param = param - ... makes a new tensor that has none (change "
     "the old one in place, param -= ...); or backward() comes later"),
    (r"'NoneType'.*(subscript|attribute|operand|iterable)|"
     r"(operand type.*|non-iterable )NoneType", "something is None: a "
     "function without `return`, a state before begin_state, or a gradient "
     "before backward()"),
    (r"'(tuple|list)' object has no attribute 'detach",
     "a state is a tuple of tensors: detach each of them"),
    (r"unpack|iterate over a 0-d|object is not iterable",
     "a tuple of another length than expected: look at what goes in and "
     "what comes out (a tuple of one is written (H,))"),
    (r"expected scalar type|must have the same dtype|found dtype|"
     r"does not match weight dtype",
     "whole numbers where the network needs floats: .float()"),
    (r"has no attribute 'params'", "not every model keeps a list of that "
     "name: model.parameters() gives the parameters of any"),
    (r"'float' object has no attribute 'backward'", "backward() needs the "
     "loss as a tensor: .item() or float() comes after it"),
    (r"math range error|Numerical result out of range|int too large",
     "exp of a number far too large: a sum over tokens has to be divided "
     "by their number before exp"),
    (r"empty separator",
     "list(line) gives the characters of a line; split() cuts it at spaces"),
    (r"positional argument|unexpected keyword",
     "the first line of the function was changed: keep its arguments"),
    (r"not defined", "a name that no cell has defined: run the cells above"),
)


def matching(table: Iterable[tuple[str, str]], text: str) -> str:
    """The sentence of the first pattern that is found; may be empty."""
    return next((words for pattern, words in table if re.search(
        pattern, text, re.IGNORECASE | re.DOTALL)), "")
