"""The motion tokenizer: features `[B, T, D]` <-> codes `[B, N]`.

tokenizer = MotionTokenizer.from_pretrained(folder)
codes = tokenizer.encode(features)
features = tokenizer.decode(codes)
"""

from motionmillion.tokenizer.config import MotionTokenizerConfig
from motionmillion.tokenizer.model import MotionTokenizer, TokenizerOutput
from motionmillion.tokenizer.wavelet import Wavelet

__all__ = ["MotionTokenizer", "MotionTokenizerConfig", "TokenizerOutput", "Wavelet"]
