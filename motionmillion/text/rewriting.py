"""Prompt rewriting: everyday sentences -> sentences in the style of motion captions. Optional and off by default.

    rewriter = LocalRewriter("Qwen/Qwen2.5-1.5B-Instruct", cache="rewritten.json")
    rewriter = EndpointRewriter("https://api.openai.com/v1", "gpt-4o-mini")       # key in OPENAI_API_KEY
    rewriter = make_rewriter("https://api.openai.com/v1#gpt-4o-mini")             # the same; also "gemini:MODEL"
    for rewrite in rewriter(["Happily, Anna strolls over and says hi"]):
        print(rewrite.original, "->", rewrite.rewritten)

`LocalRewriter` runs any causal language model of transformers, `EndpointRewriter` calls any server with OpenAI's chat
completions API (OpenAI, vLLM, llama.cpp, Ollama), `GeminiRewriter` calls Google's Gemini. All decode greedily, so the
same prompt gives the same sentence as far as the model allows; results can be cached in a file. Unusual: no model is
loaded or called for cached prompts. An unusable answer is an error; `on_error="keep"` turns it into a warning and
keeps the original prompt.
"""

import abc
import hashlib
import json
import re
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from motionmillion.chat.endpoint import ChatEndpoint, EndpointError
from motionmillion.chat.gemini import GeminiChat
from motionmillion.chat.local import LocalChat
from motionmillion.chat.model import ChatModel, make_by_name
from motionmillion.io.files import write_text

INSTRUCTION = """You prepare sentences for a program that turns a sentence into the motion of one human body. \
Rewrite the sentence that you are given:
- plain English in the third person and the present tense, beginning with "a person"; at most 40 words;
- say what the body does: which limb, in which direction, how fast, how often;
- keep every action, its order, its side (left or right) and its count; add no action that is not said;
- leave out names, places, clothes and talk, and objects unless the body handles them; of a mood, say how it shows in \
the motion.
Answer with the rewritten sentence in square brackets and with nothing else.
Example: "Happily, Anna strolls over to her left and gives two quick waves" becomes
[a person walks to the left with light, relaxed steps, then quickly waves twice]"""
"""Instruction for the language model, written for this library."""

MAX_LETTERS = 400


class RewriteError(ValueError):
    """A prompt could not be rewritten; the message says why and what to do, in one line."""


@dataclass(frozen=True)
class Rewrite:
    """A prompt and its rewritten form; `kept` if rewriting failed and the prompt is unchanged."""

    original: str
    rewritten: str
    kept: bool = False


class PromptRewriter(abc.ABC):
    """Base class of rewriters; a subclass implements `answer`.

    Args:
        identity: name of the model and its settings, part of the cache key.
        instruction: instruction for the language model.
        cache: JSON file of earlier results; None disables caching.
        on_error: "raise", or "keep" for a warning and the original prompt.

    Raises:
        ValueError: for an unknown `on_error`, or an invalid cache file.
    """

    def __init__(self, identity: str, instruction: str, cache: str | Path | None, on_error: str) -> None:
        if on_error not in ("raise", "keep"):
            raise ValueError(f'on_error must be "raise" or "keep", got {on_error!r}')
        digest = hashlib.sha256(instruction.encode()).hexdigest()[:12]
        self.identity, self.instruction, self.on_error = f"{identity} {digest}", instruction, on_error
        self.cache = None if cache is None else Path(cache)
        self._known = _read_cache(self.cache) if self.cache is not None else {}

    @abc.abstractmethod
    def answer(self, prompt: str) -> str:
        """The language model's raw answer for one prompt; raises `RewriteError`."""

    def __call__(self, prompts: str | Sequence[str]) -> list[Rewrite]:
        """Rewrite prompts; returns both forms of each.

        Raises:
            RewriteError: if a prompt cannot be rewritten and `on_error` is "raise"; the results before it are cached.
            ValueError: for prompts without words.
        """
        from motionmillion.text.encoder import check_texts

        return [self._rewrite(prompt) for prompt in check_texts(prompts)]

    def _rewrite(self, prompt: str) -> Rewrite:
        known = self._known.setdefault(self.identity, {})
        # only successful rewrites are cached
        if prompt not in known:
            try:
                known[prompt] = read_answer(self.answer(prompt))
            except RewriteError as error:
                if self.on_error == "raise":
                    raise
                warnings.warn(f"prompt {prompt!r} was kept as it is: {error}", stacklevel=3)
                return Rewrite(prompt, prompt, kept=True)
            if self.cache is not None:
                write_text(json.dumps(self._known, indent=2, ensure_ascii=False) + "\n", self.cache)
        return Rewrite(prompt, known[prompt])


def _read_cache(path: Path) -> dict[str, dict[str, str]]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError, json.JSONDecodeError):
        content = None
    whole = isinstance(content, dict) and all(
        isinstance(part, dict) and all(isinstance(text, str) for text in part.values()) for part in content.values()
    )
    if not whole:
        raise ValueError(
            f"cache must be a JSON file of rewritten prompts, got {str(path)!r}; remove it or name another"
        )
    return content  # type: ignore[return-value]


def read_answer(answer: str) -> str:
    """Extract the sentence of an answer: the first text in square brackets, else the whole answer if it is one line.

    Raises:
        RewriteError: if there is none, or it is empty or too long.
    """
    # drop the reasoning of thinking models, and code fences
    text = re.sub(r"<think>.*?(</think>|\Z)", "", answer, flags=re.DOTALL | re.IGNORECASE)
    text = re.sub(r"```\w*", "", text).strip()
    found = re.search(r"\[([^\[\]]*)\]", text)
    lines = [line for line in text.splitlines() if line.strip()]
    sentence = found.group(1) if found else lines[0] if len(lines) == 1 else ""
    if not found:
        sentence = re.sub(r"^\s*(rewritten|answer|output|sentence)[^:]{0,20}:", "", sentence, flags=re.IGNORECASE)
    sentence = " ".join(sentence.split()).strip("\"'“”[]{} ")
    if not any(letter.isalpha() for letter in sentence) or len(sentence) > MAX_LETTERS:
        shown = " ".join(answer.split())
        raise RewriteError(
            f"answer must hold one sentence in square brackets, got {shown[:80]!r}; use another model, or keep the "
            'prompt with on_error="keep"'
        )
    return sentence


class LocalRewriter(PromptRewriter):
    """Rewrites with a causal language model of transformers, loaded on first use.

    Args:
        model: hub id or folder.
        device, dtype: of the model; the default dtype is that of the model's config.
        max_new_tokens: maximum length of an answer.
        others: see `PromptRewriter`.
    """

    def __init__(
        self,
        model: str,
        device: str = "cpu",
        dtype: str = "auto",
        max_new_tokens: int = 128,
        *,
        instruction: str = INSTRUCTION,
        cache: str | Path | None = None,
        on_error: str = "raise",
    ) -> None:
        super().__init__(f"local {model}", instruction, cache, on_error)
        self.chat = LocalChat(model, device, dtype, max_new_tokens, purpose="rewriter")

    def answer(self, prompt: str) -> str:
        from jinja2 import TemplateError

        if not self.chat.has_template():
            # the text to complete already contains the beginning of the answer
            return "[" + self.chat.complete(f'{self.instruction}\n\nSentence: "{prompt}"\nAnswer: [')
        try:
            return self.chat.ask(prompt, system=self.instruction)
        except TemplateError:  # some templates have no system role
            return self.chat.ask(f"{self.instruction}\n\nThe sentence: {prompt}")


class _ServiceRewriter(PromptRewriter):
    """Common base; a subclass sets `chat`."""

    chat: ChatModel

    def answer(self, prompt: str) -> str:
        try:
            return self.chat.ask(prompt, system=self.instruction)
        except EndpointError as error:
            raise RewriteError(f'{error}; or keep prompts with on_error="keep"') from None


class EndpointRewriter(_ServiceRewriter):
    """Rewrites with the model at `base_url`/chat/completions.

    Args:
        base_url: address up to the version, such as "https://api.openai.com/v1".
        model: name of the model on the server.
        api_key_env: environment variable with the key; if it is not set, no key is sent.
        timeout: seconds to wait for an answer.
        retries: number of retries.
        backoff: seconds before the first retry, doubled each time; a longer Retry-After of the server wins.
        body: further entries of the request, which override `temperature` 0 and `max_tokens` 200; None removes one.
        others: see `PromptRewriter`.

    Raises:
        ValueError: for an invalid address or number.
    """

    def __init__(
        self,
        base_url: str,
        model: str,
        api_key_env: str = "OPENAI_API_KEY",
        timeout: float = 30.0,
        retries: int = 4,
        backoff: float = 1.0,
        body: Mapping[str, Any] | None = None,
        *,
        instruction: str = INSTRUCTION,
        cache: str | Path | None = None,
        on_error: str = "raise",
    ) -> None:
        settings = {"temperature": 0, "max_tokens": 200, **(body or {})}
        chat = ChatEndpoint(base_url, model, settings, api_key_env, timeout=timeout, retries=retries, backoff=backoff)
        self.chat = chat
        identity = f"endpoint {base_url} {model} {json.dumps(chat.body, sort_keys=True)}"
        super().__init__(identity, instruction, cache, on_error)


class GeminiRewriter(_ServiceRewriter):
    """Rewrites with Google's Gemini.

    Args:
        model: such as "gemini-2.5-flash".
        body: entries of `generationConfig`, which override `temperature` 0 and `maxOutputTokens` 2048 (thoughts
            included); None removes one.
        options: of `motionmillion.chat.gemini.GeminiChat`, such as `base_url`.
        others: see `PromptRewriter`.

    Raises:
        ValueError: for an invalid address or number.
    """

    def __init__(
        self,
        model: str,
        body: Mapping[str, Any] | None = None,
        *,
        instruction: str = INSTRUCTION,
        cache: str | Path | None = None,
        on_error: str = "raise",
        **options: Any,
    ) -> None:
        chat = GeminiChat(model, {"temperature": 0, "maxOutputTokens": 2048, **(body or {})}, **options)
        self.chat = chat
        identity = f"gemini {chat.base_url} {model} {json.dumps(chat.body, sort_keys=True)}"
        super().__init__(identity, instruction, cache, on_error)


def make_rewriter(name: str, **options: Any) -> PromptRewriter:
    """Make a rewriter by name: `https://host/v1#model` or `gemini:model` calls a server, others are run locally.

    Args:
        options: of its class; `device` is for models that run here and is left out elsewhere.

    Raises:
        ValueError: for an address or a service without a model.
    """
    return make_by_name(
        name,
        LocalRewriter,
        EndpointRewriter,
        GeminiRewriter,
        demand="rewriter must name a model after the address",
        example="model",
        **options,
    )
