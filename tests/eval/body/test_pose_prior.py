"""The pose prior knows real poses from faulty ones; NRDF's weights are read and run as in a plain reference."""

import json
import math
from pathlib import Path

import pytest
import roma
import torch
from safetensors.torch import save_file
from torch import Tensor

from motionmillion.data.synthetic.clips import synthetic_clips
from motionmillion.eval.body.nrdf import CHECKPOINT, Nrdf, pose_qualities, pose_quality
from motionmillion.eval.body.pose_prior import (
    BODY_JOINTS,
    LIMBS,
    PosePrior,
    PosePriorConfig,
    combine_limbs,
    limb_rotations,
    pose_prior_distances,
)
from motionmillion.kinematics.joints import motion_from_joints
from motionmillion.motion import Motion
from motionmillion.skeleton import SMPL22, Skeleton

PARENTS = [-1, -1, -1, 0, 1, 2, 3, 4, 5, 6, 7, 8, 8, 8, 11, 12, 13, 15, 16, 17, 18]


@pytest.fixture(scope="module")
def prior() -> PosePrior:
    return PosePrior.bundled()


@pytest.fixture(scope="module")
def walking() -> Motion:
    return next(clip.motion for clip in synthetic_clips(20, seed=0) if clip.category == "walk")


def random_rotations(*shape: int, degrees: float = 40.0, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return roma.rotvec_to_rotmat(torch.randn(*shape, 3, generator=generator) * math.radians(degrees))


def bent(motion: Motion, joint: str, degrees: tuple[float, float, float]) -> Motion:
    rotations = motion.rotations.clone()
    rotations[:, SMPL22.index(joint)] = roma.rotvec_to_rotmat(torch.deg2rad(torch.tensor(degrees)))
    return motion.replace(rotations=rotations)


def test_the_limbs_are_the_body_without_the_pelvis():
    assert sorted(SMPL22.index(joint) for names in LIMBS.values() for joint in names) == list(range(1, 22))
    for name in ("left_arm", "left_leg"):
        mirrored = [joint.replace("left", "right") for joint in LIMBS[name]]
        assert list(LIMBS[name.replace("left", "right")]) == mirrored


def test_limbs_combine_to_the_root_mean_square_over_the_joints():
    limbs = torch.tensor([[3.0, 0.0, 6.0, 1.0, 2.0]])
    by_joint = torch.tensor([3.0] * 4 + [0.0] * 4 + [6.0] * 4 + [1.0] * 4 + [2.0] * 5)
    torch.testing.assert_close(combine_limbs(limbs)[0], by_joint.square().mean().sqrt())


def test_a_standing_body_is_near_and_noise_drives_it_away(prior):
    arms_down = torch.eye(3).repeat(22, 1, 1)
    for side, sign in (("left", -1.0), ("right", 1.0)):
        arms_down[SMPL22.index(f"{side}_shoulder")] = roma.rotvec_to_rotmat(torch.tensor([0.0, 0.0, sign * 1.2]))
    noisy = [arms_down @ random_rotations(64, 22, degrees=degrees) for degrees in (2.0, 6.0, 12.0, 24.0)]
    distances = [float(prior.distance(poses).mean()) for poses in (arms_down[None], *noisy)]
    assert distances == sorted(distances) and distances[0] < 3 < 15 < distances[-1]


@pytest.mark.parametrize(
    ("joint", "degrees"),
    [
        ("left_knee", (-60.0, 0.0, 0.0)),
        ("right_knee", (-60.0, 0.0, 0.0)),
        ("left_elbow", (0.0, 60.0, 0.0)),
        ("right_elbow", (0.0, -60.0, 0.0)),
        ("neck", (-80.0, 0.0, 0.0)),
    ],
)
@pytest.mark.parametrize("from_joints", [False, True])
def test_joints_bent_the_wrong_way_are_told(prior, walking, joint, degrees, from_joints):
    real, broken = pose_prior_distances([walking, bent(walking, joint, degrees)], prior, from_joints)
    assert broken > 1.5 * real


def test_mirror_heading_and_shape_of_the_input_change_nothing(prior, walking):
    distance = prior.distance(walking.rotations)
    assert distance.shape == (walking.num_frames,)
    turned = walking.rotations.clone()
    turned[:, 0] = random_rotations(1, seed=3)
    torch.testing.assert_close(prior.distance(turned), distance)
    torch.testing.assert_close(prior.distance(walking.rotations[:, 1:]), distance)
    torch.testing.assert_close(prior.distance(walking.rotations[None]), distance[None], rtol=1e-4, atol=1e-4)
    limbs, mirrored = (prior(motion.rotations[:, 1:]) for motion in (walking, walking.mirror()))
    torch.testing.assert_close(mirrored[:, [1, 0, 3, 2]], limbs[:, :4], rtol=1e-3, atol=1e-3)


def test_company_changes_no_motion(prior, walking):
    others = [walking.slice(0, 7), walking, walking.slice(3, 4)]
    alone = torch.cat([pose_prior_distances([motion], prior) for motion in others])
    torch.testing.assert_close(pose_prior_distances(others, prior), alone, rtol=1e-4, atol=1e-4)
    assert alone.shape == (3,) and alone.dtype == torch.float64


def test_joint_positions_are_all_that_counts_unless_asked(prior, walking):
    twisted = bent(walking, "left_wrist", (150.0, 0.0, 0.0))
    seen = pose_prior_distances([walking, twisted], prior)
    torch.testing.assert_close(seen[0], seen[1], rtol=1e-3, atol=1e-3)
    recorded = pose_prior_distances([walking, twisted], prior, from_joints=False)
    assert recorded[1] > recorded[0] + 0.5


def test_a_larger_body_and_one_known_by_its_joints_lie_as_near(prior, walking):
    larger = Skeleton(SMPL22.names, SMPL22.parents, tuple((1.2 * x, 1.2 * y, 1.2 * z) for x, y, z in SMPL22.offsets))
    motions = [
        walking,
        walking.replace(skeleton=larger, translation=1.2 * walking.translation),
        motion_from_joints(walking.positions(), walking.fps),
    ]
    distances = pose_prior_distances(motions, prior)
    assert distances.tolist() == pytest.approx([float(distances[0])] * 3, rel=0.05)


def test_a_prior_is_the_same_after_saving(tmp_path):
    torch.manual_seed(0)
    prior = PosePrior(PosePriorConfig(width=16, depth=2))
    prior.save_pretrained(tmp_path)
    again = PosePrior.from_pretrained(tmp_path)
    poses = random_rotations(5, 21)
    assert torch.equal(again.distance(poses), prior.distance(poses)) and not again.training


def test_the_bundled_prior_is_small_and_in_half_precision(prior):
    folder = Path(__file__).parents[3] / "motionmillion" / "bundled" / "pose_prior"
    assert sum(file.stat().st_size for file in folder.iterdir()) < 1e6
    assert json.loads((folder / "config.json").read_text())["dtype"] == "float16"
    assert next(prior.parameters()).dtype == torch.float32


def test_right_limbs_are_seen_mirrored():
    poses = random_rotations(3, 21)
    mirrored = Motion(torch.cat([torch.eye(3).expand(3, 1, 3, 3), poses], 1), torch.zeros(3, 3)).mirror().rotations
    torch.testing.assert_close(limb_rotations(poses, "left_arm"), limb_rotations(mirrored[:, 1:], "right_arm"))


@pytest.mark.parametrize(
    ("rotations", "words"),
    [
        (torch.zeros(4, 22, 3), "shape"),
        (torch.eye(3).expand(4, 24, 3, 3), r"\[..., 22 or 21, 3, 3\], got \(4, 24, 3, 3\)"),
        (torch.full((4, 22, 3, 3), math.nan), "must be finite"),
        (torch.zeros(4, 22, 3, 3), "must be rotation matrices"),
    ],
)
def test_what_is_no_pose_is_refused(prior, rotations, words):
    with pytest.raises(ValueError, match=words):
        prior.distance(rotations)


def test_motions_that_cannot_be_measured_are_refused(prior):
    with pytest.raises(ValueError, match="at least one motion"):
        pose_prior_distances([], prior)
    other = Skeleton(("hips", "chest"), (-1, 0), ((0.0, 0.0, 0.0), (0.0, 0.5, 0.0)))
    motion = Motion(torch.eye(3).expand(4, 2, 3, 3), torch.zeros(4, 3), skeleton=other)
    with pytest.raises(ValueError, match=r"motions\[0\] must use the SMPL22 joints, got 2"):
        pose_prior_distances([motion], prior)


def test_unknown_settings_are_refused():
    with pytest.raises(ValueError, match="did you mean width"):
        PosePriorConfig(widht=3)
    with pytest.raises(ValueError, match="depth must be a whole number"):
        PosePriorConfig(depth=0)


# --- NRDF


def nrdf_state(seed: int = 0, features: int = 6, sizes: tuple[int, ...] = (16, 24, 8, 1)) -> dict[str, Tensor]:
    """Random weights of NRDF's form, with a decoder as in its checkpoints."""
    generator = torch.Generator().manual_seed(seed)
    state = {}

    def layer(name: str, size: int, inputs: int) -> None:
        state[f"{name}.weight"] = torch.randn(size, inputs, generator=generator) / math.sqrt(inputs)
        state[f"{name}.bias"] = torch.randn(size, generator=generator) / 4

    for joint, parent in enumerate(PARENTS):
        layer(f"enc.net.{joint}.net.0", 4 + features, 4 if parent < 0 else 4 + features)
        layer(f"enc.net.{joint}.net.2", features, 4 + features)
        layer(f"dec.net.{joint}.net.0", 10, 6)
    widths = [BODY_JOINTS * features, *sizes]
    for index, (inputs, size) in enumerate(zip(widths, sizes, strict=False)):
        layer(f"dfnet.lin{index}", size, inputs)
    return state


def save_nrdf(folder: Path, state: dict[str, Tensor], act: str = "softplus", beta: float = 100.0) -> Path:
    (folder / CHECKPOINT).parent.mkdir(parents=True)
    torch.save({"epoch": 3, "model_state_dict": state, "optimizer_state_dict": {}}, folder / CHECKPOINT)
    part = f"{{act: {act}, beta: {beta}}}"
    (folder / "config.yaml").write_text(f"model: {{StrEnc: {part}, DFNet: {part}}}\n")
    return folder


def naive_nrdf(state: dict[str, Tensor], quaternion: Tensor, act: str = "softplus") -> float:
    """One pose `[21, 4]`, joint by joint and number by number."""

    def bend(x: Tensor, last: bool = False) -> Tensor:
        if act == "softplus":
            return torch.log1p(torch.exp(-(100 * x).abs())) / 100 + x.clamp(min=0)
        return torch.where(x > 0, x, 0.0 if last or act == "relu" else 0.01 * x)

    def linear(name: str, x: Tensor) -> Tensor:
        return (state[f"{name}.weight"].double() * x).sum(1) + state[f"{name}.bias"].double()

    features = []
    for joint, parent in enumerate(PARENTS):
        x = quaternion[joint] if parent < 0 else torch.cat([quaternion[joint], features[parent]])
        features.append(bend(linear(f"enc.net.{joint}.net.2", bend(linear(f"enc.net.{joint}.net.0", x)))))
    x, layers = torch.cat(features), sum(name.startswith("dfnet") for name in state) // 2
    for index in range(layers):
        x = bend(linear(f"dfnet.lin{index}", x), index == layers - 1)
    return float(x)


def naive_quaternion(rotation: Tensor) -> Tensor:
    """Real part first, from angle and axis; for angles well between 0 and half a turn."""
    angle = torch.arccos((rotation.trace() - 1) / 2)
    skew = torch.stack(
        [rotation[2, 1] - rotation[1, 2], rotation[0, 2] - rotation[2, 0], rotation[1, 0] - rotation[0, 1]]
    )
    return torch.cat([torch.cos(angle / 2)[None], skew / (2 * torch.sin(angle)) * torch.sin(angle / 2)])


@pytest.mark.parametrize("act", ["softplus", "relu", "lrelu"])
def test_nrdf_is_what_a_plain_reference_computes(tmp_path, act):
    state = nrdf_state()
    nrdf = Nrdf.load(save_nrdf(tmp_path / "nrdf", state, act))
    rotations = random_rotations(6, 22).double()
    quaternions = torch.stack([torch.stack([naive_quaternion(r) for r in pose]) for pose in rotations])
    for joints, part in (("corrected", quaternions[:, 1:]), ("released", quaternions[:, :21])):
        expected = torch.tensor([naive_nrdf(state, pose, act) for pose in part])
        assert act == "relu" or expected.std() > 1e-3
        found = nrdf.distance(rotations.float(), joints)  # type: ignore[arg-type]
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5, check_dtype=False)
    quality = pose_quality(rotations.float(), nrdf)
    assert quality == pytest.approx(10 * float(nrdf.distance(rotations.float()).mean()), rel=1e-6)


def test_nrdf_reads_every_form_of_its_weights(tmp_path):
    state = nrdf_state()
    folder = save_nrdf(tmp_path / "nrdf", state)
    save_file(state, tmp_path / "nrdf.safetensors")
    poses = random_rotations(4, 21)
    expected = Nrdf(state).distance(poses)
    for path in (folder, folder / CHECKPOINT, tmp_path / "nrdf.safetensors"):
        assert torch.equal(Nrdf.load(path).distance(poses), expected)


def test_nrdf_of_many_motions(walking):
    nrdf = Nrdf(nrdf_state())
    motions = [walking, walking.slice(0, 5)]
    found = pose_qualities(motions, nrdf)
    expected = [pose_quality(motion.rotations, nrdf) for motion in motions]
    assert found.tolist() == pytest.approx(expected, rel=1e-5) and found.dtype == torch.float64


def test_the_released_order_sees_how_the_body_faces(walking):
    nrdf, turned = Nrdf(nrdf_state()), walking.rotations.clone()
    turned[:, 0] = random_rotations(1)
    assert pose_quality(turned, nrdf) == pytest.approx(pose_quality(walking.rotations, nrdf))
    assert pose_quality(turned, nrdf, "released") != pytest.approx(pose_quality(walking.rotations, nrdf, "released"))
    with pytest.raises(ValueError, match=r"22, 3, 3\], got \(4, 21, 3, 3\)"):
        nrdf.distance(random_rotations(4, 21), "released")
    with pytest.raises(ValueError, match='"corrected" or "released"'):
        nrdf.distance(turned, "upstream")  # type: ignore[arg-type]


def test_nrdf_that_is_missing_says_where_to_get_it(tmp_path):
    with pytest.raises(ValueError, match=r"nothing there; github.com/hynann/NRDF"):
        Nrdf.load(tmp_path / "nrdf")
    with pytest.raises(ValueError, match=r"checkpoint_epoch_best.tar, got none"):
        Nrdf.load(tmp_path)


def test_nrdf_with_other_weights_is_refused(tmp_path):
    state = nrdf_state()
    missing = {name: value for name, value in state.items() if name != "enc.net.20.net.2.bias"}
    wide = {**state, "enc.net.3.net.0.weight": torch.zeros(10, 4)}
    broken = {**state, "dfnet.lin0.bias": torch.full((16,), math.nan)}
    extra = {**state, "head.weight": torch.zeros(1)}
    two = nrdf_state(sizes=(16, 2))
    for other, words in (
        (missing, "1 missing in .*enc.net.20.net.2.bias"),
        (extra, "1 left over"),
        (wide, "must fit together"),
        (two, "must fit together"),
        (broken, "NaN or infinity .*dfnet.lin0.bias"),
        ({}, "missing"),
    ):
        with pytest.raises(ValueError, match=words):
            Nrdf(other)
    with pytest.raises(ValueError, match="one of .*softplus.*got 'tanh'"):
        Nrdf(state, "tanh")


def test_nrdf_files_that_are_something_else_are_refused(tmp_path):
    (tmp_path / "weights.tar").write_bytes(b"no checkpoint")
    with pytest.raises(ValueError, match="plain PyTorch checkpoint"):
        Nrdf.load(tmp_path / "weights.tar")
    (tmp_path / "weights.safetensors").write_bytes(b"no checkpoint")
    with pytest.raises(ValueError, match="must be whole, got a damaged one"):
        Nrdf.load(tmp_path / "weights.safetensors")
    torch.save({"net": {}}, tmp_path / "other.tar")
    with pytest.raises(ValueError, match="under 'model_state_dict'"):
        Nrdf.load(tmp_path / "other.tar")
    folder = save_nrdf(tmp_path / "nrdf", nrdf_state())
    (folder / "config.yaml").write_text("model: {StrEnc: {act: relu, beta: 100}, DFNet: {act: softplus, beta: 100}}")
    with pytest.raises(ValueError, match="same act and beta"):
        Nrdf.load(folder)
    (folder / "config.yaml").write_text("model: 3")
    with pytest.raises(ValueError, match="must name act and beta"):
        Nrdf.load(folder)
