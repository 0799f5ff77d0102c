"""One folder a kind of service, behind one protocol."""
