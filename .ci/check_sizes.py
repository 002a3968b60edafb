"""Refuse files above 60 MB; git hosts refuse them at 100 MB, clones get slow long before.

python .ci/check_sizes.py FILE ...
"""

import sys
from pathlib import Path

LIMIT = 60 * 1000 * 1000


def too_large(paths: list[str], limit: int = LIMIT) -> list[str]:
    """Paths of the existing files with more than `limit` bytes."""
    return [path for path in paths if Path(path).is_file() and Path(path).stat().st_size > limit]


if __name__ == "__main__":
    found = too_large(sys.argv[1:])
    for path in found:
        print(f"{path}: larger than {LIMIT // 1000000} MB; host it elsewhere or make it smaller")
    sys.exit(1 if found else 0)
