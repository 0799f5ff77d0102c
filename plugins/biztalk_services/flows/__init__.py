"""The plan of a restore: what would be done, with which values, and what speaks against it. Changes nothing."""
