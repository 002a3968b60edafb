"""Train a language model further on which of its own motions do what the text says.

    motionmillion train preference --config recipes/mini/preference.yaml --set data.folder=my_motions

In every round the model samples several motions for captions of the training clips, `motionmillion.pipeline.choosing`
rates how well each fits its caption, and some training steps raise the probability of those that fit better than the
others of their caption, and lower that of the rest. So one motion comes to do what the best of several did.

| key of `data` | meaning |
|---|---|
| folder, synthetic | where clips come from: a folder or a list of folders, or a number of synthetic clips |
| skip_bad | leave out clips that cannot be read, and names in lists that match none, and list them |
| own_caption_share | fraction of visits in which a window of a longer take is described by a caption of its own |
| caption_rules | file of rules that add wordings to training clips, see `motionmillion.data.captions` |
| caption_weights | probability weights of the sources of captions, see `motionmillion.data.sets.texts` |
| compose | training clips made out of others, see `motionmillion.data.composition.composing.ComposeOptions` |
| balance | 0 visits every clip equally often, 1 every category; values between them are a compromise |
| balance_by | what a category is: `category`, `description` (title of the take) or `action` (verb of the caption) |
| start_from | pipeline (bundled name, folder, hub id) whose model is trained further |
| rounds | how often motions are sampled and learned from |
| prompts | captions of a round |
| longest | words of the longest caption that is asked for |
| candidates | motions of each caption |
| seconds | shortest and longest motion |
| held_out | fraction of the captions that is only evaluated on |

| key of `training` | meaning |
|---|---|
| steps | steps of a round |
| batch_size | captions of a step, each with four of its motions |
| learning_rate | of the first steps after a short warm-up; it falls to a fifth |
| ema_decay | decay of the average of the weights, which is what a round ends with |
| max_grad_norm | longest gradient |
| reach | clip range: factor by which a likelihood moves, before nothing more is gained |
| penalty | weight of the distance from the model that sampled |
| logging_steps | steps between two lines |

Each round has a folder of its own, `<output>/round_N`, with `candidates.safetensors` and the pipeline `final`;
`<output>/final` is that of the last round. An interrupted run is resumed with `--resume`, and uses the motions that it
has. Figures of a round compare its model with the one that sampled, the model of the round before. It runs in one
process, on a GPU if there is one.

Unusual: likelihoods are means over the tokens of a motion, without guidance and dropout, though motions are sampled
with the guidance of the pipeline. Fits are measured, not judged by people, and contain the model's own likelihoods
(`motionmillion.pipeline.choosing`): look at motions before and after.

Source: the clipped objective of PPO (Schulman et al., 2017) with the advantages within a group of GRPO (Shao et al.,
2024), without a value model; the distance from the sampling model is penalised as there.
"""

import functools
import hashlib
import json
import os
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.optim.swa_utils import AveragedModel
from torch.utils.data import DataLoader

from motionmillion.configuration import check_number, check_share, check_whole
from motionmillion.data.clips import MotionClip
from motionmillion.data.mirror_words import mirror_caption
from motionmillion.data.sets.candidates import BEST, OTHERS, CandidateDataset, Candidates, collate_candidates
from motionmillion.data.sets.groups import group_of
from motionmillion.data.sets.texts import draw_caption
from motionmillion.io.files import write_text
from motionmillion.lm import MotionLM
from motionmillion.pipeline.base import sample_seed
from motionmillion.pipeline.codes import CodesPipeline
from motionmillion.pipeline.folder import find_pipeline, folder_options, is_pipeline, layout_of
from motionmillion.pipeline.options import CodesOptions
from motionmillion.progress import say, say_lines, tracked
from motionmillion.training.origins import check_origins, model_of
from motionmillion.training.recipe import Recipe
from motionmillion.training.resume import check_output, note_recipe
from motionmillion.training.sections import ComposedSection, option, read_section
from motionmillion.training.trainer import average_step, plain_attention

ROUNDS, CANDIDATES, FIGURES = "round_*", "candidates.safetensors", "figures.json"
SAMPLED = "sampled.safetensors"
"""Candidates of a round whose sampling was interrupted."""
_TRIES = 20
"""Captions drawn for each that is asked for: most are too long, or were drawn before."""
_WARMUP = 10
"""Steps."""
_TOGETHER = 8
"""Captions whose motions are sampled together, all of one length."""
_SAVED = 3
"""How often that is done between two savings."""


@dataclass(frozen=True)
class PreferenceSection(ComposedSection):
    """The section `data` of a recipe."""

    start_from: str | None = option(None, "pipeline (bundled name, folder, hub id) whose model is trained further")
    rounds: int = option(3, "how often motions are sampled and learned from")
    prompts: int = option(750, "captions of a round")
    longest: int = option(14, "words of the longest caption that is asked for")
    candidates: int = option(8, "motions of each caption")
    seconds: tuple[float, float] = option((3.0, 6.0), "shortest and longest motion")
    held_out: float = option(0.1, "fraction of the captions that is only evaluated on")

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.start_from:
            raise ValueError(f"data.start_from must name a trained pipeline, got {self.start_from!r}")
        for name, least in {"rounds": 1, "prompts": 2, "longest": 1, "candidates": BEST + OTHERS}.items():
            check_whole(f"data.{name}", getattr(self, name), least)
        if not 0 < check_share("data.held_out", self.held_out) < 1:
            raise ValueError(f"data.held_out must be between 0 and 1, got {self.held_out!r}")
        if not isinstance(self.seconds, list | tuple) or len(self.seconds) != 2:
            raise ValueError(f"data.seconds must be a shortest and a longest length, got {self.seconds!r}")
        low, high = (check_number("data.seconds", value) for value in self.seconds)
        if not 0 < low <= high:
            raise ValueError(f"data.seconds must be a shortest and a longest length, got {self.seconds!r}")


@dataclass(frozen=True)
class PreferenceTraining:
    """The section `training` of a recipe."""

    steps: int = option(150, "steps of a round")
    batch_size: int = option(8, "captions of a step, each with four of its motions")
    learning_rate: float = option(5e-5, "of the first steps after a short warm-up; it falls to a fifth")
    ema_decay: float = option(0.98, "decay of the average of the weights, which is what a round ends with")
    max_grad_norm: float = option(1.0, "longest gradient")
    reach: float = option(1.25, "clip range: factor by which a likelihood moves, before nothing more is gained")
    penalty: float = option(0.05, "weight of the distance from the model that sampled")
    logging_steps: int = option(25, "steps between two lines")

    def __post_init__(self) -> None:
        for name in ("steps", "batch_size", "logging_steps"):
            check_whole(f"training.{name}", getattr(self, name), 1)
        for name in ("learning_rate", "max_grad_norm", "penalty"):
            check_number(f"training.{name}", getattr(self, name))
        check_share("training.ema_decay", self.ema_decay)
        if not check_number("training.reach", self.reach) > 1:
            raise ValueError(f"training.reach must be above 1, got {self.reach!r}")

    def rate(self, step: int) -> float:
        """The learning rate of a step, counted from 0."""
        return self.learning_rate * min((step + 1) / _WARMUP, 1) * (1 - 0.8 * (step + 1) / self.steps)


def train_preference(recipe: Recipe, resume: bool = False, force: bool = False) -> dict[str, float]:
    """Train in rounds and write the pipeline `<output>/final`; returns the figures of the last round.

    Args:
        resume: continue an interrupted run: sampling where it was, the training of a round from its beginning.
        force: only warn if a run to resume started from another model.

    Raises:
        ValueError: for unknown options, a pipeline without codes, and data without captions that are short enough.
    """
    data = read_section(PreferenceSection, recipe.data)
    options = read_section(PreferenceTraining, recipe.training, "training section")
    if recipe.model:
        raise ValueError(f"model must be left out of a recipe for preference, got {recipe.model!r}")
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise ValueError(f"train preference must run in one process, got {os.environ['WORLD_SIZE']}")
    output, done = Path(recipe.output), Path(recipe.output) / "final"
    check_output(recipe, resume, ROUNDS)
    if done.exists() and not any(output.glob(ROUNDS)):
        raise ValueError(
            f"output must be a folder of its own, got {recipe.output!r} with a trained model of another run"
        )
    say_lines(data.check_clips(captioned=True, val=0))
    folder = find_codes(str(data.start_from))
    note_recipe(recipe, ROUNDS)
    check_origins(recipe.output, {"data.start_from": model_of(folder / "lm")}, force)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    clips: list[MotionClip] = []
    for number in range(1, data.rounds + 1):
        own, seed = output / f"round_{number}", recipe.seed + number
        if not is_pipeline(own / "final"):
            pipe = CodesPipeline.from_pretrained(folder, device)
            if not (own / CANDIDATES).exists():
                clips = clips or data.training_clips(data.clips(recipe.seed), recipe.seed)
                asked = prompts(clips, data, seed)
                say(f"round {number}: {data.candidates} motions for each of {len(asked)} captions")
                sample(pipe, asked, data, seed, own / SAMPLED)
                (own / SAMPLED).replace(own / CANDIDATES)
            torch.manual_seed(seed)
            figures = learn(pipe, Candidates.load(own / CANDIDATES), data.held_out, options, seed)
            write_text(json.dumps(figures, indent=2) + "\n", own / FIGURES)
            pipe.save_pretrained(own / "final")
        folder = own / "final"
    CodesPipeline.from_pretrained(folder).save_pretrained(done)
    return json.loads((folder.parent / FIGURES).read_text(encoding="utf-8"))


def find_codes(name: str) -> Path:
    """Folder of a pipeline with a language model over codes; loads no weights.

    Raises:
        ValueError: for other kinds.
    """
    folder = find_pipeline(name)
    if layout_of(folder) is not None:
        raise ValueError(f"data.start_from must be one of our pipelines, got {name!r}; convert it first")
    if type(folder_options(folder)) is not CodesOptions:
        raise ValueError(f"data.start_from must be a language model over codes, got {name!r}; mini is one")
    return folder


def prompts(clips: list[MotionClip], data: PreferenceSection, seed: int) -> list[str]:
    """Captions to ask for, none twice; half of them mirrored.

    Raises:
        ValueError: if no caption is short enough.
    """
    if not clips:
        raise ValueError("data must hold captioned clips of the split 'train', got none")
    generator = torch.Generator().manual_seed(seed)
    weights = data.visits([group_of(clip, data.balance_by) for clip in clips])
    weights = torch.ones(len(clips)) if weights is None else weights
    found: dict[str, None] = {}
    with torch.random.fork_rng([]):
        torch.manual_seed(seed)
        drawn = torch.multinomial(weights.double(), _TRIES * data.prompts, replacement=True, generator=generator)
        for place in drawn.tolist():
            clip = clips[place]
            shares = (data.own_caption_share, clip.sources, data.caption_weights)
            caption = draw_caption(clip.captions, clip.own_captions, clip.whole, *shares)
            if len(caption.split()) <= data.longest:
                found[mirror_caption(caption) if float(torch.rand(())) < 0.5 else caption] = None
            if len(found) == data.prompts:
                break
    if len(found) < 2:
        raise ValueError(
            f"data.longest must leave at least 2 captions to ask for, got {data.longest} with {len(found)}"
        )
    return list(found)


@torch.no_grad()
def sample(pipe: CodesPipeline, asked: list[str], data: PreferenceSection, seed: int, kept: Path) -> None:
    """Write motions of prompts, as the pipeline samples them, with how well they fit and their losses.

    Args:
        kept: file of the `Candidates`, which is written now and then; that of an interrupted run is continued, with
            the motions that the whole run would have had.
    """
    low, high = data.seconds
    parts = [asked[start : start + _TOGETHER] for start in range(0, len(asked), _TOGETHER)]
    lengths = low + (high - low) * torch.rand(len(parts), generator=torch.Generator().manual_seed(seed))
    many = data.candidates
    tokens: list[Tensor] = []
    fits: list[Tensor] = []
    losses: list[Tensor] = []
    if kept.exists():
        found = Candidates.load(kept)
        tokens, fits, losses = found.tokens, [*found.fits], [*found.losses]
    for number in tracked(range(-(-len(tokens) // _TOGETHER), len(parts)), "sampling", f"times {_TOGETHER} captions"):
        options = pipe.options({"seconds": round(float(lengths[number]), 2)})
        repeated = [prompt for prompt in parts[number] for _ in range(many)]
        first = number * _TOGETHER
        seeds = [sample_seed(sample_seed(seed, first + n // many + 1), n % many) for n in range(len(repeated))]
        rows, motions = pipe.sample_tokens(repeated, seeds, options)
        for n, prompt in enumerate(parts[number]):
            own = slice(n * many, (n + 1) * many)
            features, mask = (part.expand(many, *part.shape[1:]) for part in pipe.read([prompt]))
            tokens.append(rows[own].cpu())
            fits.append(pipe.fits(prompt, rows[own], motions[own]))
            losses.append(mean_losses(pipe.lm, rows[own], features, mask).float().cpu())
        if (number + 1) % _SAVED == 0 or number + 1 == len(parts):
            Candidates(asked[: len(tokens)], tokens, torch.stack(fits), torch.stack(losses)).save(kept)


def learn(
    pipe: CodesPipeline, candidates: Candidates, held_out: float, options: PreferenceTraining, seed: int
) -> dict[str, float]:
    """Train the model of a pipeline on candidates; returns the figures on those that are held out."""
    rows = candidates.differing()
    if len(rows) < 2:
        raise ValueError(
            f"data.prompts must give at least 2 captions whose motions differ in how they fit, got {len(rows)} of "
            f"{len(candidates.prompts)}; ask for more"
        )
    places = {row: _place(candidates.prompts[row]) for row in rows}
    rows.sort(key=places.__getitem__)
    kept = min(max(sum(place < held_out for place in places.values()), 1), len(rows) - 1)
    unseen, train = (CandidateDataset(candidates.part(own), pipe.text_encoder) for own in (rows[:kept], rows[kept:]))
    lm, padding = pipe.lm, pipe.lm.config.padding_token_id
    collate = functools.partial(collate_candidates, padding=padding)
    batches = _endless(train, options.batch_size, collate, seed)
    optimizer = torch.optim.AdamW(lm.requires_grad_(True).parameters(), options.learning_rate, betas=(0.9, 0.98))
    average = AveragedModel(lm, avg_fn=average_step(options.ema_decay))
    for step in range(options.steps):
        optimizer.param_groups[0]["lr"] = options.rate(step)
        with plain_attention(lm.device):
            figures = objective(lm, next(batches), options)
            optimizer.zero_grad()
            (-figures["objective"]).backward()
        torch.nn.utils.clip_grad_norm_(lm.parameters(), options.max_grad_norm)
        optimizer.step()
        average.update_parameters(lm)
        if (step + 1) % options.logging_steps == 0 or step + 1 == options.steps:
            said = "  ".join(f"{name} {float(value.detach()):.4g}" for name, value in figures.items())
            say(f"step {step + 1}  {said}")
    lm.load_state_dict(average.module.state_dict())
    lm.requires_grad_(False)
    return evaluate(lm, DataLoader(unseen, options.batch_size, collate_fn=collate), options)


def _place(prompt: str) -> float:
    """A number in [0, 1) that a prompt and its mirrored copy have in every round."""
    both = "\n".join(sorted((prompt, mirror_caption(prompt))))
    return int.from_bytes(hashlib.sha256(both.encode()).digest()[:6], "big") / 2**48


def objective(lm: MotionLM, batch: dict[str, Tensor], options: PreferenceTraining) -> dict[str, Tensor]:
    """Means over the rows of a batch: "objective", and of it "gain" and "distance" from the model that sampled, both 0
    for that model itself."""
    batch = {name: value.to(lm.device) for name, value in batch.items()}
    losses = mean_losses(lm, batch["tokens"], batch["text_features"], batch["text_mask"])
    log_ratio = batch["before"] - losses  # of a token's likelihood to that of the model that sampled
    ratio, advantages = log_ratio.exp(), batch["advantages"]
    reached = ratio.clamp(1 / options.reach, options.reach)
    gain = torch.minimum((ratio - 1) * advantages, (reached - 1) * advantages).mean()
    distance = ((-log_ratio).exp() - 1 + log_ratio).mean()
    return {"objective": gain - options.penalty * distance, "gain": gain, "distance": distance}


def mean_losses(lm: MotionLM, tokens: Tensor, features: Tensor, mask: Tensor) -> Tensor:
    """Nats a token of each row `[B]`."""
    return lm.row_losses(tokens, features, mask, tokens) / lm.valid_motion(tokens).sum(dim=1)


@torch.no_grad()
def evaluate(lm: MotionLM, batches: Iterable[dict[str, Tensor]], options: PreferenceTraining) -> dict[str, float]:
    """Means of the objective's parts over batches."""
    sums: Counter[str] = Counter()
    for batch in batches:
        rows = len(batch["tokens"])
        sums.update({name: rows * float(value) for name, value in objective(lm, batch, options).items()})
        sums["rows"] += rows
    return {name: value / sums["rows"] for name, value in sums.items() if name != "rows"}


def _endless(data: CandidateDataset, size: int, collate: Any, seed: int) -> Iterator[dict[str, Tensor]]:
    """Batches in a new order each time all are used up."""
    generator = torch.Generator().manual_seed(seed)
    loader = DataLoader(
        data, min(size, len(data)), shuffle=True, collate_fn=collate, generator=generator, drop_last=True
    )
    while True:
        yield from loader
