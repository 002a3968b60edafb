"""Prompt rewriting by a server that speaks OpenAI's chat completions.

    rewriter = EndpointRewriter("http://localhost:8000/v1", "Qwen/Qwen2.5-7B-Instruct")
    rewriter = EndpointRewriter("https://api.openai.com/v1", "gpt-4o-mini", api_key_env="OPENAI_API_KEY")

How the server is asked, and asked again, is in `motionmillion.chat.endpoint`.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from motionmillion.chat.endpoint import ChatEndpoint, EndpointError
from motionmillion.text.rewriting import INSTRUCTION, PromptRewriter, RewriteError


class EndpointRewriter(PromptRewriter):
    """Rewrites by asking `base_url`/chat/completions.

    Args:
        base_url: address up to the version, such as "https://api.openai.com/v1".
        model: name of the model there.
        api_key_env: environment variable that holds the key; where it is not set, none is sent.
        timeout: seconds to wait for an answer.
        retries: how often to ask again.
        backoff: seconds before asking again, doubled each time; a server's Retry-After counts where it is longer.
        body: further entries of the request, over `temperature` 0, `max_tokens` 200; None takes an entry out.
        others: see `PromptRewriter`.

    Raises:
        ValueError: for an address or a number that cannot be used.
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
