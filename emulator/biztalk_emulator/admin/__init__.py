"""The admin port: plain HTTP and JSON, for whoever runs the emulator. Nothing of it was in the real service."""
