"""What the tracking database of a service answers: which batches hold messages, which control numbers were given out.

No call of the service reports either; a query against its tracking database does. Source: "BizTalk Services: Backup and
Restore", Create a Backup, step 1, and Restore. The schema of the real service's database is not documented; the default
queries are for the emulator's.
"""
