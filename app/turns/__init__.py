"""One request's story, from the ask to the settled bill."""
