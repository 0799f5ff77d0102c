"""What an emulated BizTalk service holds, and the traffic that changes it.

Documents are plain JSON-able dictionaries: ``content`` is what a backup takes, ``runtime`` what it never takes. Traffic
and packing are deterministic in their arguments and keep no state; only :class:`~.tracking.TrackingDatabase` reads and
writes a file. The caller serialises the traffic of one service and stores the changed document; :mod:`.tracking`
describes the recovery from a crash in between.
"""
