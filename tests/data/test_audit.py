"""The audit: good motions pass, each kind of breakage is found and named."""

import math

import pytest
import roma
import torch

from motionmillion.data import synthesize
from motionmillion.data.audit import KINDS, UNITS, audit_clip, audit_folder, hinge_bend
from motionmillion.motion import Motion

WALK = synthesize("walk", seed=0, seconds=3).resample(30)


def turned(motion: Motion, joint: str, axis: tuple[float, float, float], degrees: float, frames=slice(None)) -> Motion:
    rotations = motion.rotations.clone()
    turn = roma.rotvec_to_rotmat(torch.tensor(axis) * math.radians(degrees))
    index = motion.skeleton.index(joint)
    rotations[frames, index] = rotations[frames, index] @ turn
    return motion.replace(rotations=rotations)


def kinds(motion: Motion) -> set[tuple[str, str]]:
    return {(finding.kind, finding.joint) for finding in audit_clip(motion)}


@pytest.mark.parametrize("action", ["walk", "wave", "jump", "turn"])
def test_good_motions_pass(action):
    assert audit_clip(synthesize(action, seed=1, seconds=3)) == []


def test_every_kind_has_a_unit():
    assert len(KINDS) == len(UNITS) == len(set(KINDS))


@pytest.mark.parametrize("side", ["left", "right"])
def test_hinges_bent_backwards_are_found(side):
    elbow = turned(WALK, f"{side}_elbow", (0.0, 1.0 if side == "left" else -1.0, 0.0), 70)
    assert ("bent backwards", f"{side}_elbow") in kinds(elbow)
    knee = turned(WALK, f"{side}_knee", (1.0, 0.0, 0.0), -100)
    assert kinds(knee) >= {("bent backwards", f"{side}_knee")}
    found = next(f for f in audit_clip(knee) if f.kind == "bent backwards")
    assert found.share > 0.5 and found.worst < -15


@pytest.mark.parametrize("side, sign", [("left", -1.0), ("right", 1.0)])
def test_bend_of_a_hinge_has_a_sign(side, sign):
    standing = Motion(torch.eye(3).expand(2, 22, 3, 3), torch.zeros(2, 3))
    straight = hinge_bend(standing, side, "elbow")
    assert straight.abs().max() < 10
    assert torch.allclose(hinge_bend(turned(standing, f"{side}_elbow", (0.0, sign, 0.0), 60), side, "elbow"),
                          straight + 60, atol=8)  # fmt: skip
    assert hinge_bend(turned(standing, f"{side}_elbow", (0.0, -sign, 0.0), 60), side, "elbow").max() < -45


def test_a_folded_head_is_found_only_if_it_stays_so():
    assert ("head folded", "head") in kinds(turned(WALK, "neck", (1.0, 0.0, 0.0), 100))
    assert ("head folded", "head") not in kinds(turned(WALK, "neck", (1.0, 0.0, 0.0), 100, slice(0, 40)))


def test_hands_in_the_trunk_are_found():
    rotations = WALK.rotations.clone()
    shoulder, elbow = (WALK.skeleton.index(f"left_{name}") for name in ("shoulder", "elbow"))
    down = roma.rotvec_to_rotmat(torch.tensor([[0.0, 0.0, -1.6], [-0.2, 0.0, 0.0], [0.0, 0.0, -1.5]]))
    rotations[:, shoulder], rotations[:, elbow] = down[1] @ down[0], down[2]  # the forearm lies across the belly
    broken = WALK.replace(rotations=rotations)
    assert ("hand inside", "left_wrist") in kinds(broken)


def test_flips_and_jumps_of_a_single_frame_are_found():
    assert ("joint flips", "left_shoulder") in kinds(
        turned(WALK, "left_shoulder", (0.0, 1.0, 0.0), 150, slice(40, 41))
    )
    path = WALK.translation.clone()
    path[50:] += torch.tensor([0.6, 0.0, 0.0])
    assert ("root jumps", "pelvis") in kinds(WALK.replace(translation=path))


def test_frozen_floating_and_sunk_bodies_are_found():
    still = WALK.slice(0, 1)
    count = 60
    frozen = still.replace(
        rotations=still.rotations.expand(count, 22, 3, 3), translation=still.translation.expand(count, 3)
    )
    assert ("frozen", "pelvis") in kinds(frozen)
    for kind, shift in (("floating", 0.8), ("sunk", -0.5)):
        moved = WALK.replace(translation=WALK.translation + torch.tensor([0.0, shift, 0.0]))
        assert (kind, "pelvis") in kinds(moved)


@pytest.mark.parametrize("frames", [1, 2, 3])
def test_short_motions_are_audited(frames):
    assert audit_clip(WALK.slice(0, frames)) == []


def test_a_folder_is_audited_and_bad_files_counted(tmp_path, run):
    folder = tmp_path / "motions"
    folder.mkdir()
    WALK.save(folder / "good.npz")
    turned(WALK, "neck", (1.0, 0.0, 0.0), 100).save(folder / "folded.npz")
    (folder / "broken.npz").write_bytes(b"no archive")
    report = audit_folder(folder)
    assert report.clips == 2 and list(report.findings) == ["folded"] and list(report.unreadable) == ["broken"]
    code, out, error = run("data", "audit", folder, "-o", tmp_path / "bad.txt")
    assert code == 0 and "1 of 2 clips flagged (50.0%), 1 unreadable" in out and "head folded: 1" in out
    assert (tmp_path / "bad.txt").read_text().split() == ["folded", "broken"]
    code, _, error = run("data", "audit", tmp_path / "absent")
    assert code == 2 and error.count("\n") == 1 and "folder must be an existing folder" in error
    with pytest.raises(ValueError, match="limit must be at least 1, got 0"):
        audit_folder(folder, limit=0)
