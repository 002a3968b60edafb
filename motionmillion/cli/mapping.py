"""The option `--mapping` of every command that reads motion files: which joint of a file is which.

    motionmillion export soma.bvh soma.html --mapping left_hip=LeftLeg --mapping right_hip=RightLeg
    motionmillion export rig.bvh --show-mapping > rig.yaml && motionmillion view rig.bvh --mapping rig.yaml

A value is `SMPL22 joint=joint of the file`, or the path of a YAML file of such pairs; later ones override earlier
ones. Joints that are not named are found automatically. The option applies to formats whose joints have names, such
as BVH and GLB.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from motionmillion.cli.options import FOREIGN, INPUT, start_torch
from motionmillion.io import read_tree, tree_suffixes
from motionmillion.progress import doing

if TYPE_CHECKING:
    from motionmillion.motion import Motion

_HELP = "SMPL22 joint=joint of a BVH, AMC, FBX or GLB file, or a YAML file of such pairs. Repeat for several."
MappingOption = Annotated[list[str] | None, typer.Option("--mapping", help=_HELP)]
InputMappingOption = Annotated[list[str] | None, typer.Option("--mapping", help=_HELP, rich_help_panel=INPUT)]
ForeignMappingOption = Annotated[
    list[str] | None, typer.Option("--mapping", help=f"motions: {_HELP}", rich_help_panel=FOREIGN)
]
_FILES = (".yaml", ".yml", ".json")
_TREES = tuple(tree_suffixes())
_NAMED = f"{', '.join(_TREES[:-1])} or {_TREES[-1]}"


def read_mapping(values: Sequence[str] | None) -> dict[str, str]:
    """SMPL22 name -> name in the file, from the values of `--mapping`.

    Raises:
        ValueError: for a value that is no pair and no readable YAML file, and for unknown SMPL22 names.
    """
    if not values:
        return {}
    from motionmillion.skeleton import SMPL22  # imports torch, which takes long

    mapping: dict[str, str] = {}
    for value in values:
        joint, sign, name = value.partition("=")
        if sign and joint.strip() in SMPL22.names and name.strip():
            mapping[joint.strip()] = name.strip()
        elif value.lower().endswith(_FILES):
            mapping |= _from_file(value)
        elif sign and name.strip():
            raise ValueError(
                f"--mapping must begin with a joint of SMPL22, got {value!r}; they are {', '.join(SMPL22.names)}"
            )
        else:
            raise ValueError(f"--mapping must be JOINT=NAME or a .yaml file of such pairs, got {value!r}")
    return mapping


def _from_file(path: str) -> dict[str, str]:
    """The pairs of a YAML file; joints without a name are left out."""
    import yaml

    from motionmillion.io.files import existing_file
    from motionmillion.skeleton import SMPL22

    try:
        content = yaml.safe_load(existing_file(path).read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        reason = " ".join(str(error).split())
        raise ValueError(f"--mapping must name a valid YAML file, got {path!r}: {reason}") from None
    if not isinstance(content, dict):
        raise ValueError(f"--mapping must name a YAML file of pairs such as left_hip: LeftUpLeg, got {path!r}")
    unknown = [joint for joint in content if joint not in SMPL22.names]
    if unknown:
        raise ValueError(
            f"--mapping must name joints of SMPL22, got {unknown[0]!r} in {path!r}; they are {', '.join(SMPL22.names)}"
        )
    return {joint: str(name) for joint, name in content.items() if name is not None}


def check_mapping(mapping: dict[str, str], paths: Sequence[Path | None]) -> None:
    """Raise `ValueError` if there is a mapping, but no file that it applies to."""
    given = [str(path) for path in paths if path is not None]
    if mapping and not any(path.lower().endswith(_TREES) for path in given):
        raise ValueError(
            f"--mapping must come with a {_NAMED} file, got {', '.join(given) or 'no file'}; leave it out"
        )


def load_motion(path: Path, mapping: dict[str, str], **options: Any) -> "Motion":
    """The motion of a file; the mapping applies if its joints have names, and options that are None are left out.

    Messages name the options of the command line, and warnings are lines.
    """
    start_torch()
    from motionmillion.io.options import option_names
    from motionmillion.motion import Motion

    given = {name: value for name, value in options.items() if value is not None}
    if mapping and path.suffix.lower() in _TREES:
        given["mapping"] = mapping
    names = option_names(fps="--source-fps", up="--up", index="--index", mapping="--mapping")
    with doing(f"reading {path.name}"), names:
        return Motion.load(path, **given)


def mapping_text(path: Path, mapping: dict[str, str]) -> str:
    """YAML of the joints of a file: SMPL22 joint -> its joint, and in comments those that are not used.

    Raises:
        ValueError: for a file of another format or a damaged one, and for names in `mapping` that it does not hold.
    """
    from motionmillion.kinematics.joint_names import find_joints

    if path.suffix.lower() not in _TREES:
        raise ValueError(f"--show-mapping must come with a {_NAMED} file, got {str(path)!r}")
    tree = read_tree(path)
    found = find_joints(tree.names, tree.parents, mapping, str(path), tree.rest_positions())
    return mapping_lines(path.name, tree.names, found)


def mapping_lines(title: str, names: Sequence[str], found: Mapping[str, int]) -> str:
    """YAML of the joints found among `names`, as `mapping_text` has it."""
    import yaml

    from motionmillion.skeleton import SMPL22

    pairs = {joint: names[found[joint]] if joint in found else None for joint in SMPL22.names}
    used = set(found.values())
    unused = [name for joint, name in enumerate(names) if joint not in used and not name.endswith(" end")]
    lines = [f"# {title}: joint of SMPL22: joint of the file (null: there is none)"]
    lines += yaml.safe_dump(pairs, sort_keys=False, allow_unicode=True, width=1000).splitlines()
    return "\n".join([*lines, *(f"# not used: {name}" for name in unused)])
