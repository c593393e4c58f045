"""Pixels: check uploads, size and re-encode pictures."""

from app.media.pictures import Pictures, tokens_of

__all__ = ["Pictures", "tokens_of"]
