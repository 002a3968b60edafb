"""USD files: joints as we compute them, no complaint of USD's own validators, clips, and what is refused."""

from pathlib import Path

import numpy as np
import pytest

from motionmillion.io.skinned.bodies import load_body
from motionmillion.io.usd import identifier, write_usd
from motionmillion.motion import Motion
from motionmillion.skeleton import SMPL22

pytest.importorskip("pxr.UsdSkel", reason='needs pip install "motionmillion[usd]"')


def skeleton_positions(path: Path, frame: int) -> np.ndarray:
    """Joint positions `[J, 3]` by USD's own skeleton query."""
    from pxr import Usd, UsdSkel

    stage = Usd.Stage.Open(str(path))
    cache = UsdSkel.Cache()
    cache.Populate(UsdSkel.Root(stage.GetDefaultPrim()), Usd.PrimDefaultPredicate)
    query = cache.GetSkelQuery(UsdSkel.Skeleton(stage.GetPrimAtPath("/Person/Skeleton")))
    return np.array(query.ComputeJointSkelTransforms(frame))[:, 3, :3]


@pytest.mark.parametrize("suffix", [".usd", ".usda", ".usdc", ".usdz"])
def test_joints_are_ours_and_the_stage_is_valid(motion: Motion, tmp_path: Path, suffix: str):
    from pxr import Usd, UsdGeom, UsdValidation

    path = motion.save(tmp_path / f"a wave{suffix}", names="mixamo")
    expected = load_body("human", SMPL22).dress(motion).positions().numpy()
    for frame in (0, 11, 23):
        np.testing.assert_allclose(skeleton_positions(path, frame), expected[frame], atol=1e-5)
    stage = Usd.Stage.Open(str(path))
    context = UsdValidation.ValidationContext(UsdValidation.ValidationRegistry().GetOrLoadAllValidators())
    assert [error.GetMessage() for error in context.Validate(stage)] == []
    assert (stage.GetTimeCodesPerSecond(), stage.GetStartTimeCode(), stage.GetEndTimeCode()) == (30.0, 0.0, 23.0)
    assert UsdGeom.GetStageUpAxis(stage) == "Y" and UsdGeom.GetStageMetersPerUnit(stage) == 1.0
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


def test_several_motions_are_variants(motion: Motion, tmp_path: Path):
    from pxr import Usd

    motions = [motion, motion.mirror(), motion.slice(3, 9).replace(caption="jump!")]
    path = write_usd(motions, tmp_path / "moves.usda", body="mannequin")
    stage = Usd.Stage.Open(str(path))
    variants = stage.GetDefaultPrim().GetVariantSets().GetVariantSet("motion")
    assert sorted(variants.GetVariantNames()) == ["a_person_walks", "a_person_walks_2", "jump"]
    assert variants.GetVariantSelection() == "a_person_walks"
    np.testing.assert_allclose(skeleton_positions(path, 5), motion.positions()[5].numpy(), atol=1e-5)
    variants.SetVariantSelection("jump")
    stage.GetRootLayer().Export(str(tmp_path / "jump.usda"))
    np.testing.assert_allclose(skeleton_positions(tmp_path / "jump.usda", 2), motion.positions()[5].numpy(), atol=1e-5)


def test_several_frame_rates_are_refused(motion: Motion, tmp_path: Path):
    with pytest.raises(ValueError, match="motion must have one frame rate in a USD file, got 30 and 24; pass fps="):
        write_usd([motion, motion.replace(fps=24)], tmp_path / "moves.usd")
    assert list(tmp_path.iterdir()) == []
    assert write_usd([motion, motion.replace(fps=24)], tmp_path / "moves.usd", fps=30).is_file()


@pytest.mark.parametrize(
    "name, expected", [("mixamorig:Hips", "mixamorig_Hips"), ("2 steps", "_2_steps"), ("!", "motion"), ("é", "motion")]
)
def test_identifier(name: str, expected: str):
    assert identifier(name) == expected
