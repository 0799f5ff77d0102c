"""The kill matrix: one part dies at one moment of a backup or a restore, and the outcome is read from what is left."""
