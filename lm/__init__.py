"""The motion language model: text features -> motion tokens.

lm = MotionLM.from_pretrained(folder)
tokens = lm.generate(text_features=features, text_mask=mask, max_new_tokens=75, temperature=0.8, seeds=[0])
"""

from motionmillion.lm.config import MotionLMConfig
from motionmillion.lm.factorised.model import MotionFactorisedLM
from motionmillion.lm.latents.model import MotionFlowLM
from motionmillion.lm.model import MotionLM

__all__ = ["MotionFactorisedLM", "MotionFlowLM", "MotionLM", "MotionLMConfig"]
