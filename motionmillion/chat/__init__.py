"""Clients for language and vision models: local ones, OpenAI-compatible servers, and Gemini."""

__all__: list[str] = []
