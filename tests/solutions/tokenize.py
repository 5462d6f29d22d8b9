"""Lines to tokens: (lines, token="word") to a list of lists of strings."""

import re

from . import slip


def right_as_in_the_notebook(lines, token="word"):
    if token == "word":
        return [line.split() for line in lines]
    if token == "char":
        return [list(line) for line in lines]
    raise ValueError(f"unknown kind of token {token!r}: word or char")


def right_with_loops_and_appends(lines, token="word"):
    if token not in ("word", "char"):
        raise ValueError(token)
    result = []
    for line in lines:
        tokens = []
        for piece in line.split() if token == "word" else line:
            tokens.append(piece)
        result.append(tokens)
    return result


def right_with_a_table_of_functions(lines, kind="word"):
    cut = {"word": str.split, "char": list}
    try:
        return list(map(cut[kind], lines))
    except KeyError:
        raise ValueError("kind is word or char") from None


def right_with_expressions(lines, token="word"):
    pattern = {"word": r"[^ ]+", "char": "."}.get(token)
    if pattern is None:
        raise ValueError
    return [re.findall(pattern, line) for line in lines]


def right_with_its_own_error(lines, token="word"):
    class UnknownTokenError(ValueError):
        pass

    match token:
        case "word":
            return [[w for w in line.split(" ") if w] for line in lines]
        case "char":
            return [[*line] for line in lines]
    raise UnknownTokenError(token)


class right_as_a_class_with_call:  # noqa: N801
    """Made once, called like the function; gives tuples."""

    def __new__(cls, lines, token="word"):
        return tuple(map(tuple, right_as_in_the_notebook(lines, token)))


@slip("words and characters are mixed up")
def wrong_kinds_mixed_up(lines, token="word"):
    if token == "char":
        return [line.split() for line in lines]
    if token == "word":
        return [list(line) for line in lines]
    raise ValueError(token)


@slip("words and characters are mixed up")
def wrong_always_characters(lines, token="word"):
    if token in ("word", "char"):
        return [list(line) for line in lines]
    raise ValueError(token)


@slip("one flat list: each line keeps a list of its own")
def wrong_flat(lines, token="word"):
    tokens = []
    for line in lines:
        tokens += line.split() if token == "word" else list(line)
    return tokens


@slip("one flat list: each line keeps a list of its own")
def wrong_flat_inside_a_list(lines, token="word"):
    text = " ".join(lines) if token == "word" else "".join(lines)
    return [text.split() if token == "word" else list(text)]


@slip("empty lines are left out")
def wrong_empty_lines_left_out(lines, token="word"):
    if token == "word":
        return [line.split() for line in lines if line]
    return [list(line) for line in lines if line]


@slip("an empty line gives [''] with split(' ')")
def wrong_split_at_each_space(lines, token="word"):
    if token == "word":
        return [line.split(" ") for line in lines]
    if token == "char":
        return [list(line) for line in lines]
    raise ValueError(token)


@slip("the spaces are characters too")
def wrong_no_spaces(lines, token="word"):
    if token == "word":
        return [line.split() for line in lines]
    return [list(line.replace(" ", "")) for line in lines]


@slip("the characters of each word must not stand in lists of their own")
def wrong_three_levels(lines, token="word"):
    words = [line.split() for line in lines]
    if token == "char":
        return [[list(word) for word in line] for line in words]
    return words


@slip("the list handed in was changed")
def wrong_in_place(lines, token="word"):
    if token not in ("word", "char"):
        raise ValueError(token)
    for i in range(len(lines)):
        lines[i] = lines[i].split() if token == "word" else list(lines[i])
    return lines


@slip("no `return`")
def wrong_printed(lines, token="word"):
    for line in lines:
        print(line.split() if token == "word" else list(line))


@slip("`return` stands inside the loop")
def wrong_return_in_the_loop(lines, token="word"):
    tokens = []
    for line in lines:
        tokens.append(line.split() if token == "word" else list(line))
        return tokens


@slip("only the last line is left")
def wrong_last_line_alone(lines, token="word"):
    for line in lines:
        tokens = [line.split() if token == "word" else list(line)]
    return tokens


@slip("the lines are in another order")
def wrong_lines_backwards(lines, token="word"):
    tokens = []
    for line in lines:
        tokens.insert(0, line.split() if token == "word" else list(line))
    return tokens


@slip("the tokens of a line are in another order")
def wrong_tokens_backwards(lines, token="word"):
    return [line[::-1] for line in right_as_in_the_notebook(lines, token)]


@slip("raise ValueError")
def wrong_kind_printed_as_in_the_book(lines, token="word"):
    if token == "word":
        return [line.split() for line in lines]
    elif token == "char":
        return [list(line) for line in lines]
    else:
        print("unknown kind of token: " + token)


@slip("raise ValueError")
def wrong_everything_else_is_characters(lines, token="word"):
    if token == "word":
        return [line.split() for line in lines]
    return [list(line) for line in lines]


@slip("raise ValueError")
def wrong_error_of_a_table(lines, token="word"):
    return [{"word": str.split, "char": list}[token](x) for x in lines]


@slip("the default is words")
def wrong_default(lines, token="char"):
    return right_as_in_the_notebook(lines, token)


@slip("keep its arguments")
def wrong_no_default(lines, token):
    return right_as_in_the_notebook(lines, token)


@slip("a token that has been there before is a token again")
def wrong_each_token_once(lines, token="word"):
    if token == "word":
        return [list(dict.fromkeys(line.split())) for line in lines]
    return [list(dict.fromkeys(line)) for line in lines]


@slip("a token that has been there before is a token again")
def wrong_sets(lines, token="word"):
    if token == "word":
        return [set(line.split()) for line in lines]
    return [set(line) for line in lines]


@slip("the lines come back as they went in")
def wrong_nothing_done(lines, token="word"):
    return lines


@slip("a string in place of a list of its characters")
def wrong_strings_for_characters(lines, token="word"):
    if token == "word":
        return [line.split() for line in lines]
    if token == "char":
        return lines
    raise ValueError(token)


@slip("can be read only once")
def wrong_generator(lines, token="word"):
    for line in lines:
        yield line.split() if token == "word" else list(line)


@slip("the last character of each line is missing")
def wrong_line_end_cut_off(lines, token="word"):
    # There is a newline in a file, but none in these lines.
    lines = [line[:-1] for line in lines]
    return right_as_in_the_notebook(lines, token)


@slip("words and characters are mixed up")
def wrong_twice_mixed_up_and_without_empty_lines(lines, token="word"):
    lines = [line for line in lines if line]
    if token == "word":
        return [list(line) for line in lines]
    return [line.split() for line in lines]


@slip("an error of another kind")
def wrong_not_implemented_error(lines, token="word"):
    if token not in ("word", "char"):
        raise NotImplementedError(token)
    return right_as_in_the_notebook(lines, token)
