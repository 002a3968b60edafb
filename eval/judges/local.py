"""A local judge: any vision-language model of transformers with a chat template.

    judge = TransformersJudge("Qwen/Qwen2.5-VL-3B-Instruct", device="cuda")
    judge = TransformersJudge("my_folder", rendering=Rendering(sheet=True))        # for models that accept one picture

The model is loaded at the first question that is not in the cache, and answers greedily, one question at a time.
Needs Pillow, and for most models torchvision: `pip install "motionmillion[judge]"`.
"""

import contextlib
import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from motionmillion.configuration import check_whole
from motionmillion.eval.judges.judge import Asked, Judge, JudgeError
from motionmillion.eval.judges.pictures import Rendering
from motionmillion.eval.judges.replies import INSTRUCTIONS_HASH, instruction

_ENDS = 2**16  # bytes hashed at either end of a weight file


class TransformersJudge(Judge):
    """Judges with a vision-language model.

    Args:
        model: hub id or folder.
        device, dtype: of the model; the default dtype is that of its config.
        rendering: how motions are drawn; None: the defaults.
        max_new_tokens: maximum length of a reply.
        revision: revision on the hub.

    Raises:
        ValueError: for an invalid number; at the first question, if there is no such model.
        ImportError: at the first question, if its processor needs a missing package.
    """

    def __init__(
        self,
        model: str,
        device: str = "cpu",
        dtype: str = "auto",
        rendering: Rendering | None = None,
        max_new_tokens: int = 512,
        revision: str | None = None,
    ) -> None:
        self.model, self.device, self.dtype, self.revision = model, device, dtype, revision
        self.rendering = Rendering() if rendering is None else rendering
        self.max_new_tokens = check_whole("max_new_tokens", max_new_tokens, 1)
        self.name = Path(model).name if Path(model).is_dir() else model
        self._loaded: tuple[Any, Any] | None = None

    def describe(self) -> dict[str, Any]:
        weights = _fingerprint(Path(self.model)) if Path(self.model).is_dir() else self.revision or "newest"
        return {
            "judge": "transformers",
            "model": self.name,
            "weights": weights,
            "dtype": self.dtype,
            "max_new_tokens": self.max_new_tokens,
            "rendering": self.rendering.describe(),
            "instructions": INSTRUCTIONS_HASH,
        }

    def replies(self, asked: Sequence[Asked]) -> Iterator[str | JudgeError]:
        for entry in asked:
            shown = self.rendering.show(entry.motion)
            reply = self._generate(shown.pictures, instruction(entry.kind, entry.texts, shown.note))
            yield reply if reply.strip() else JudgeError(f"{self.name} must reply with words, got none")

    def _generate(self, pictures: list[Any], text: str) -> str:
        import torch

        processor, model = self._load()
        content = [{"type": "image", "image": picture} for picture in pictures]
        inputs = processor.apply_chat_template(
            [{"role": "user", "content": [*content, {"type": "text", "text": text}]}],
            add_generation_prompt=True,
            tokenize=True,
            return_dict=True,
            return_tensors="pt",
        ).to(model.device, dtype=model.dtype)  # integers keep their type
        with torch.no_grad():
            output = model.generate(
                **inputs,
                max_new_tokens=self.max_new_tokens,
                do_sample=False,
                temperature=None,
                top_p=None,
                top_k=None,
            )
        start = 0 if model.config.is_encoder_decoder else inputs["input_ids"].shape[1]
        return processor.tokenizer.decode(output[0, start:], skip_special_tokens=True)

    def _load(self) -> tuple[Any, Any]:
        if self._loaded is None:
            from transformers import AutoModelForImageTextToText, AutoProcessor

            from motionmillion.checkpoints import quiet_transformers

            with quiet_transformers(), self._clear_errors():
                processor: Any = AutoProcessor.from_pretrained(self.model, revision=self.revision)
                if not getattr(processor, "chat_template", None):
                    raise ValueError("it has no chat template")
                model: Any = AutoModelForImageTextToText.from_pretrained(
                    self.model, revision=self.revision, dtype=self.dtype, use_safetensors=True
                )
            self._loaded = processor, model.eval().to(self.device)
        return self._loaded

    @contextlib.contextmanager
    def _clear_errors(self) -> Iterator[None]:
        """Shorten transformers' long messages to one line, with the remedy."""
        try:
            yield
        except ImportError as error:
            reason = " ".join(str(error).split())[:120]
            raise ImportError(
                f"judge {self.model!r} needs a package that is missing ({reason}); run: pip install "
                '"motionmillion[judge]"'
            ) from None
        except (OSError, ValueError) as error:
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise ValueError(
                f"judge must be a vision-language model with a chat template, in a folder or on the hub, got "
                f"{self.model!r}: {reason}"
            ) from None


def _fingerprint(folder: Path) -> str:
    """Hash of the small files of a model and of both ends of its large ones."""
    digest = hashlib.sha256()
    for path in sorted(path for path in folder.iterdir() if path.suffix in (".json", ".jinja", ".safetensors")):
        size = path.stat().st_size
        digest.update(f"{path.name} {size}\n".encode())
        with path.open("rb") as file:
            digest.update(file.read(_ENDS))
            file.seek(max(0, size - _ENDS))
            digest.update(file.read(_ENDS))
    return digest.hexdigest()[:16]
