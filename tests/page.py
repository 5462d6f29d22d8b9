"""A notebook open in a real browser: what one can do there, and see."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat

SECONDS = 90  # for a step; one that takes so long has failed
RUN_SECONDS = 300  # for all the cells of a notebook
CONTROLS = ".widget-inline-hbox, .widget-toggle-buttons"  # with a description
# JupyterLab draws a cell only where it is seen and guesses its height until
# then, so that scrolling there once is not enough.
IN_VIEW = """async () => {
    const images = document.querySelectorAll('.jp-OutputArea-output img');
    const image = images[images.length - 1];
    const top = () => image.getBoundingClientRect().top;
    image.scrollIntoView({block: 'center'});
    const before = top();
    for (let frame = 0; frame < 10; frame++) {
        await new Promise(requestAnimationFrame);
    }
    return image.checkVisibility({contentVisibilityAuto: true})
        && top() === before && before > 0 && before < window.innerHeight;
}"""

# After a run JupyterLab may still call the attention back to the cells.
KEEPS_FOCUS = """async control => {
    control.focus();
    for (let frame = 0; frame < 10; frame++) {
        await new Promise(requestAnimationFrame);
    }
    return document.activeElement === control;
}"""


def wait_for(
    condition: Callable[[], Any], what: str, pause: float = 0.1
) -> Any:
    """What `condition` returns, as soon as that is true."""
    end = time.monotonic() + SECONDS
    while not (found := condition()):
        assert time.monotonic() < end, f"no {what} after {SECONDS} s"
        time.sleep(pause)
    return found


class Page:
    """An open notebook.

    Attributes:
        window: playwright's page, for what has no function here.
        errors: what the page has met so far: exceptions, and errors on its
            console.
    """

    def __init__(self, window: Any, address: str) -> None:
        self.window = window
        self.address = address
        self.errors: list[str] = []
        window.set_default_timeout(1000 * SECONDS)
        window.on("pageerror", self._read_error)
        window.on("console", self._read_console)

    def close(self) -> None:
        """Read no errors any more: what comes now is another page's."""
        self.window.remove_listener("pageerror", self._read_error)
        self.window.remove_listener("console", self._read_console)

    def _read_error(self, error: Any) -> None:
        self.errors.append(str(error))

    def _read_console(self, message: Any) -> None:
        if message.type == "error":
            self.errors.append(f"{message.text} ({message.location['url']})")

    def change_to(self, name: str) -> None:
        """Open a notebook in the JupyterLab that is there."""
        self.window.evaluate(
            """async path => {
                await jupyterapp.commands.execute('docmanager:open', {path});
            }""",
            name,
        )
        self._wait_for_kernel()

    def load(self) -> None:
        """Load everything anew; the kernel, where there is one, stays."""
        self.window.goto(self.address)
        self._wait_for_kernel()

    def _wait_for_kernel(self) -> None:
        self._until(
            "() => window.jupyterapp?.shell.currentWidget?.sessionContext"
        )
        self.window.evaluate(
            """() => Promise.all([
                jupyterapp.restored,
                jupyterapp.shell.currentWidget.sessionContext.ready,
            ])"""
        )
        self._until(
            """() => jupyterapp.shell.currentWidget.sessionContext.session
                ?.kernel?.connectionStatus === 'connected'"""
        )

    def _until(self, condition: str, **options: Any) -> None:
        """Wait for it; ask ten times a second, not once for each frame."""
        self.window.wait_for_function(condition, polling=100, **options)

    def begin(self) -> None:
        """Begin to run all the cells; `finish` waits for their end."""
        # Not to be awaited in here: the promise ends with the last cell.
        self.window.evaluate(
            """() => {
                window.finished = false;
                jupyterapp.commands.execute('notebook:run-all-cells')
                    .finally(() => { window.finished = true; });
            }"""
        )

    def finish(self) -> None:
        self._until(
            """() => window.finished && 'idle' === jupyterapp.shell
                .currentWidget.sessionContext.session.kernel.status""",
            timeout=1000 * RUN_SECONDS,
        )

    def run(self) -> None:
        """Run all the cells, and wait."""
        self.begin()
        self.finish()

    def interrupt(self) -> None:
        """Press the stop button."""
        self.window.click('[data-command="notebook:interrupt-kernel"]')

    def cells(self) -> list[nbformat.NotebookNode]:
        """The code cells as they stand in the notebook's model."""
        found = self.window.evaluate(
            """() => jupyterapp.shell.currentWidget.content.widgets
                .map(cell => cell.model.toJSON())"""
        )
        return [
            nbformat.from_dict(cell) for cell in found
            if cell["cell_type"] == "code"
        ]

    def images(self) -> list[str]:
        """What the images among the outputs show, as `data:` addresses."""
        return self.window.eval_on_selector_all(
            ".jp-OutputArea-output img", "images => images.map(i => i.src)"
        )

    def images_are_drawn(self) -> bool:
        return self.window.eval_on_selector_all(
            ".jp-OutputArea-output img",
            "images => images.every(i => i.complete && i.naturalWidth > 0)",
        )

    def photograph(self, path: Path) -> None:
        """A PNG of the window, with the last image in its middle."""
        wait_for(lambda: self.window.evaluate(IN_VIEW), "image in view")
        self.window.screenshot(path=path)

    def select(self, grade_id: str) -> None:
        """Select the cell with this name, as a click beside it does."""
        self.window.evaluate(
            """name => {
                const notebook = jupyterapp.shell.currentWidget.content;
                const named = cell => cell.model.getMetadata('nbgrader')
                    ?.grade_id === name;
                const place = notebook.widgets.findIndex(named);
                notebook.activeCellIndex = place;
                notebook.mode = 'command';
                notebook.activate();
                return notebook.scrollToItem(place);
            }""",
            grade_id,
        )

    def photograph_cell(self, path: Path) -> None:
        """A PNG of the window, with the selected cell in it."""
        self.window.screenshot(path=path)

    def control(self, description: str, part: str = "") -> Any:
        """A widget's view, or the part of it that a CSS selector names."""
        label = self.window.get_by_text(description, exact=True)
        view = self.window.locator(CONTROLS).filter(has=label)
        return view.locator(part) if part else view

    def press(self, control: Any, *keys: str) -> None:
        """Press keys on what can have the keyboard's attention."""
        wait_for(lambda: control.evaluate(KEEPS_FOCUS), "focus")
        for key in keys:
            self.window.keyboard.press(key)

    def option(self, description: str, option: str) -> Any:
        """One of the buttons of which one is pressed."""
        buttons = self.control(description, "button")
        return buttons.get_by_text(option, exact=True)

    def type_in(self, description: str, words: str) -> None:
        """Type in a field in place of what stands there."""
        field = self.control(description, "input")
        self.press(field, "ControlOrMeta+a", *words, "Enter")

    def drag(self, handle: Any, pixels: int) -> None:
        """Move a slider's handle to the right with the mouse."""
        handle.scroll_into_view_if_needed()
        box = handle.bounding_box()
        x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        self.window.mouse.move(x, y)
        self.window.mouse.down()
        self.window.mouse.move(x + pixels, y, steps=5)
        self.window.mouse.up()

    def save(self) -> None:
        self.window.evaluate(
            "() => jupyterapp.commands.execute('docmanager:save')"
        )

    def shut_down(self) -> None:
        """End the kernel; up to here the page may have met no error."""
        self.cells()  # playwright hands errors over only while it is asked
        errors = list(self.errors)
        self.close()
        # Not what comes now: the debugger still asks the kernel that is gone.
        self.window.evaluate(
            """async () => {
                const tab = jupyterapp.shell.currentWidget;
                await tab.sessionContext.shutdown();
                tab.dispose();
            }"""
        )
        self._until(
            "() => !jupyterapp.shell.currentWidget?.sessionContext"
        )
        assert not errors, errors
