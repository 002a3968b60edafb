"""Import every module of the installed motionmillion and print how many there are.

    python .ci/import_all.py [FOLDER]      # the folder that motionmillion must come from

Fails if a module cannot be imported, if one of the folders tokenizer/, lm/, eval/ was imported under its own name, or
if motionmillion lies outside of FOLDER.
"""

import importlib
import importlib.util
import pkgutil
import sys
from pathlib import Path

import motionmillion


def main() -> int:
    home = Path(str(motionmillion.__file__)).resolve()
    if len(sys.argv) > 1 and Path(sys.argv[1]).resolve() not in home.parents:
        print(f"motionmillion must come from {sys.argv[1]}, got {home}")
        return 1
    names = [m.name for m in pkgutil.walk_packages(motionmillion.__path__, "motionmillion.")]
    for name in names:
        lacks = name.startswith("motionmillion.serve.") and importlib.util.find_spec("fastapi") is None  # extra serve
        if not name.endswith(".__main__") and not lacks:
            importlib.import_module(name)
    for part in ("tokenizer", "lm", "eval"):
        if f"motionmillion.{part}" not in names:
            print(f"motionmillion.{part} is missing")
            return 1
        if part in sys.modules:
            print(f"{part} was imported as a top-level module; import motionmillion.{part}")
            return 1
    print(f"{len(names)} modules imported")
    return 0


if __name__ == "__main__":
    sys.exit(main())
