"""Judges that are chat models with eyes: behind a service, or run here.

    judge = EndpointJudge("http://localhost:8000/v1", "Qwen/Qwen2.5-VL-7B-Instruct")
    judge = GeminiJudge("gemini-2.5-flash")                                            # key in GEMINI_API_KEY
    judge = TransformersJudge("Qwen/Qwen2.5-VL-3B-Instruct", device="cuda")
    judge = TransformersJudge("my_folder", rendering=Rendering(sheet=True))            # for models of one picture

Frames are drawn by Pillow; `motionmillion.chat` loads models, sends requests, retries and guards API keys. A local
model is loaded at the first question that is not in the cache; for most models that needs torchvision: `pip install
"motionmillion[judge]"`. Unusual: a service is asked several questions in parallel (`parallel`); the replies do not
depend on it.
"""

import abc
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from motionmillion.chat.endpoint import ChatEndpoint, EndpointError
from motionmillion.chat.gemini import GEMINI, GeminiChat
from motionmillion.chat.local import LocalChat
from motionmillion.chat.model import ChatModel
from motionmillion.configuration import check_whole
from motionmillion.eval.judges.judge import Asked, Judge, JudgeError
from motionmillion.eval.judges.pictures import Rendering
from motionmillion.eval.judges.replies import INSTRUCTIONS_HASH, instruction
from motionmillion.provenance import ends_hash


class _ChatJudge(Judge):
    """Common base: shows the pictures of a motion to a chat model and asks about them."""

    silent = "must reply, got no words; allow more tokens"

    def __init__(self, chat: ChatModel, name: str, rendering: Rendering | None, parallel: int = 1) -> None:
        self.chat, self.name = chat, name
        self.rendering = Rendering() if rendering is None else rendering
        self.batch_size = check_whole("parallel", parallel, 1)

    def describe(self) -> dict[str, Any]:
        return {**self.about(), "rendering": self.rendering.describe(), "instructions": INSTRUCTIONS_HASH}

    @abc.abstractmethod
    def about(self) -> dict[str, Any]:
        """What replies depend on besides pictures and instructions: the model and its settings."""

    def check(self) -> None:
        self.chat.check()

    def replies(self, asked: Sequence[Asked]) -> Iterator[str | JudgeError]:
        if len(asked) == 1 or self.batch_size == 1:
            yield from map(self._reply, asked)
            return
        with ThreadPoolExecutor(self.batch_size) as pool:
            yield from pool.map(self._reply, asked)

    def _reply(self, asked: Asked) -> str | JudgeError:
        shown = self.rendering.show(asked.motion)
        try:
            reply = self.chat.ask(instruction(asked.kind, asked.texts, shown.note), shown.pictures)
        except EndpointError as error:
            return JudgeError(str(error))
        return reply if reply.strip() else JudgeError(f"{self.name} {self.silent}")


class EndpointJudge(_ChatJudge):
    """Asks `base_url`/chat/completions: OpenAI, vLLM, llama.cpp, Ollama.

    Args:
        base_url: address up to the version, such as "https://api.openai.com/v1".
        model: name of a model there with image input.
        rendering: how motions are drawn; None: the defaults.
        body: further entries of the request, overriding `temperature` 0, `max_tokens` 1024 and `seed` 0; None removes
            an entry.
        parallel: number of concurrent questions.
        api_key_env: environment variable with the key; no key is sent if it is not set.
        options: `timeout` (default 120 seconds), `retries` and `backoff` of `motionmillion.chat.endpoint.Endpoint`.

    Raises:
        ValueError: for an invalid address or number.
    """

    chat: ChatEndpoint

    def __init__(
        self,
        base_url: str,
        model: str,
        rendering: Rendering | None = None,
        body: Mapping[str, Any] | None = None,
        parallel: int = 4,
        api_key_env: str = "OPENAI_API_KEY",
        **options: Any,
    ) -> None:
        settings = {"temperature": 0, "max_tokens": 1024, "seed": 0, **(body or {})}
        chat = ChatEndpoint(base_url, model, settings, api_key_env, **{"timeout": 120.0, **options})
        super().__init__(chat, model, rendering, parallel)

    def about(self) -> dict[str, Any]:
        return _service("endpoint", self.chat)


class GeminiJudge(_ChatJudge):
    """Asks Gemini's generateContent.

    Args:
        model: such as "gemini-2.5-flash", MBench's judge.
        rendering: how motions are drawn; None: the defaults.
        config: entries of `generationConfig`, overriding `temperature` 0, `maxOutputTokens` 8192 (thoughts included)
            and `seed` 0; None removes an entry.
        parallel: number of concurrent questions.
        api_key_env: environment variable with the key.
        base_url: address up to the version.
        options: `timeout` (default 120 seconds), `retries` and `backoff` of `motionmillion.chat.endpoint.Endpoint`.

    Raises:
        ValueError: for an invalid address or number.
    """

    chat: GeminiChat

    def __init__(
        self,
        model: str,
        rendering: Rendering | None = None,
        config: Mapping[str, Any] | None = None,
        parallel: int = 4,
        api_key_env: str = "GEMINI_API_KEY",
        base_url: str = GEMINI,
        **options: Any,
    ) -> None:
        settings = {"temperature": 0, "maxOutputTokens": 8192, "seed": 0, **(config or {})}
        chat = GeminiChat(model, settings, api_key_env, base_url, **{"timeout": 120.0, **options})
        super().__init__(chat, model, rendering, parallel)

    def about(self) -> dict[str, Any]:
        return _service("gemini", self.chat)


class TransformersJudge(_ChatJudge):
    """Runs a vision-language model of transformers; it answers greedily, one question at a time.

    Args:
        model: hub id or folder of a model with a chat template.
        device, dtype: of the model; the default dtype is that of its config.
        rendering: how motions are drawn; None: the defaults.
        max_new_tokens: maximum length of a reply.
        revision: revision on the hub.

    Raises:
        ValueError: for an invalid number; at the first question, if there is no such model.
        ImportError: at the first question, if its processor needs a missing package.
    """

    chat: LocalChat
    silent = "must reply with words, got none"

    def __init__(
        self,
        model: str,
        device: str = "cpu",
        dtype: str = "auto",
        rendering: Rendering | None = None,
        max_new_tokens: int = 512,
        revision: str | None = None,
    ) -> None:
        chat = LocalChat(model, device, dtype, max_new_tokens, revision, sees=True, purpose="judge")
        super().__init__(chat, Path(model).name if Path(model).is_dir() else model, rendering)

    def about(self) -> dict[str, Any]:
        chat, folder = self.chat, Path(self.chat.model)
        return {
            "judge": "transformers",
            "model": self.name,
            "weights": ends_hash(folder) if folder.is_dir() else chat.revision or "newest",
            "dtype": chat.dtype,
            "max_new_tokens": chat.max_new_tokens,
        }


def _service(judge: str, chat: ChatEndpoint | GeminiChat) -> dict[str, Any]:
    return {"judge": judge, "address": chat.base_url, "model": chat.model, "request": chat.body}
