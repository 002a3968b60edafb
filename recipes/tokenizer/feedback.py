"""What encoding with feedback is worth: a trained tokenizer with more and more corrections of its root.

    python recipes/tokenizer/feedback.py --tokenizer mini --data PATH/TO/cmu_text_motion --split test

Prints a table: errors of whole clips, averaged over frames, with 95 % bootstrap intervals over takes, and the CPU time
of encoding relative to a single pass in the same run.
"""

import argparse
import time

import numpy as np
import torch

from motionmillion.data.clips import ClipReader, list_clips
from motionmillion.eval.reconstruction import measure_clip
from motionmillion.eval.statistics.bootstrap import bootstrap_intervals
from motionmillion.pipeline.folder import find_tokenizer
from motionmillion.progress import shown, tracked
from motionmillion.tokenizer import MotionTokenizer

COLUMNS = {
    "global_mpjpe_mm": "MPJPE, global (mm)",
    "mpjpe_mm": "MPJPE, root-aligned (mm)",
    "pa_mpjpe_mm": "PA-MPJPE (mm)",
    "root_path_m": "pelvis path error (m)",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--tokenizer", default="mini", help="bundled name or folder")
    parser.add_argument("--data", required=True, help="folder of motions")
    parser.add_argument("--split", default="test")
    parser.add_argument("--corrections", type=int, nargs="*", default=[0, 1, 2, 3])
    options = parser.parse_args()
    tokenizer = MotionTokenizer.from_pretrained(find_tokenizer(options.tokenizer)).eval()
    reader, codec = ClipReader(options.data), tokenizer.representation
    records = list_clips(options.data, (options.split,))
    clips = [codec.encode(reader(record).motion.canonicalize()) for record in records]
    takes, frames = [record.take for record in records], np.array([len(clip) for clip in clips])
    print("| corrections | " + " | ".join(COLUMNS.values()) + " | time of encoding |")
    print("|---" * (len(COLUMNS) + 2) + "|")
    first = 0.0
    with shown():
        for count in options.corrections:
            tokenizer.config.root_corrections = count
            began = time.process_time()
            with torch.no_grad():
                for clip in clips:
                    tokenizer.encode(clip[None])
            spent = time.process_time() - began
            first = first or spent
            measured = [measure_clip(tokenizer, clip)[0] for clip in tracked(clips, f"{count} corrections", "clips")]
            values = np.array([[own[name] for name in COLUMNS] for own in measured])  # [N, M]
            intervals = bootstrap_intervals(values, frames, takes)
            cells = [f"{mean:.3g}" for mean in np.average(values, axis=0, weights=frames)]
            if intervals is not None:
                cells = [f"{mean} ({a:.3g} to {b:.3g})" for mean, (a, b) in zip(cells, intervals, strict=True)]
            print(f"| {count} | " + " | ".join(cells) + f" | {spent / first:.1f} |", flush=True)


if __name__ == "__main__":
    main()
