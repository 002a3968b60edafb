"""The text-motion evaluator: texts and motions in one space, where what belongs together is near.

    evaluator = TextMotionEvaluator.from_pretrained("mini")       # bundled name, folder or hub id
    texts = evaluator.embed_texts(["a person waves"])             # [N, E]
    motions = evaluator.embed_motions([motion])                   # [N, E]

Retrieval, Frechet distance and the like are computed on these embeddings (`motionmillion.eval.distribution`); their
values mean something only between motions that were embedded by the same evaluator. The motion encoder is ACTOR's: a
transformer that reads the frames behind two learned positions, whose outputs are mean and log variance of the
embedding; the text encoder is the same over the states of a frozen text encoder. Training: `motionmillion train
evaluator`, losses in `motionmillion.eval.evaluator.losses`. Unusual: only the mean is ever used for measuring.

Source: TMR (Petrovich et al., ICCV 2023); MotionStreamer's and Go to Zero's evaluators are of the same kind and load
with `motionmillion.convert.load_upstream_evaluator`.

Shapes: N texts or motions, B batch, T frames, D features, P positions, L text length, C text feature size, E width.
"""

import hashlib
import math
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from motionmillion import features as representations
from motionmillion.checkpoints import ExactStatistics, StrictLoading
from motionmillion.eval.evaluator.config import TextMotionEvaluatorConfig
from motionmillion.eval.evaluator.losses import Embedding, EvaluatorOutput, evaluator_losses
from motionmillion.eval.inputs import Numbers, to_tensors
from motionmillion.features import Representation
from motionmillion.features.stats import FeatureStats
from motionmillion.motion import Motion
from motionmillion.progress import tracked
from motionmillion.provenance import weights_hash
from motionmillion.text.encoder import TextEncoder
from motionmillion.text.prompts import check_texts

BUNDLED = "bundled/evaluator"
_BATCH = 64


class SequenceEmbedder(nn.Module):
    """A transformer that turns a sequence into mean and log variance of an embedding."""

    def __init__(self, config: TextMotionEvaluatorConfig, layers: int) -> None:
        super().__init__()
        self.mean_token = nn.Parameter(torch.randn(config.width))
        self.log_variance_token = nn.Parameter(torch.randn(config.width))
        self.dropout = nn.Dropout(config.dropout)
        self.layers = nn.TransformerEncoder(_layer(nn.TransformerEncoderLayer, config), layers, None, False)

    def forward(self, x: Tensor, mask: Tensor) -> Embedding:
        """Embedding of `[B, P, E]`, of which `mask` `[B, P]` says what counts."""
        tokens = torch.stack([self.mean_token, self.log_variance_token]).expand(x.shape[0], -1, -1)
        x = torch.cat([tokens, x], dim=1)  # [B, 2 + P, E]
        mask = torch.cat([mask.new_ones(mask.shape[0], 2), mask], dim=1)
        x = self.layers(self.dropout(x + sinusoids(x.shape[1], x)), src_key_padding_mask=~mask)
        return Embedding(x[:, 0], x[:, 1])


class MotionDecoder(nn.Module):
    """ACTOR's decoder: features `[B, P, patch * D]` of a length from an embedding `[B, E]`; for training only."""

    def __init__(self, config: TextMotionEvaluatorConfig) -> None:
        super().__init__()
        self.dropout = nn.Dropout(config.dropout)
        self.layers = nn.TransformerDecoder(_layer(nn.TransformerDecoderLayer, config), config.decoder_layers)
        self.output = nn.Linear(config.width, config.patch * config.dim)

    def forward(self, latent: Tensor, mask: Tensor) -> Tensor:
        """Features for every position of `mask` `[B, P]`."""
        time = self.dropout(sinusoids(mask.shape[1], latent)).expand(mask.shape[0], -1, -1)
        return self.output(self.layers(time, latent[:, None], tgt_key_padding_mask=~mask))


class TextMotionEvaluator(ExactStatistics, StrictLoading, PreTrainedModel):
    """Embeds texts and motions; see the module's docstring."""

    config_class = TextMotionEvaluatorConfig
    config: TextMotionEvaluatorConfig
    main_input_name = "features"
    mean: Tensor
    std: Tensor

    def __init__(self, config: TextMotionEvaluatorConfig) -> None:
        super().__init__(config)
        size = representations.get(config.features).dim
        self.register_buffer("mean", torch.zeros(size))
        self.register_buffer("std", torch.ones(size))
        self.frames_in = nn.Linear(config.patch * config.dim, config.width)
        self.words_in = nn.Linear(config.text_dim, config.width)
        self.motion_embedder = SequenceEmbedder(config, config.motion_layers)
        self.text_embedder = SequenceEmbedder(config, config.text_layers)
        self.decoder = MotionDecoder(config) if config.decoder_layers else None
        self._text_encoder: TextEncoder | None = None
        self.post_init()

    def _init_weights(self, module: nn.Module) -> None:
        """Weights keep PyTorch's own initialisation."""

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: str | Path, *args: Any, **kwargs: Any) -> Self:
        """Load a bundled evaluator ("mini"), a folder or a hub id, in float32 and for evaluation.

        Raises:
            ValueError: if there is none of that name, or it is damaged.
        """
        kwargs.setdefault("dtype", torch.float32)
        folder = find_evaluator(pretrained_model_name_or_path)
        return super().from_pretrained(folder, *args, **kwargs).eval()

    @property
    def representation(self) -> Representation:
        return representations.get(self.config.features)

    @property
    def text_encoder(self) -> TextEncoder:
        """The frozen encoder of texts, loaded when it is first used."""
        if self._text_encoder is None:
            config = self.config
            self._text_encoder = TextEncoder(config.text_encoder, config.sentence, config.text_length, self.device)
            if self._text_encoder.dim != config.text_dim:
                raise ValueError(
                    f"text encoder must have the width {config.text_dim} of the evaluator, got "
                    f"{self._text_encoder.dim} from {config.text_encoder!r}; name another in its config.json"
                )
        return self._text_encoder

    def use_text_encoder(self, encoder: TextEncoder) -> None:
        """Take an encoder that is loaded already; it must be the one that the config names."""
        self._text_encoder = encoder

    def set_statistics(self, stats: FeatureStats) -> None:
        """Set mean and standard deviation of the features; they are saved with the weights."""
        self.mean.copy_(stats.mean)
        self.std.copy_(stats.std)

    def weights_sha256(self) -> str:
        """Hash of the weights and of the settings that embeddings depend on; part of every protocol."""
        digest = hashlib.sha256(weights_hash(self).encode())
        names = ["features", "blocks", "patch", "max_frames", "text_encoder", "sentence", "normalize"]
        # without path the hash is that of evaluators from before there was a choice
        for name in [*names, "path"] if self.config.path else names:
            digest.update(f"{name}={getattr(self.config, name)!r}".encode())
        return digest.hexdigest()

    def patches(self, features: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """What the motion encoder reads, `[B, P, patch * D]` normalised, float32, and its mask `[B, P]`.

        Args:
            features: `[B, T, D]` in physical units; of more than `max_frames` frames the first ones.
            lengths: frames that count, `[B]`.
        """
        config, layout = self.config, self.representation.layout
        features, lengths = features[:, : config.max_frames], lengths.clamp(max=config.max_frames)
        x = (features - self.mean) / self.std
        if config.blocks is not None:
            x = torch.cat([x[..., layout[name]] for name in config.blocks], dim=-1)
        if config.path:
            yaw, path = self.representation.root(features)
            x = torch.cat([x, yaw[..., None] / math.pi, path[..., [0, 2]]], dim=-1)
        frames = torch.arange(x.shape[1], device=x.device) < lengths[:, None]
        x = x * frames[..., None]
        x = nn.functional.pad(x, (0, 0, 0, -x.shape[1] % config.patch)).unflatten(1, (-1, config.patch)).flatten(2)
        mask = torch.arange(x.shape[1], device=x.device) < (lengths[:, None] / config.patch).ceil()
        return x, mask

    def encode_motion(self, features: Tensor, lengths: Tensor | None = None) -> Embedding:
        """Embeddings of features `[B, T, D]` in physical units; `lengths` `[B]`, all frames unless given."""
        if lengths is None:
            lengths = torch.full((features.shape[0],), features.shape[1], device=features.device)
        x, mask = self.patches(features, lengths)
        return self.motion_embedder(self.frames_in(x.to(self.dtype)), mask)

    def encode_text(self, text_features: Tensor, text_mask: Tensor) -> Embedding:
        """Embeddings of the text encoder's features `[B, L, C]`; `text_mask` `[B, L]` says what counts."""
        return self.text_embedder(self.words_in(text_features.relu().to(self.dtype)), text_mask)

    def forward(
        self,
        features: Tensor,
        lengths: Tensor,
        text_features: Tensor,
        text_mask: Tensor,
        sentences: Tensor,
        sides: Tensor,
    ) -> EvaluatorOutput:
        """Training losses of a batch of pairs.

        Args:
            features, lengths: see `encode_motion`.
            text_features, text_mask: see `encode_text`.
            sentences: one embedding a text `[B, S]`, by which texts of the same meaning are found.
            sides: equal numbers where texts name the same sides `[B]`.
        """
        patches, mask = self.patches(features, lengths)
        motion = self.motion_embedder(self.frames_in(patches.to(self.dtype)), mask)
        text = self.encode_text(text_features, text_mask)
        return evaluator_losses(self.config, motion, text, sentences, sides, self.decoder, patches, mask)

    def loss_counts(self, features: Tensor, lengths: Tensor, **_: Any) -> dict[str, Tensor]:
        """Numbers of pairs or positions over which `forward` takes the mean of each loss of a batch."""
        pairs = torch.tensor(features.shape[0], device=features.device)
        positions = (lengths.clamp(max=self.config.max_frames) / self.config.patch).ceil().sum()
        return {
            **dict.fromkeys(("contrast", "latents", "prior"), pairs),
            "reconstruction": positions,
            "frames": lengths.sum(),
        }

    def place(self, embedding: Embedding) -> Tensor:
        """Points `[B, E]` at which embeddings are compared, float32."""
        points = embedding.mean.float()
        return nn.functional.normalize(points, dim=-1) if self.config.normalize else points

    @torch.no_grad()
    def embed_texts(self, texts: str | Sequence[str]) -> Tensor:
        """Embeddings `[N, E]` of texts, on the CPU; company never changes a result. A `str` is a list of one text.

        Raises:
            ValueError: for no texts, or one that is none or has no word.
        """
        texts = check_texts(texts)
        unique = sorted(set(texts), key=len)
        found: dict[str, Tensor] = {}
        for start in range(0, len(unique), _BATCH):
            part = unique[start : start + _BATCH]
            features, mask = self.text_encoder(part)
            points = self.place(self.encode_text(features.to(self.device), mask.to(self.device))).cpu()
            found.update(zip(part, points, strict=True))
        return torch.stack([found[text] for text in texts])

    def embed_motions(self, motions: Motion | Sequence[Motion]) -> Tensor:
        """Embeddings `[N, E]` of motions of any frame rate and heading, on the CPU. A `Motion` is a list of one.

        Raises:
            ValueError: for no motions, or what is none.
        """
        motions = [motions] if isinstance(motions, Motion) else motions
        if not isinstance(motions, list | tuple) or not motions:
            raise ValueError(f"motions must be a list of at least one Motion, got {_named(motions)}")
        for place, motion in enumerate(motions):
            if not isinstance(motion, Motion):
                raise ValueError(
                    f"motions[{place}] must be a Motion, got {_named(motion)}; embed_features takes features [T, D]"
                )
        return self.embed_features([self.representation.encode(motion.canonicalize()) for motion in motions])

    @torch.no_grad()
    def embed_features(self, clips: Sequence[Numbers]) -> Tensor:
        """Embeddings `[N, E]` of features `[T, D]` in physical units, on the CPU.

        Raises:
            ValueError: for no clips, another shape, or features that are not finite.
        """
        clips = to_tensors("clips", clips)
        if not clips:
            raise ValueError("clips must hold at least one motion, got none")
        for place, clip in enumerate(clips):
            try:
                self.representation.check(clip)
            except ValueError as error:
                raise ValueError(f"clips[{place}]: {error}") from None
        order = sorted(range(len(clips)), key=lambda index: clips[index].shape[0])
        found: list[Tensor] = [torch.empty(0)] * len(clips)
        for start in tracked(range(0, len(order), _BATCH), "embedding motions", "batches"):
            part = order[start : start + _BATCH]
            batch = nn.utils.rnn.pad_sequence([clips[index] for index in part], batch_first=True).to(self.device)
            lengths = torch.tensor([clips[index].shape[0] for index in part], device=self.device)
            points = self.place(self.encode_motion(batch.float(), lengths)).cpu()
            for index, point in zip(part, points, strict=True):
                found[index] = point
        return torch.stack(found)


def _named(value: object) -> str:
    """What something is, for errors."""
    kind = type(value).__name__
    return f"an empty {kind}" if isinstance(value, list | tuple) and not value else f"a {kind}"


def find_evaluator(name: str | Path) -> str | Path:
    """Folder of a bundled evaluator; a folder or hub id as it is.

    Raises:
        ValueError: for a name that is none of these.
    """
    root = Path(str(resources.files("motionmillion"))) / BUNDLED
    if (root / str(name) / "config.json").is_file():
        return root / str(name)
    if "/" not in str(name) and not Path(name).is_dir():
        bundled = ", ".join(sorted(path.name for path in root.iterdir() if path.is_dir()))
        raise ValueError(f"evaluator must be one of {bundled}, a folder or a hub id, got {str(name)!r}")
    return name


def sinusoids(positions: int, like: Tensor) -> Tensor:
    """Positional encoding `[1, P, E]` of Vaswani et al., width and dtype of `like`."""
    width = like.shape[-1]
    time = torch.arange(positions, device=like.device, dtype=torch.float32)[:, None]
    rate = torch.exp(torch.arange(0, width, 2, device=like.device) * (-math.log(10000.0) / width))
    return torch.stack([torch.sin(time * rate), torch.cos(time * rate)], dim=-1).flatten(1)[None].to(like.dtype)


def _layer(kind: Any, config: TextMotionEvaluatorConfig) -> Any:
    return kind(config.width, config.heads, config.feedforward, config.dropout, "gelu", batch_first=True)
