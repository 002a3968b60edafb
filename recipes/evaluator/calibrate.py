"""Measure real motion, as the reference of smoothness and plausibility in `motionmillion evaluate`.

    python recipes/evaluator/calibrate.py --data cmu_text_motion -o motionmillion/bundled/evaluator/real_motion.json

Uses whole clips of the split train. The file holds quantiles only.
"""

import argparse
from pathlib import Path

from motionmillion.data import load_clips
from motionmillion.eval.body.pose_prior import PosePrior
from motionmillion.eval.prompts import Prompt
from motionmillion.eval.scoring import CALIBRATED, Sample, raw_measures
from motionmillion.eval.statistics.calibration import Calibration


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, help="folder of real motion")
    parser.add_argument("--split", default="train")
    parser.add_argument("-o", "--output", type=Path, required=True)
    args = parser.parse_args()
    clips = load_clips(args.data, [args.split])
    samples = [
        Sample(clip.name, Prompt(str(number), "real motion", "real"), clip.motion, clip.motion.positions())
        for number, clip in enumerate(clips)
    ]
    values = raw_measures(samples, PosePrior.bundled())
    source = f"{Path(args.data).resolve().name}, split {args.split}"
    calibration = Calibration.measure({name: values[name].tolist() for name in CALIBRATED}, source)
    print(calibration.save(args.output))


if __name__ == "__main__":
    main()
