"""Who has handed in what: from a folder as it comes to a list of students."""

import contextlib
import hashlib
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import compress
from pathlib import Path, PurePosixPath
from typing import Any

from nbformat import NotebookNode

from labkit.course import LESSONS, title
from labstaff.grading import archives
from labstaff.grading.archives import ARCHIVE, NOTEBOOK, Call, Found, readable
from labstaff.grading.matching import CourseNotebook, match
from labstaff.grading.results import GradeError

# ---- names
# Some universities begin their numbers with a letter or two.
NUMBER = re.compile(
    r"(?<![0-9])((?:(?<![A-Za-z])[A-Za-z]{1,2})?[0-9]{6,12})(?![0-9])")
DATE = re.compile(r"20[0-3]\d(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])$")
# What follows a name in the files that learning platforms export.
TAIL = re.compile(
    r"(?is)(?<![a-z])的?(lab|hw|homework|assign\w*|attempt|submission|report|"
    r"final|copy|new|last|rnn|lstm|第[\d一二三四五六七八九十]{1,3}次|大?作业|"
    r"实验|提交|补交|附件|副本|期[中末]|最终|报告|循环神经|从零|\(\d+\)|"
    r"20\d\d([-_.年月]\d\d?){2}|20\d{12})(?![a-z]).*$")
EDGES = " -_.,;+()[]【】—、"
# What stands beside the hand-ins: lists, and what was written about them.
PAPER = re.compile(r"(?<!\.ipynb)\.(([ct]sv|xlsx?)|txt|md|rtf|pdf|docx?|wps|"
                   r"pptx?|json|xml|log|url|lnk|png|jpe?g|gif)$", re.I)
CHINESE = re.compile(r"[\u3400-\u9fff·]+")
WORD = re.compile(r"[^\W\d_]+")
LONGEST = 60  # characters of a key

# ---- which notebook it is
CELL = re.compile(r"nb(\d\d)-\d\d$")
SHARED = 3  # of the cells known: so many make a notebook the course's
SAME = 120  # seconds: what was downloaded together has dates so close
COURSE = tuple(lesson.stem for lesson in LESSONS)

Tree = dict[str, Any]  # what is below each name: trees again


@dataclass(frozen=True)
class _Entry:
    """A student's file or folder; in an archive of the class, inside it."""

    name: str
    place: Path
    inside: str = ""


@dataclass
class Submission:
    """What one student has handed in."""

    key: str  # safe as a folder's name, another one for each student
    name: str  # as it is shown
    entries: list[_Entry]
    doubts: list[str]  # what a person should look at before the grading
    # For each notebook of the course the newest version.
    files: dict[str, Found] = field(default_factory=dict)
    # For each of these which file it is and why it counts, in words.
    chosen: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    # Why a file, or a notebook of the course, was not taken.
    refused: dict[str, str] = field(default_factory=dict)

    def why_not(self, stem: str) -> str:
        """Why a notebook is refused; empty where none was handed in."""
        return self.refused.get(stem) or "; ".join(  # it may be in these
            f"{path}: {reason}" for path, reason in
            sorted(self.refused.items()) if path not in COURSE)[:500]


def find(
    submissions: Path, asked: Sequence[CourseNotebook],
    roster: Path | None = None,
    call: Call = lambda function, *args: function(*args),
) -> tuple[list[Submission], list[str]]:
    """Read a folder, or an archive, of submissions, and change nothing in it:
    the students, and what a person should look at before the grading.

    Args:
        asked: the notebooks to be graded.
        roster: the class, as `read_roster` takes it.
        call: calls what reads archives, as `archives.limited` does.

    Raises:
        GradeError: it is not there, or empty.
    """
    names = read_roster(roster) if roster else {}
    if not submissions.exists():
        raise GradeError(
            f"There is no {submissions}. Name the folder, or the zip file, "
            "with what the students have handed in.")
    try:
        paths = call(archives.names, submissions)
    except Exception as error:  # archives fail in many ways
        raise GradeError(f"{submissions} is no folder, and no zip file that "
                         f"can be read ({error}).") from None
    found = [one for one in _entries(submissions, _tree(paths), call)
             if not roster or one.place.resolve() != roster.resolve()]
    strays = [one.name for one in found if _is_stray(one.name, names)]
    entries = [one for one in found if one.name not in strays]
    if not entries:
        raise GradeError(f"{submissions} holds no folder, zip file or "
                         "notebook. Expected one for each student.")
    students = _students(entries, names)
    for student in students:
        files: list[Found] = []
        for entry in student.entries:
            try:
                files += call(archives.read, entry.place, entry.inside)
            except Exception as error:  # and the others are graded
                files.append(Found(entry.name, refused=str(error)))
        _take(student, files, asked, call)
    said = [doubt for student in students for doubt in student.doubts]
    if strays:
        said.insert(0, f"{', '.join(strays)}: left out, as no student's. If "
                    "one is, put the number into its name.")
    return students, said


def read_roster(path: Path) -> dict[str, str]:
    """The class's names by their numbers: a line for each, number and name.

    Raises:
        GradeError: it is not there, or holds none.
    """
    try:
        text = archives.decoded(path.read_bytes())
    except OSError as error:
        raise GradeError(f"The roster cannot be read: {error}") from None
    found: dict[str, str] = {}
    for line in unicodedata.normalize("NFKC", text).splitlines():
        parts = [part.strip(' "') for part in re.split(r"[,;\t]", line)]
        if len(parts) == 1:
            parts = line.split(maxsplit=1)
        numbers = [p for p in parts if re.fullmatch(r"\w*\d{4,12}", p)]
        others = [p for p in parts if p and p not in numbers]
        if numbers and others:
            found[numbers[0].upper()] = others[0]
    if not found:
        raise GradeError(f"{path} holds no line with a number and a name, "
                         "such as 20231234,张三.")
    return found


# ---- entries


def _tree(paths: Iterable[str]) -> Tree:
    root: Tree = {}
    for path in paths:
        below = root
        for part in path.split("/"):
            if not part or part.startswith(".") or part in archives.IGNORED:
                break
            below = below.setdefault(part, {})
    return root


def _entries(place: Path, tree: Tree, call: Call,
             inside: str = "") -> Iterator[_Entry]:
    """Each student's; folders and archives of a class are looked into."""
    alone = sum(not PAPER.search(name) for name in tree) == 1
    on_disk = place.is_dir()
    for name, below in sorted(tree.items()):
        path = place / inside / name if on_disk else place
        shown, members = readable(name), {}
        if on_disk and path.is_file() and ARCHIVE.search(name) and (
                alone or not _number(shown)):
            with contextlib.suppress(Exception):  # refused when it is read
                members = _tree(call(archives.names, path))
        if _is_class(shown, members, alone):
            yield from _entries(path, members, call)
        elif _is_class(shown, below, alone):
            yield from _entries(place, below, call, f"{inside}{name}/")
        else:
            yield _Entry(shown, path, "" if on_disk else f"{inside}{name}")


def _is_class(name: str, tree: Tree, alone: bool) -> bool:
    """Whether what is below a name belongs to several students."""
    own = _number(name)
    tree = {c: below for c, below in tree.items() if not PAPER.search(c)}
    numbers = {_number(readable(child)) for child in tree} - {""}
    # What is there alone may be a class without numbers, and so on below.
    inner = alone and not own and len(tree) == 1
    if len(numbers - {own}) > 1 or any(
            _is_class(readable(child), below, inner)
            for child, below in tree.items()):
        return True
    parts = "notebooks", "data", "results"
    holders = [child for child, below in tree.items() if child.lower()
               not in parts and (below or ARCHIVE.search(child))]
    return alone and not own and (
        bool(numbers) or 1 < len(holders) == len(tree))


def _is_stray(name: str, roster: Mapping[str, str]) -> bool:
    """Whether a loose file is the platform's and no student's."""
    number, paper = _number(name), PAPER.search(name)
    if not paper or _whose(name, roster)[0] in roster:
        return False
    # A list may have a date in its name.
    return not number or bool(DATE.match(number) and (roster or paper[2]))


# ---- students


def _number(text: str) -> str:
    """The student number in a name; of several the first that is no date."""
    numbers = NUMBER.findall(unicodedata.normalize("NFKC", text))
    likely = [one for one in numbers if not DATE.match(one)] or numbers
    return likely[0].upper() if likely else ""


def _stem(name: str) -> str:
    """A name without its ending, to be shown."""
    name = ARCHIVE.sub("", NOTEBOOK.sub("", name))
    return "".join(c if c.isprintable() else " " for c in name)


def _shown(name: str) -> str:
    """What in a name is neither number nor notebook nor assignment."""
    text = unicodedata.normalize("NFKC", _stem(name))
    for stem in COURSE:
        text = text.replace(stem, "")
    parts = re.split(re.escape(_number(text)) or "$", text, maxsplit=1,
                     flags=re.I)
    cut = [TAIL.sub("", part).strip(EDGES) for part in parts]
    return " ".join(filter(None, cut))


def _student(name: str) -> tuple[str, str]:
    """Key and shown name, from the name of a folder or file."""
    rest, whole = _shown(name), _stem(name)
    if number := _number(whole):
        return number, f"{number} {rest}".strip()
    return _key(rest or whole, whole), rest or whole.strip() or "nameless"


def _key(shown: str, name: str) -> str:
    safe = re.sub(r"[^\w.-]+", "-", shown).strip("-.") or "nameless"
    if safe != shown or len(safe) > LONGEST:  # two must not become one
        mark = hashlib.sha256(name.encode("utf-8", "replace")).hexdigest()[:6]
        safe = f"{safe[:LONGEST]}-{mark}"
    return safe


def _differ(one: str, other: str) -> bool:
    """Whether two names are surely not the same person's."""
    chinese = [CHINESE.findall(name) for name in (one, other)]
    if any(chinese):  # one may be in Pinyin
        return all(chinese) and not any(
            a in b or b in a for a in chinese[0] for b in chinese[1])
    words = [WORD.findall(name.casefold()) for name in (one, other)]
    return all(words) and not {*words[0]} & {*words[1]}


def _students(
    entries: Iterable[_Entry], roster: Mapping[str, str]
) -> list[Submission]:
    """Whose each entry is: first come those of the roster, in its order, with
    those who have none."""
    groups: dict[str, list[_Entry]] = {number: [] for number in roster}
    doubts: dict[str, list[str]] = defaultdict(list)
    for entry in entries:
        key, said = _whose(entry.name, roster)
        groups.setdefault(key, []).append(entry)
        doubts[key] += [f"{entry.name}: {doubt}" for doubt in said]
    found = []
    for key in (*roster, *sorted(groups.keys() - roster.keys())):
        known = roster.get(key, "")
        for own, theirs in _people(known, groups[key]).items():
            number, said = key, doubts[key]
            shown = f"{key} {own}" if own else min(
                (_student(entry.name)[1] for entry in theirs),
                key=lambda name: (name == key, len(name), name))
            if own != known:
                number = _key(f"{key}-{own}", f"{key}-{own}")
                said = [*said, f"{shown}: another name has the number {key}, "
                        "too: each has a row. If they are one person, say so "
                        "with --roster."]
            found.append(Submission(number, shown, theirs, said))
    return found


def _whose(name: str, roster: Mapping[str, str]) -> tuple[str, list[str]]:
    """A student's key, and what is to be looked at."""
    key, said = _student(name)[0], []
    others = {*NUMBER.findall(_stem(name))} - {key}
    known = [n.upper() for n in (key, *others) if n.upper() in roster]
    if known:
        key = known[0]
    elif any(not DATE.match(n) for n in others):
        said.append(f"several numbers; {key} was taken.")
    times = Counter(roster.values())
    named = max((n for n, own in roster.items()
                 if own in name and times[own] == 1),
                key=lambda n: len(roster[n]), default=key)
    if named != key and NUMBER.search(key):
        said.append(f"the number is {roster.get(key, 'nobody')}'s on the "
                    f"roster; taken for {roster[named]}'s, by the name.")
    elif roster and named not in roster:
        said.append("not on the roster.")
    return named, said


def _people(known: str, some: list[_Entry]) -> dict[str, list[_Entry]]:
    """Those with one number, by name; several where names surely differ."""
    people: dict[str, list[_Entry]] = {known: []}
    names = [(_shown(entry.name), entry) for entry in some]
    for shown, entry in sorted(names, key=lambda x: (len(x[0]), x[0])):
        own = next((name for name in people
                    if name and not _differ(name, shown)), shown)
        people.setdefault(own, []).append(entry)
    if not known and len(people) == 2:
        return {"": some}
    return {own: theirs for own, theirs in people.items() if own or theirs}


# ---- notebooks


def _take(student: Submission, found: Sequence[Found],
          asked: Sequence[CourseNotebook], call: Call) -> None:
    """Take of each notebook that is asked for the version that counts."""
    versions: dict[str, list[Found]] = defaultdict(list)
    strange, others = {}, {}
    for one in sorted(found, key=lambda one: one.other):
        named = _named(one.path)
        if one.other:
            others[one.path] = one.refused
            if named and named not in versions and not one.path.endswith(
                    (".html", ".pdf", ".png")):
                student.refused.setdefault(named, f"{one.path}: {one.refused}")
        elif one.refused:
            student.refused[named or one.path] = one.refused
        elif stem := _which(one):
            versions[stem].append(one)
        elif not PurePosixPath(one.path).name.startswith("extra_"):
            strange[one.path] = "not recognised as a notebook of the course"
    for course in asked:
        if course.stem in versions:
            _choose(student, course, versions[course.stem], call)
    if not versions:
        student.notes.append("No notebook of the course was found.")
        if not student.refused:
            student.refused |= strange | dict([*others.items()][:5])
        strange = {}
    told = [*strange.items(), *sorted(student.refused.items())]
    student.notes += [
        f"{path}: {why}." for path, why in told if path not in COURSE]


def _choose(student: Submission, course: CourseNotebook,
            versions: list[Found], call: Call) -> None:
    """Take the newest of those in which something was written; the dates of
    the files handed in come first."""
    stem = course.stem
    # `labutils run` writes copies among the results.
    some = [one for one in versions if "results" not in
            PurePosixPath(one.path).parts] or versions
    written = some
    if len({one.digest for one in some}) > 1:
        with contextlib.suppress(Exception):  # matching takes too much
            written = [*compress(some, call(
                _written, [one.notebook for one in some], course))]
        some = written or some

    def age(one: Found) -> tuple[list[int], Sequence[float]]:
        return [round(when / SAME) for when in one.times], one.times[1:]

    newest = max(some, key=lambda one: (*age(one), [
        part.zfill(9) for part in re.findall(r"\d+|\D+", one.path)]))
    path = PurePosixPath(newest.path)
    words = newest.path
    if len({one.digest for one in some}) > 1:
        same = any(one.digest != newest.digest and age(one) == age(newest)
                   for one in some)
        why = "by its name: the dates are equal" if same else "the newest"
        when = f"{datetime.fromtimestamp(newest.times[0]):%Y-%m-%d %H:%M}"
        words += f" ({why} of {len(some)} versions, {when})"
        said = f"{stem}: {len(some)} versions; {path}, {why}, counts."
        if same and written:
            student.doubts.append(f"{student.name}, {said} Remove the others "
                                  "if it should not.")
        else:
            student.notes.append(said)
    elif len(some) > 1:
        words += f" ({len(some)} versions, all equal)"
    if stem not in path.stem:
        student.notes.append(f"{stem}: handed in as {path.name}.")
    student.files[stem], student.chosen[stem] = newest, words


def _written(notebooks: Sequence[NotebookNode],
             course: CourseNotebook) -> list[bool]:
    """In which of them something was written for an exercise."""
    return [any(match(one, course).attempts.values()) for one in notebooks]


def _which(file: Found) -> str:
    """The course's notebook that this is, by its cells, name or title."""
    counts = Counter(match[1] for cell in file.notebook.cells
                     if (match := CELL.fullmatch(cell.id)))
    heading = title(file.notebook)
    by_cells = (stem for number, count in counts.most_common()
                if count >= SHARED
                for stem in COURSE if stem.startswith(number))
    by_title = (stem for stem in COURSE
                if heading.startswith(f"{int(stem[:2])}. "))
    return next(by_cells, "") or _named(file.path) or next(by_title, "")


def _named(path: str) -> str:
    """The course's notebook whose name is in that of a file."""
    name = PurePosixPath(path).name
    return next((stem for stem in COURSE if stem in name), "")
