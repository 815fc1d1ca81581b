"""One Python target under atheris: `python -m tests.fuzz.python_target NAME [libFuzzer's arguments]`."""

import importlib
import sys


def main() -> None:
    """Instrument the product, then fuzz until libFuzzer's limits end the process."""
    program, name, *arguments = sys.argv
    atheris = importlib.import_module("atheris")  # only `make fuzz` installs it, and it has no types
    with atheris.instrument_imports(include=["pgbearer"]):
        targets = importlib.import_module("tests.fuzz.targets")
    atheris.Setup([program, *arguments], targets.TARGETS[name])
    atheris.Fuzz()


if __name__ == "__main__":
    main()
