"""Base against head: whether it was this change."""
