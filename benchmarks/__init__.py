"""Benchmarks of the HTTP load engine, run by hand; see README.md."""
