"""Queries that a user writes: one way to write them, whatever the database."""
