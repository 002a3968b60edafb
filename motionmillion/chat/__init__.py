"""Clients for language and vision models."""

__all__: list[str] = []
