"""The control numbers of agreements: their ranges, and how a restored service continues beyond those used."""
