"""What the cells of a notebook are, and which belong into the report."""

from collections.abc import Sequence
from dataclasses import dataclass

from nbformat import NotebookNode

from labkit.course import NO_ANSWER, grader, names_in
from labkit.pages import Shown, is_png, shown

STUB = "raise NotImplementedError()"
EMPTY_ANSWERS = {"", *NO_ANSWER.values()}
EDGES = ("### BEGIN SOLUTION", "### END SOLUTION")


@dataclass(frozen=True)
class Cell:
    """A cell with what the report has to know about it.

    Its kind is "code", "exercise" (code that a student writes), "check" (of
    one), "answer" (a written one that earns points), "discussion" or "text".
    """

    number: int  # its place in the notebook, from 1
    kind: str
    name: str  # of an exercise, and of the exercise that a check is for
    source: str
    count: int  # when it was executed; 0 where it was not
    heading: str  # the section's heading above it
    prompt: str  # the Markdown right above it
    outputs: tuple[Shown, ...]  # what it has shown, made harmless
    errors: tuple[str, ...]  # names of the exceptions that it ended with
    images: dict[str, str]  # PNGs pasted into it, by the address in its text
    uses: set[str]  # names from cells above, and also "labutils.train"
    defines: dict[str, str]  # names, and what they are: see `names_in`

    @property
    def is_code(self) -> bool:
        """Whether it is code other than a check."""
        return self.kind in ("code", "exercise")

    @property
    def written(self) -> bool:
        """Whether an answer is more than the words in its place."""
        return self.source.strip() not in EMPTY_ANSWERS

    @property
    def text(self) -> str:
        """The text that it has shown."""
        return "".join(one.text for one in self.outputs)


def read(
    notebook: NotebookNode, exercises: Sequence[str] = ()
) -> tuple[Cell, ...]:
    """The cells of a notebook, in order; empty ones with code are left out.

    Those of the exercises that have lost their mark are known by what they
    define, and their checks by what they call.
    """
    found, heading, prompt = [], "", ""
    marked = {str(grader(cell).get("grade_id")) for cell in notebook.cells
              if cell.cell_type == "code"}
    for number, cell in enumerate(notebook.cells, start=1):
        if cell.cell_type == "code" and not cell.source.strip():
            continue
        kind = _kind(cell)
        name = str(grader(cell).get("grade_id", "")).removeprefix("check_")
        # Without the marks of the instructors' edition around solutions.
        source = "\n".join(line for line in cell.source.split("\n")
                           if line.strip() not in EDGES)
        uses, defines = names_in(source if cell.cell_type == "code" else "")
        for own in exercises if kind == "code" else ():
            if own not in marked and defines.get(own) == "function":
                kind, name = "exercise", own
            if f"check_{own}" not in marked and f"checks.{own}" in uses:
                kind, name = "check", own
        outputs = cell.get("outputs", [])
        found.append(Cell(
            number, kind, name, source,
            cell.get("execution_count") or 0, heading, prompt,
            tuple(one for x in outputs if (one := shown(x))),
            tuple(str(x.get("ename", "")) for x in outputs
                  if x.output_type == "error"),
            {f"attachment:{file}": str(kinds["image/png"])
             for file, kinds in cell.get("attachments", {}).items()
             if is_png(str(kinds.get("image/png", "")))},
            uses, defines))
        if cell.cell_type == "markdown":
            prompt = cell.source
            for line in prompt.splitlines():
                if line.startswith("## "):
                    heading = line.lstrip("# ")
    return tuple(found)


def chosen(cells: Sequence[Cell]) -> list[Cell]:
    """The exercises, the trainings, and the cells that they rest on.

    A cell is needed if it was the last one to give a name its value before a
    cell that is needed uses the name.
    """
    wanted: list[Cell] = []
    names: set[str] = set()  # that stand open below
    for cell in reversed([cell for cell in cells if cell.is_code]):
        if (cell.kind == "exercise" or trains(cell, cells)
                or cell.defines.keys() & names):
            wanted.insert(0, cell)
            names = (names | cell.uses) - cell.defines.keys()
    return wanted


def trains(cell: Cell, cells: Sequence[Cell]) -> bool:
    """Whether it trains a model, by itself or with a function that does."""
    return "labutils.train" in cell.uses or any(
        other.defines.get(name) == "function" for other in cells
        if other.is_code and other.number < cell.number
        and "labutils.train" in other.uses for name in cell.uses)


def _kind(cell: NotebookNode) -> str:
    solution, graded = (grader(cell).get(x) for x in ("solution", "grade"))
    if cell.cell_type == "code":
        return "exercise" if solution else "check" if graded else "code"
    if "discussion" in cell.metadata.get("tags", []):
        return "discussion"
    return "answer" if solution else "text"
