"""Package layout only; everything else is in pyproject.toml.

The folders tokenizer/, lm/ and eval/ at the top of the repository are the packages motionmillion.tokenizer,
motionmillion.lm and motionmillion.eval. Unusual: a checkout also holds links to them inside motionmillion/; they are
left out of the search below, so a checkout with links and one without give the same wheel.
"""

from setuptools import find_packages, setup

MAPPED = ("tokenizer", "lm", "eval")


def packages() -> list[str]:
    """Dotted names of every package of the wheel."""
    through_links = [pattern for folder in MAPPED for pattern in (folder, f"{folder}.*")]
    found = ["motionmillion", *(f"motionmillion.{name}" for name in find_packages("motionmillion", through_links))]
    for folder in MAPPED:
        found += [f"motionmillion.{folder}", *(f"motionmillion.{folder}.{name}" for name in find_packages(folder))]
    return found


setup(packages=packages(), package_dir={f"motionmillion.{folder}": folder for folder in MAPPED})
