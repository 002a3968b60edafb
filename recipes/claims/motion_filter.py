"""The motion filter: does it find bad clips, and do a tokenizer and a language model get better without them?

    python recipes/claims/motion_filter.py --data PATH/TO/cmu_text_motion --tokenizer runs/mini/tokenizer/final

Faults as estimates of bodies in videos have them (`recipes/curation/thresholds.py`) are put into clean clips:

1. ROC: the area under the curve of each measure of `motionmillion.curation.measures` and fault, jerk and the two
   changes of direction (`turn` of the pelvis, `flip` of any joint) among them. The seed draws clips and faults.
2. A share of the training clips gets a fault each, in equal numbers of a kind. A tokenizer and a language model are
   trained on the clean clips, on these, and on what the filter leaves of these. They are measured on clean clips of
   val.

| arm | training clips |
|---|---|
| clean | all, without faults |
| bad | all, a share of them with faults |
| filtered | those of `bad` whose measures are all within the thresholds |
| oracle | those of `bad` without faults |

Thresholds are chosen on clean clips of train such that each measure alone drops 1 % of them. The language models read
codes of the tokenizer that is named, so that their losses can be compared.
"""

import importlib.util
from collections import Counter
from pathlib import Path
from typing import Any

import language
import numpy as np
import torch
import wavelet
from cells import run_cells, table, told
from material import Material, parser

from motionmillion import features as representations
from motionmillion.curation.measures import MEASURES, measures_of
from motionmillion.data.clips import MotionClip, load_clips
from motionmillion.data.sets.sequences import make_sequences
from motionmillion.data.sets.tokens import TokenDataset
from motionmillion.data.sets.windows import FeatureWindows, WholeClips
from motionmillion.eval.reconstruction import evaluate_tokenizer
from motionmillion.progress import shown, tracked
from motionmillion.training.recipe import load_yaml, merge
from motionmillion.training.tokenizer import TokenizerData

HERE = Path(__file__).parent
ARMS = ("clean", "bad", "filtered", "oracle")
SHORTEST, LONGEST, QUANTILE = 45, 200, 0.99
TOKENIZER = {"mpjpe_rotations_mm": "MPJPE mm", "excess_acceleration_mm": "excess acceleration mm/frame²"}
LANGUAGE = {"clips": "clips", "loss": "loss on val", "r3": "R@3", "fid": "FID"}


def faults_module() -> Any:
    """`recipes/curation/thresholds.py`."""
    place = HERE.parent / "curation" / "thresholds.py"
    spec = importlib.util.spec_from_file_location("curation_thresholds", place)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Clips:
    """Training clips, clean and with faults, and their measures.

    Args:
        data: folder of clips.
        count: training clips, evenly spread; 0 for all.
        share: fraction of them that gets a fault.
    """

    def __init__(self, data: str, count: int, share: float, faults: Any) -> None:
        every = load_clips(data, ["train", "val"])
        own = [clip for clip in every if clip.split == "train" and clip.motion.num_frames >= SHORTEST]
        step = max(1, len(own) // count) if count else 1
        self.train = [self._cut(clip) for clip in own[::step]][: count or None]
        self.val = [clip for clip in every if clip.split == "val"]
        self.share, self.faults = share, faults
        self.clean = self.measured(self.train, "clean clips")
        self.limits = np.quantile(self.clean, QUANTILE, axis=0)

    @staticmethod
    def _cut(clip: MotionClip) -> MotionClip:
        if clip.motion.num_frames <= LONGEST:
            return clip
        return clip.replace(motion=clip.motion.slice(0, LONGEST), ends=False)

    def measured(self, clips: list[MotionClip], title: str) -> np.ndarray:
        """Measures `[N, M]`, of which large values are faults."""
        low = np.array([-1.0 if name in self.faults.LOW else 1.0 for name in MEASURES])
        return low * np.array([list(measures_of(clip.motion).values()) for clip in tracked(clips, title, "clips")])

    def bad(self, seed: int) -> tuple[list[MotionClip], list[str | None]]:
        """The training clips, some of them with a fault, and which."""
        generator = torch.Generator().manual_seed(seed)
        order = torch.randperm(len(self.train), generator=generator)[: round(self.share * len(self.train))].tolist()
        names = list(self.faults.FAULTS)
        clips: list[MotionClip] = list(self.train)
        kinds: list[str | None] = [None] * len(clips)
        for number, place in enumerate(order):
            kinds[place] = kind = names[number % len(names)]
            other = self.train[(place + 7) % len(self.train)].motion
            draw = torch.Generator().manual_seed(100_000 * seed + place)
            clips[place] = clips[place].replace(motion=self.faults.FAULTS[kind](clips[place].motion, other, draw))
        return clips, kinds

    def of(self, arm: str, seed: int) -> list[MotionClip]:
        """The training clips of an arm."""
        if arm == "clean":
            return self.train
        clips, kinds = self.bad(seed)
        if arm == "bad":
            return clips
        if arm == "oracle":
            return [clip for clip, kind in zip(clips, kinds, strict=True) if kind is None]
        within = np.all(self.measured(clips, "clips") <= self.limits, axis=1).tolist()
        return [clip for clip, good in zip(clips, within, strict=True) if good]


def roc_cell(clips: Clips, count: int, seed: int) -> dict[str, float]:
    """Areas under the curves on clips that the seed draws, with all faults in equal numbers."""
    faults, generator = clips.faults, torch.Generator().manual_seed(seed)
    chosen = torch.randperm(len(clips.train), generator=generator)[:count].tolist()
    found: dict[str, float] = {}
    for number, (name, fault) in enumerate(faults.FAULTS.items()):
        made = []
        for place in chosen:
            draw = torch.Generator().manual_seed(100_000 * seed + 1000 * number + place)
            other = clips.train[(place + 7) % len(clips.train)].motion
            made.append(clips.train[place].replace(motion=fault(clips.train[place].motion, other, draw)))
        values = clips.measured(made, name)
        for column, measure in enumerate(MEASURES):
            found[f"{name}: {measure}"] = faults.roc(clips.clean[chosen][:, column], values[:, column])[2]
        found[f"{name}: found"] = float((values > clips.limits).any(1).mean())
    found["clean: dropped"] = float((clips.clean[chosen] > clips.limits).any(1).mean())
    return found


def tokenizer_cell(clips: list[MotionClip], held_out: WholeClips, options: Any, seed: int, folder: Path):
    """Measures on val of a tokenizer that was trained on the clips."""
    content = merge(load_yaml(wavelet.CONFIG)["common"], wavelet.LOSS)
    content = merge(content, {"model": {"width": options.width}, "training": {"max_steps": options.tokenizer_steps}})
    content["data"]["folder"] = options.data
    windows = FeatureWindows(clips, representations.get("rot272"), content["data"]["frames"], copies=1)
    trained = wavelet.train(content, seed, folder, TokenizerData(windows, held_out))
    return {**evaluate_tokenizer(trained, held_out.features), "clips": float(len(clips))}


def roc_table(results: dict[int, dict[str, float]], faults: Any) -> str:
    """Markdown: a row for each fault, a column for each measure, means over seeds with intervals."""
    columns = [*MEASURES, "found"]
    lines = [f"| fault | {' | '.join(columns)} |", "|---" * (len(columns) + 1) + "|"]

    def over_seeds(name: str) -> str:
        return told([own[name] for own in results.values()], 3)

    for name in faults.FAULTS:
        lines.append(f"| {name} | {' | '.join(over_seeds(f'{name}: {column}') for column in columns)} |")
    dropped = over_seeds("clean: dropped")
    return "\n".join([*lines, "", f"Share of clean clips that all thresholds together drop: {dropped}."])


def roc_part(options: Any, clips: Clips) -> None:
    """Table of the first part."""
    settings = {"clips": options.clips, "share": options.share, "roc_clips": options.roc_clips}
    arms = {"roc": lambda seed: roc_cell(clips, options.roc_clips, seed)}
    results = run_cells(options.output / "motion_filter" / "roc", settings, arms, range(options.seeds))
    print(roc_table(results["roc"], clips.faults))


def language_part(options: Any, clips: Clips) -> None:
    """Table of the language models."""
    material = Material.of(options)
    judge = material.judge(options.judged)

    def cell(arm: str, seed: int) -> dict[str, float]:
        found = make_sequences(clips.of(arm, seed), material.tokenizer)
        recipe = language.content(options.set, training={"max_steps": options.steps})
        lm, figures = language.train(material, TokenDataset.of(found, material.texts), recipe, seed)
        return {**figures, **language.judged(lm, material, judge, seed), "clips": float(len(found.codes))}

    settings = {"clips": options.clips, "share": options.share, **material.settings}
    settings |= {"steps": options.steps, "judged": options.judged, "set": options.set}
    arms = {arm: lambda seed, arm=arm: cell(arm, seed) for arm in ARMS}
    results = run_cells(options.output / "motion_filter" / "lm", settings, arms, range(options.seeds))
    print(table(results, LANGUAGE, "clean", {"clips": 0}))


def tokenizer_part(options: Any, clips: Clips) -> None:
    """Table of the tokenizers."""
    held_out = WholeClips(clips.val, representations.get("rot272"))
    folder = options.output / "motion_filter"

    def cell(arm: str, seed: int) -> dict[str, float]:
        return tokenizer_cell(clips.of(arm, seed), held_out, options, seed, folder / "runs" / f"{arm}-{seed}")

    settings = {"clips": options.clips, "share": options.share}
    settings |= {"steps": options.tokenizer_steps, "width": options.width}
    arms = {arm: lambda seed, arm=arm: cell(arm, seed) for arm in ARMS}
    results = run_cells(folder / "tokenizer", settings, arms, range(options.seeds))
    print(table(results, TOKENIZER, "clean", {"mpjpe_rotations_mm": 1, "excess_acceleration_mm": 2}))


PARTS = {"roc": roc_part, "lm": language_part, "tokenizer": tokenizer_part}


def main() -> None:
    made = parser(__doc__ or "")
    made.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS), help="what is run; default: all")
    made.add_argument("--clips", type=int, default=1000, help="training clips; 0 for all")
    made.add_argument("--share", type=float, default=0.3, help="fraction of them with a fault")
    made.add_argument("--roc-clips", type=int, default=150, help="clips of a cell of the ROC curves")
    made.add_argument("--tokenizer-steps", type=int, default=1000)
    made.add_argument("--width", type=int, default=64, help="of the tokenizers that are trained")
    options = made.parse_args()
    with shown():
        clips = Clips(options.data, options.clips, options.share, faults_module())
        for part in options.parts:
            PARTS[part](options, clips)
    print(f"faults of seed 0: {dict(Counter(filter(None, clips.bad(0)[1])))}")


if __name__ == "__main__":
    main()
