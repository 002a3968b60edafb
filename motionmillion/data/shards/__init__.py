"""Folders of token and text shards: reading, and writing that can be resumed."""

__all__: list[str] = []
