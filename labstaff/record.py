"""Keep the histories of full runs with the package, as recorded runs."""

import json
import math
import statistics
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from labutils import settings
from labutils.files import write_atomically
from labutils.history import History
from labutils.recorded import FIGURES, FOLDER

# Student's t, two-sided 95 %, by the number of values.
STUDENT = {2: 12.706, 3: 4.303, 4: 3.182, 5: 2.776, 6: 2.571, 7: 2.447}


def record(folders: Sequence[Path] = ()) -> list[str]:
    """Write the recorded runs from the results of full runs, and return the
    names of the files and their sizes.

    Args:
        folders: results folders, one for each seed. The first one's histories
            are those that can be replayed; with two or more there are ranges.
            None takes the settings' results folder.

    Raises:
        RuntimeError: there is no history, or one is not of a full run.
    """
    first, *others = folders or [settings.results_dir()]
    paths = sorted(first.glob("0*/*.json"))
    if not paths:
        raise RuntimeError(
            f"No histories in {first}: run all the notebooks first "
            "(labutils run), at full epochs.")
    lines = []
    for path in paths:
        twins = [other / path.relative_to(first) for other in others]
        histories = [_load(twin) for twin in (path, *twins) if twin.exists()]
        data = _file(histories).encode("utf-8")
        write_atomically(FOLDER / path.name, data)
        lines.append(f"{path.name} ({len(data):,} bytes)")
    return lines


def _load(path: Path) -> History:
    history = History.from_json(path.read_text(encoding="utf-8"))
    if not history.full:
        raise RuntimeError(f"{path} is a {history.status}: run it in full.")
    return history


def _file(histories: Sequence[History]) -> str:
    """The first history and the ranges of all, by kind of device: JSON with
    one line for each attribute of the history."""
    by_device = defaultdict[str, list[History]](list)
    for history in histories:
        device = history.settings["device"].partition(":")[0]
        by_device[device].append(history)
    ranges = {
        device: {
            "runs": len(runs), "seeds": [h.settings["seed"] for h in runs],
            **{figure: interval([value_of(h) for h in runs])
               for figure, value_of in FIGURES.items()},
        } for device, runs in sorted(by_device.items()) if len(runs) > 1
    }
    # Seven digits keep the files small; with five, 1.09998 is not below 1.1.
    kept, ranges = json.loads(
        f"[{histories[0].to_json()}, {json.dumps(ranges)}]",
        parse_float=lambda text: float(f"{float(text):.7g}"))
    lines = ",\n".join(f"  {json.dumps(name)}: {json.dumps(value)}"
                       for name, value in kept.items())
    return (f'{{"history": {{\n{lines}\n}},\n'
            f'"ranges": {json.dumps(ranges)}}}\n')


def interval(values: Sequence[float]) -> tuple[float, float]:
    """Where one more run is to be expected, 19 times out of 20.

    A prediction interval by Student's t from the perplexities of two to seven
    runs, over the logarithm of the nats, so that none below 1 is expected.
    """
    logs = [math.log(math.log(value)) for value in values]
    mean, spread = statistics.fmean(logs), statistics.stdev(logs)
    half = STUDENT[len(logs)] * spread * math.sqrt(1 + 1 / len(logs))
    low, high = (math.exp(math.exp(mean + x)) for x in (-half, half))
    return low, high
