"""A mocked third party: an HTTP server in a process of its own."""
