"""Prompt rewriting by a server with OpenAI's chat completions API.

    rewriter = EndpointRewriter("http://localhost:8000/v1", "Qwen/Qwen2.5-7B-Instruct")
    rewriter = EndpointRewriter("https://api.openai.com/v1", "gpt-4o-mini", api_key_env="OPENAI_API_KEY")

Requests and retries are implemented in `motionmillion.chat.endpoint`.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from motionmillion.chat.endpoint import ChatEndpoint, EndpointError
from motionmillion.text.rewriting import INSTRUCTION, PromptRewriter, RewriteError


class EndpointRewriter(PromptRewriter):
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
        self.endpoint = ChatEndpoint(
            base_url, model, settings, api_key_env, timeout=timeout, retries=retries, backoff=backoff
        )
        identity = f"endpoint {base_url} {model} {json.dumps(self.endpoint.body, sort_keys=True)}"
        super().__init__(identity, instruction, cache, on_error)

    def answer(self, prompt: str) -> str:
        messages = [{"role": "system", "content": self.instruction}, {"role": "user", "content": prompt}]
        try:
            return self.endpoint.complete(messages)
        except EndpointError as error:
            raise RewriteError(f'{error}; or keep prompts with on_error="keep"') from None
