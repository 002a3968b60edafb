"""Conversion of the text-motion evaluators of MotionStreamer and MotionMillion-Codes (272 features), same embeddings.

    evaluator = load_upstream_evaluator("epoch=199.ckpt", mean, std)
    convert_evaluator("epoch=199.ckpt", "my_evaluator", mean="mean.npy", std="std.npy")     # files in, folder out

Their checkpoints hold a motion encoder and a text encoder of the ACTOR type, the latter on the states of a frozen
DistilBERT. All sizes follow from the weights except the number of heads, which is four in both. Kept from the
original: embeddings are means, not normalised, and every frame is one position. The frozen DistilBERT is not copied:
embedding a text loads `distilbert-base-uncased` from the hub. The training decoder is dropped.
"""

from pathlib import Path

from torch import Tensor

from motionmillion.checkpoints import open_state
from motionmillion.convert.state import converted_folder, fill, read_statistics, save_converted, statistics
from motionmillion.eval.evaluator.config import TextMotionEvaluatorConfig
from motionmillion.eval.evaluator.model import TextMotionEvaluator

DISTILBERT = "distilbert-base-uncased"
HEADS = 4
_SIDES = {"motion_embedder": "motionencoder", "text_embedder": "textencoder"}
_LINEAR = {"frames_in": "motionencoder.skel_embedding", "words_in": "textencoder.projection.1"}
_LAYER = (
    *("self_attn.in_proj_weight", "self_attn.in_proj_bias"),
    *(
        f"{part}.{kind}"
        for part in ("self_attn.out_proj", "linear1", "linear2", "norm1", "norm2")
        for kind in ("weight", "bias")
    ),
)


def load_upstream_evaluator(
    checkpoint: str | Path,
    mean: Tensor | None = None,
    std: Tensor | None = None,
    text_encoder: str = DISTILBERT,
    max_frames: int = 300,
) -> TextMotionEvaluator:
    """The evaluator of a Lightning checkpoint.

    Args:
        checkpoint: `.ckpt` with the weights under "state_dict"; objects other than tensors are skipped unread.
        mean, std: feature statistics `[272]` that it was trained with; without them it expects normalised features.
        text_encoder: hub id or folder of the frozen text encoder.
        max_frames: frames to which motions are truncated.

    Raises:
        ValueError: for statistics that do not fit, and weights that are missing or left over.
    """
    state = {
        name: value
        for name, value in open_state(checkpoint, "state_dict", ignore_objects=True).items()
        if name.startswith(("motionencoder.", "textencoder."))
        and not name.endswith("sequence_pos_encoding.pe")
        and not name.startswith("textencoder.text_model.")
    }
    evaluator = TextMotionEvaluator(_config(state, text_encoder, max_frames, checkpoint)).eval()
    stats = statistics(mean, std, evaluator.representation.dim)
    names = _names(evaluator.config)
    fill(evaluator, {ours: state.pop(theirs, None) for ours, theirs in names.items()}, state, checkpoint)
    if stats is not None:
        evaluator.set_statistics(stats)
    return evaluator


def convert_evaluator(
    checkpoint: str | Path,
    output: str | Path,
    mean: str | Path | None = None,
    std: str | Path | None = None,
    text_encoder: str = DISTILBERT,
) -> Path:
    """Write the evaluator of an upstream checkpoint as a folder that `TextMotionEvaluator.from_pretrained` reads.

    Args:
        mean, std: `.npy` files `[272]`; without them a note about the consequences goes to standard error.

    Raises:
        ValueError: for files that cannot be read or do not fit, see `load_upstream_evaluator`.
    """
    output = converted_folder(output)
    stats = read_statistics("mean", mean), read_statistics("std", std)
    evaluator = load_upstream_evaluator(checkpoint, *stats, text_encoder)
    return save_converted(evaluator, output, "evaluator", mean is not None)


def _config(
    state: dict[str, Tensor], text_encoder: str, max_frames: int, source: str | Path
) -> TextMotionEvaluatorConfig:
    """Our config, with all sizes inferred from the weights."""
    try:
        # [C, 272], [C, text_dim]
        frames, words = (state[f"{name}.weight"] for name in _LINEAR.values())
        feedforward = state["motionencoder.seqTransEncoder.layers.0.linear1.weight"].shape[0]
    except KeyError as error:
        raise ValueError(
            f"checkpoint must hold a motion encoder and a text encoder of ACTOR's kind, got no {error} in "
            f"{str(source)!r}"
        ) from None
    if frames.shape[1] != 272:
        raise ValueError(f"checkpoint must read 272 features, got {frames.shape[1]} in {str(source)!r}")
    layers = {ours: _layers(state, f"{theirs}.seqTransEncoder.layers.") for ours, theirs in _SIDES.items()}
    return TextMotionEvaluatorConfig(
        max_frames=max_frames,
        text_encoder=text_encoder,
        sentence=False,
        text_length=512,
        text_dim=words.shape[1],
        width=frames.shape[0],
        motion_layers=layers["motion_embedder"],
        text_layers=layers["text_embedder"],
        heads=HEADS,
        feedforward=feedforward,
        normalize=False,
        losses={"contrast": 0.1, "latents": 1e-5, "prior": 1e-5},
    )


def _layers(state: dict[str, Tensor], prefix: str) -> int:
    return 1 + max((int(n.removeprefix(prefix).split(".")[0]) for n in state if n.startswith(prefix)), default=-1)


def _names(config: TextMotionEvaluatorConfig) -> dict[str, str]:
    """Our name -> the upstream name of every weight."""
    names = {f"{ours}.{kind}": f"{theirs}.{kind}" for ours, theirs in _LINEAR.items() for kind in ("weight", "bias")}
    for (ours, theirs), layers in zip(_SIDES.items(), (config.motion_layers, config.text_layers), strict=True):
        names |= {f"{ours}.mean_token": f"{theirs}.mu_token", f"{ours}.log_variance_token": f"{theirs}.logvar_token"}
        for layer in range(layers):
            for part in _LAYER:
                names[f"{ours}.layers.layers.{layer}.{part}"] = f"{theirs}.seqTransEncoder.layers.{layer}.{part}"
    return names
