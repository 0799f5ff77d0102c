"""The kill matrix: injects a fault at a step of a backup or a restore and checks the end state."""
