"""vetx: a veterinary diagnostic assistant service, OpenAI-compatible."""
