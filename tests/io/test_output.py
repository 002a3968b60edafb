"""Options of writers: every field is a keyword of each writer that it names."""

import dataclasses
from pathlib import Path

import pytest

from motionmillion.io import writable_suffixes, write_motion
from motionmillion.io.write_options import OutputOptions
from motionmillion.motion import Motion


@pytest.mark.parametrize("field", dataclasses.fields(OutputOptions), ids=lambda field: field.name)
def test_fields_are_keywords_of_their_writers(motion: Motion, tmp_path: Path, field):
    suffixes = set(field.metadata["suffixes"])
    assert suffixes <= set(writable_suffixes())
    for suffix in suffixes:
        with pytest.raises(ValueError, match=f"must be among .*'{field.metadata['keyword']}'.*, got 'colour'"):
            write_motion(motion, tmp_path / f"a{suffix}", colour="red")
    assert field.default in (None, False)


def test_options_go_to_the_files_they_are_for():
    options = OutputOptions(bvh_unit="m", bvh_t_pose=True, root_motion="none")
    assert options.of("a.BVH") == {"unit": "m", "t_pose_first_frame": True, "root_motion": "none"}
    assert options.of(Path("a.glb")) == {"root_motion": "none"}
    assert options.of("a.html") == {}
    assert OutputOptions().of("a.bvh") == {}


def test_an_option_without_its_file():
    OutputOptions(bvh_rest="A").check(["a.bvh", "a.html"])
    with pytest.raises(ValueError, match=r"bvh_rest must come with a \.bvh output, got 'A' for \.html"):
        OutputOptions(bvh_rest="A").check(["a.html"])
