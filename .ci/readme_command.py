"""Print the README's command that contains a word: the content of the one ```bash block that holds it.

python .ci/readme_command.py README.md pytest
"""

import re
import sys
from pathlib import Path

BLOCK = re.compile(r"^```bash\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def readme_command(text: str, word: str) -> str:
    """The only ```bash block of `text` that contains `word`.

    Raises:
        ValueError: if there is none or more than one.
    """
    blocks = [block.strip() for block in BLOCK.findall(text) if word in block]
    if len(blocks) != 1:
        raise ValueError(f"word must stand in exactly one ```bash block, got {len(blocks)} blocks with {word!r}")
    return blocks[0]


if __name__ == "__main__":
    print(readme_command(Path(sys.argv[1]).read_text(encoding="utf-8"), sys.argv[2]))
