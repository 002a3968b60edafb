"""Language and vision models that run here: any of transformers with a causal or an image-text-to-text head.

    chat = LocalChat("Qwen/Qwen2.5-1.5B-Instruct")
    chat = LocalChat("Qwen/Qwen2.5-VL-3B-Instruct", device="cuda", sees=True, purpose="judge")
    reply = chat.ask("Which limb moves?", pictures=[picture])

The model is loaded on first use, from safetensors only, and replies greedily, so equal questions get equal replies.
Unusual: a causal model without a chat template is accepted; it can only `complete` a text.
"""

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

from motionmillion.configuration import check_whole

_KINDS = {False: "a causal language model", True: "a vision-language model with a chat template,"}


class LocalChat:
    """A chat model of transformers.

    Args:
        model: hub id or folder.
        device, dtype: of the model; the default dtype is that of the model's config.
        max_new_tokens: maximum length of a reply.
        revision: revision on the hub; None for the newest.
        sees: whether it is a vision-language model, which must have a chat template.
        purpose: what it is used as, for error messages.

    Raises:
        ValueError: for an invalid number; on first use, if there is no such model.
        ImportError: on first use, if the model needs a missing package.
    """

    def __init__(
        self,
        model: str,
        device: str = "cpu",
        dtype: str = "auto",
        max_new_tokens: int = 128,
        revision: str | None = None,
        *,
        sees: bool = False,
        purpose: str = "model",
    ) -> None:
        self.model, self.device, self.dtype, self.revision = model, device, dtype, revision
        self.max_new_tokens = check_whole("max_new_tokens", max_new_tokens, 1)
        self.sees, self.purpose = sees, purpose
        self.loaded: tuple[Any, Any] | None = None

    def check(self) -> None:
        """Nothing can be checked without loading."""

    def ask(self, text: str, pictures: Sequence[Any] = (), system: str = "") -> str:
        """The model's reply, see `motionmillion.chat.model.ChatModel`.

        Raises:
            jinja2.TemplateError: if the chat template refuses the messages; some have no system role.
        """
        processor, model = self.load()
        messages: list[dict[str, Any]] = [{"role": "system", "content": system}] if system else []
        content: Any = text
        if self.sees:
            content = [*({"type": "image", "image": picture} for picture in pictures), {"type": "text", "text": text}]
        inputs = processor.apply_chat_template(
            [*messages, {"role": "user", "content": content}],
            add_generation_prompt=True,
            tokenize=True,
            return_dict=True,
            return_tensors="pt",
        )
        # pictures take the model's dtype, integers keep theirs
        return self._generate(inputs.to(model.device, dtype=model.dtype) if self.sees else inputs.to(model.device))

    def complete(self, text: str) -> str:
        """What a causal model writes after `text`, without a chat template."""
        tokenizer, model = self.load()
        return self._generate(tokenizer(text, return_tensors="pt").to(model.device))

    def has_template(self) -> bool:
        """Whether the model has a chat template; loads it."""
        return bool(getattr(self.load()[0], "chat_template", None))

    def _generate(self, inputs: Any) -> str:
        import torch

        processor, model = self.load()
        tokenizer = processor.tokenizer if self.sees else processor
        with torch.no_grad():
            output = model.generate(
                **inputs,
                max_new_tokens=self.max_new_tokens,
                do_sample=False,
                temperature=None,
                top_p=None,
                top_k=None,
                pad_token_id=tokenizer.pad_token_id if tokenizer.pad_token_id is not None else tokenizer.eos_token_id,
            )
        start = 0 if model.config.is_encoder_decoder else inputs["input_ids"].shape[1]
        return tokenizer.decode(output[0, start:], skip_special_tokens=True)

    def load(self) -> tuple[Any, Any]:
        """Processor (a tokenizer, for a causal model) and model; loaded once."""
        if self.loaded is None:
            import transformers

            from motionmillion.checkpoints import quiet_transformers

            readers: Any = transformers.AutoProcessor if self.sees else transformers.AutoTokenizer
            models: Any = transformers.AutoModelForImageTextToText if self.sees else transformers.AutoModelForCausalLM
            with quiet_transformers(), self._clear_errors():
                processor = readers.from_pretrained(self.model, revision=self.revision)
                if self.sees and not getattr(processor, "chat_template", None):
                    raise ValueError("it has no chat template")
                model = models.from_pretrained(
                    self.model, revision=self.revision, dtype=self.dtype, use_safetensors=True
                )
            self.loaded = processor, model.eval().to(self.device)
        return self.loaded

    @contextlib.contextmanager
    def _clear_errors(self) -> Iterator[None]:
        """Shorten transformers' long messages to one line, with the remedy."""
        try:
            yield
        except ImportError as error:
            if not self.sees:
                raise
            reason = " ".join(str(error).split())[:120]
            raise ImportError(
                f"{self.purpose} {self.model!r} needs a package that is missing ({reason}); run: pip install "
                '"motionmillion[judge]"'
            ) from None
        except (OSError, ValueError) as error:
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise ValueError(
                f"{self.purpose} must be {_KINDS[self.sees]} in a folder or on the hub, got {self.model!r}: {reason}"
            ) from None
