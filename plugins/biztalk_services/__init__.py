"""Backup and restore of BizTalk Services: the library behind the DAGs."""
