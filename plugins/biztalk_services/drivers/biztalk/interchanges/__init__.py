"""The customer's own archive of sent interchanges: which control numbers stand in the envelopes of its EDI texts."""
