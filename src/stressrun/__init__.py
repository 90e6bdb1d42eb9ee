"""Stress-test a REST API and its PostgreSQL database before merge."""

__version__ = "0.1.0"
