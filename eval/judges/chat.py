"""Judges behind a service: any server with OpenAI's chat completions API and images, and Google's Gemini.

    judge = EndpointJudge("http://localhost:8000/v1", "Qwen/Qwen2.5-VL-7B-Instruct")
    judge = GeminiJudge("gemini-2.5-flash")                                            # key in GEMINI_API_KEY

Frames are sent as JPEG inside the request. `motionmillion.chat.endpoint` handles retries and API keys. Unusual:
several questions are asked in parallel (`parallel`); the replies do not depend on it.
"""

import abc
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import quote

from motionmillion.chat.endpoint import ChatEndpoint, Endpoint, EndpointError
from motionmillion.configuration import check_whole
from motionmillion.eval.judges.judge import Asked, Judge, JudgeError
from motionmillion.eval.judges.pictures import Rendering, jpeg
from motionmillion.eval.judges.replies import INSTRUCTIONS_HASH, instruction

GEMINI = "https://generativelanguage.googleapis.com/v1beta"


class _ServiceJudge(Judge):
    """Common base; a subclass sets `endpoint` and builds the request."""

    endpoint: Endpoint

    def __init__(self, rendering: Rendering | None, parallel: int) -> None:
        self.rendering = Rendering() if rendering is None else rendering
        self.batch_size = check_whole("parallel", parallel, 1)

    @abc.abstractmethod
    def complete(self, pictures: Sequence[str], text: str) -> str:
        """The model's reply to pictures (JPEG, base64) and a text; raises `EndpointError`."""

    def check(self) -> None:
        self.endpoint.headers()

    def replies(self, asked: Sequence[Asked]) -> Iterator[str | JudgeError]:
        if len(asked) == 1:
            yield self._reply(asked[0])
            return
        with ThreadPoolExecutor(self.batch_size) as pool:
            yield from pool.map(self._reply, asked)

    def _reply(self, asked: Asked) -> str | JudgeError:
        shown = self.rendering.show(asked.motion)
        text = instruction(asked.kind, asked.texts, shown.note)
        try:
            reply = self.complete([jpeg(picture) for picture in shown.pictures], text)
        except EndpointError as error:
            return JudgeError(str(error))
        return reply if reply.strip() else JudgeError(f"{self.name} must reply, got no words; allow more tokens")


class EndpointJudge(_ServiceJudge):
    """Asks `base_url`/chat/completions.

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
        super().__init__(rendering, parallel)
        settings = {"temperature": 0, "max_tokens": 1024, "seed": 0, **(body or {})}
        self.chat = ChatEndpoint(base_url, model, settings, api_key_env, **{"timeout": 120.0, **options})
        self.endpoint, self.name = self.chat, model

    def describe(self) -> dict[str, Any]:
        asked = {"address": self.chat.base_url, "model": self.chat.model, "request": self.chat.body}
        return {
            "judge": "endpoint",
            **asked,
            "rendering": self.rendering.describe(),
            "instructions": INSTRUCTIONS_HASH,
        }

    def complete(self, pictures: Sequence[str], text: str) -> str:
        content: list[dict[str, Any]] = [
            {"type": "image_url", "image_url": {"url": f"data:image/jpeg;base64,{picture}"}} for picture in pictures
        ]
        return self.chat.complete([{"role": "user", "content": [*content, {"type": "text", "text": text}]}])


class GeminiJudge(_ServiceJudge):
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
        super().__init__(rendering, parallel)
        settings = {"temperature": 0, "maxOutputTokens": 8192, "seed": 0, **(config or {})}
        self.config = {name: value for name, value in settings.items() if value is not None}
        sending: dict[str, Any] = {"key_header": "x-goog-api-key", "key_prefix": "", "key_needed": True}
        self.endpoint = Endpoint(base_url, api_key_env, **{"timeout": 120.0, **options}, **sending)
        self.name = model

    def describe(self) -> dict[str, Any]:
        asked = {"address": self.endpoint.base_url, "model": self.name, "request": self.config}
        return {
            "judge": "gemini",
            **asked,
            "rendering": self.rendering.describe(),
            "instructions": INSTRUCTIONS_HASH,
        }

    def complete(self, pictures: Sequence[str], text: str) -> str:
        parts: list[dict[str, Any]] = [
            {"inline_data": {"mime_type": "image/jpeg", "data": picture}} for picture in pictures
        ]
        body = {
            "contents": [{"role": "user", "parts": [*parts, {"text": text}]}],
            "generationConfig": self.config,
        }
        path = f"/models/{quote(self.name, safe='')}:generateContent"
        return self.endpoint.post(path, body, _gemini_text, "Gemini's generateContent")


def _gemini_text(answer: Any) -> str:
    """The text of an answer without its thoughts.

    Raises:
        EndpointError: if there is none, with Gemini's reason.
    """
    if "candidates" not in answer and "promptFeedback" not in answer:
        raise KeyError("candidates")
    candidate = (answer.get("candidates") or [{}])[0]
    parts = candidate.get("content", {}).get("parts", [])
    text = "".join(part.get("text", "") for part in parts if not part.get("thought"))
    if not text.strip():
        blocked = answer.get("promptFeedback", {}).get("blockReason")
        reason = candidate.get("finishReason") or blocked or "no reason given"
        raise EndpointError(f"Gemini must reply, got no words ({reason}); for MAX_TOKENS raise maxOutputTokens")
    return text
