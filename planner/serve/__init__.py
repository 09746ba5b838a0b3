"""Read-only pages and an API over the history; approval behind a token (extra ``serve``)."""
