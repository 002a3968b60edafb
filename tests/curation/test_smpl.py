"""Adapters of estimators: result files of other projects, and a real program that writes them."""

import sys

import numpy as np
import pytest
import roma
import torch

from motionmillion.curation.clips import Clip
from motionmillion.curation.smpl import Smpl, SmplOptions
from motionmillion.curation.video import Video
from motionmillion.data import synthesize
from motionmillion.motion import Motion

PROGRAM = """
import sys, pathlib, shutil
video, out, result = sys.argv[1:]
if "fail" in result: sys.exit("no person was found")
folder = pathlib.Path(out) / "demo" / pathlib.Path(video).stem
folder.mkdir(parents=True)
shutil.copy(result, folder / "hmr4d_results.pt")
"""


@pytest.fixture(scope="module")
def motion() -> Motion:
    return synthesize("walk", 3, seconds=2).slice(0, 20).canonicalize()


def clip_of(video: Video, person: int = 1, start: int = 0) -> Clip:
    box = np.tile([10.0, 10, 40, 70, 0.9], (20, 1)) + np.array([30.0, 0, 30, 0, 0]) * (person - 1)
    return Clip(video.key, start, start + 20, video.fps).with_boxes(person, box)


def gvhmr(motion: Motion) -> dict:
    """The motion as GVHMR saves it."""
    vectors = roma.rotmat_to_rotvec(motion.rotations).flatten(1)
    pelvis = torch.tensor([0.003, -0.351, 0.012])
    return {
        "smpl_params_global": {
            "global_orient": vectors[:, :3],
            "body_pose": vectors[:, 3:66],
            "transl": motion.translation - pelvis,
            "betas": torch.zeros(motion.num_frames, 10),
        },
        "K_fullimg": torch.eye(3).expand(motion.num_frames, 3, 3).contiguous(),
    }


def test_a_program_is_run_and_its_result_read(filmed, motion, tmp_path):
    video, program = Video.open(filmed.video), tmp_path / "demo.py"
    program.write_text(PROGRAM)
    torch.save(gvhmr(motion), tmp_path / "result.pt")
    command = f"{sys.executable} {program} {{video}} {{out}} {tmp_path}/result.pt"
    options = SmplOptions(estimator="command", command=command, result="**/hmr4d_results.pt")
    verdict = Smpl(options, tmp_path)(video, [clip_of(video), clip_of(video, 2)])
    assert len({clip.motion for clip in verdict.kept}) == 2 and verdict.final
    read = Motion.load(tmp_path / verdict.kept[0].motion)
    assert read.fps == video.fps and (read.positions() - motion.positions()).norm(dim=-1).max() < 1e-3
    program.unlink()  # what is there is not made again
    assert len(Smpl(options, tmp_path)(video, [clip_of(video), clip_of(video, 2)]).kept) == 2
    program.write_text(PROGRAM)
    failing = SmplOptions(estimator="command", command=command.replace("result.pt", "fail"))
    verdict = Smpl(failing, tmp_path)(video, [clip_of(video)])
    assert "ended with 1, no person was found" in verdict.dropped[0].reason and not verdict.final
    silent = SmplOptions(estimator="command", command=f"{sys.executable} -c pass", result="**/*.pt")
    assert "wrote no **/*.pt" in Smpl(silent, tmp_path)(video, [clip_of(video)]).dropped[0].reason


def test_result_files_are_found_by_clip_person_or_film(filmed, motion, tmp_path):
    video, results = Video.open(filmed.video), tmp_path / "results"
    results.mkdir()
    stage = Smpl(SmplOptions(folder=str(results)), tmp_path)
    clip = clip_of(video, start=10)
    assert "no file for" in stage(video, [clip]).dropped[0].reason
    film = filmed.film.joints(1, 0.0, np.random.default_rng(0))
    np.save(results / "film_p1.npy", film)
    by_person = Motion.load(tmp_path / stage(video, [clip]).kept[0].motion)
    expected = film[10:30] - film[10:30].mean((0, 1))
    own = by_person.positions().numpy() - by_person.positions().numpy().mean((0, 1))
    assert np.linalg.norm(own - expected, axis=-1).mean() < 0.5  # turned to face +z
    motion.save(results / f"{clip.name}.npz")
    by_clip = Motion.load(tmp_path / stage(video, [clip]).kept[0].motion)
    assert (by_clip.positions() - motion.positions()).norm(dim=-1).max() < 1e-3
    motion.slice(0, 15).save(results / f"{clip.name}.npz")
    assert "15 frames instead of 20" in stage(video, [clip]).dropped[0].reason


def test_options_are_checked():
    with pytest.raises(ValueError, match="estimator must be one of"):
        SmplOptions(estimator="hmr")
    with pytest.raises(ValueError, match="command must be given for the estimator command only"):
        SmplOptions(estimator="command")
