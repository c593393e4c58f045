"""Pixels: check uploads, size and re-encode pictures."""

from app.media.pictures import Pictures, described, file_says, tokens_of
from app.media.recognition import Recognition

__all__ = ["Pictures", "Recognition", "described", "file_says", "tokens_of"]
