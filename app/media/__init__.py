"""Pixels: check uploads, size and re-encode pictures."""

from app.media.pictures import Pictures, described, tokens_of

__all__ = ["Pictures", "described", "tokens_of"]
