"""Do the libraries import, on what would a model train, and how fast?

python ask_torch.py ROOT; a line with a number of seconds on the standard
input starts the timing.
"""

import importlib
import json
import os
import sys


def say(**facts):
    print(json.dumps(facts), flush=True)


def import_all(names):
    """Import modules and say of each its version and file, or the error."""
    for name in names:
        say(importing=name)  # should it take the process down
        try:
            module = importlib.import_module(name)
        except BaseException as error:  # SystemExit as well
            words = f"{type(error).__name__}: {error}"
            say(imports={name: {"error": words}})
        else:
            say(imports={name: {
                "version": str(getattr(module, "__version__", "")),
                "file": getattr(module, "__file__", None),
            }})
    say(importing="")


def devices():
    """The device of the settings, and what there is."""
    import torch

    from labutils import settings

    say(threads=torch.get_num_threads(), cuda=torch.version.cuda,
        gpu=torch.cuda.is_available())
    try:
        device = settings.device()
    except settings.SettingsError as error:
        say(bad_device=str(error))
        device = torch.device("cpu")
    name = ""
    if device.type == "cuda":
        name = torch.cuda.get_device_name(device)
    say(device=str(device), device_name=name)
    return device


def main():
    # At the end: what a notebook would import goes first.
    sys.path.append(sys.argv[1])
    # An import may ask who runs; the doctor's door must stay shut here.
    sys.argv[1:] = []
    import_all(["numpy", "torch", "matplotlib", "PIL", "labutils"])
    device = devices()
    from labkit.doctor import trainings

    steps = trainings.new_steps(device)
    seconds = float(sys.stdin.readline() or 0)
    if seconds > 0:
        trainings.time_steps(steps, seconds, say)
    say(done=True)
    # Threads of a library must not keep the page waiting.
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
